"""The annotations of a bake target: those of a config, but without a type they are the manifest's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from multibuild.bake.target import BakeTarget, Unsupported, unescaped
from multibuild.buildx.annotations import OF_INDEX, AnnotationType, parse_annotation_key
from multibuild.errors import UsageError

_DEFAULT: Final[AnnotationType] = "manifest"
"""The type of an annotation that has none (buildkit, exporter/containerimage/exptypes)."""


def annotation_keys(value: Sequence[str], _target: BakeTarget) -> Mapping[str, Any]:
    """Return `annotations`, each with its types; Unsupported for what buildx would refuse or not write."""
    annotations: dict[str, str] = {}
    for text in map(unescaped, filter(None, value)):
        key, equals, content = text.partition("=")
        if not equals:
            raise Unsupported(f"has no KEY=VALUE: {text}", use_instead="index:KEY=VALUE")
        annotations[_with_types(key)] = content
    return {"annotations": annotations}


def _with_types(text: str) -> str:
    """Return a key as a config spells it: with its types, unless it is only the index's."""
    try:
        key = parse_annotation_key(text, _DEFAULT)
    except UsageError as error:
        raise Unsupported(
            f"has {text}: {error.message}", use_instead=error.hint or "index:KEY=VALUE"
        ) from error
    types = ",".join(f"{p.type}[{p.platform}]" if p.platform else p.type for p in key.places)
    return key.name if types == OF_INDEX and ":" not in key.name else f"{types}:{key.name}"
