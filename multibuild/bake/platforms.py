"""The platforms of a bake target, and its annotations, some of which belong to the entries of platforms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from multibuild.bake.target import BakeTarget, Unsupported, unescaped
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform

_LEVEL: Final = re.compile(r"([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?\Z")
"""A level of buildx's annotations, and the platform it may be limited to (util/buildflags, ParseAnnotations)."""

_ENTRY: Final = "manifest-descriptor"


@frozen
class _Annotation:
    """An annotation of one level; `platform` is empty where it is for all."""

    level: str
    platform: str
    key: str
    value: str


def platform_keys(_value: Sequence[str], target: BakeTarget) -> Mapping[str, Any]:
    """Return `platforms`: a name, or a mapping where the platform's entry has annotations."""
    annotations = [*_annotations(target.fields.get("annotations") or ())]
    platforms = dict.fromkeys(map(_platform, target.platforms))
    return {"platforms": [_entry(platform, annotations) for platform in platforms]}


def annotation_keys(value: Sequence[str], target: BakeTarget) -> Mapping[str, Any]:
    """Return the annotations of the index; those of entries are in `platforms`.

    Unsupported for a level that multibuild does not write: it leaves manifests as BuildKit made them.
    """
    index = {}
    platforms = set(map(_platform, target.platforms))
    for annotation in _annotations(value):
        if annotation.level == "index" and not annotation.platform:
            index[annotation.key] = annotation.value
        elif annotation.level != _ENTRY:
            raise Unsupported(
                f"puts {annotation.key} on the {annotation.level} of each platform; multibuild annotates the index",
                use_instead=f"index:{annotation.key}=…; with docker/metadata-action"
                " DOCKER_METADATA_ANNOTATIONS_LEVELS=index",
            )
        elif not platforms or (annotation.platform and _platform(annotation.platform) not in platforms):
            raise Unsupported(
                f"is about the entry of {annotation.platform or 'each platform'}, and the target does not list it",
                use_instead="platforms: [{name: …, annotations: {…}}] under images: NAME:",
            )
    return {"annotations": index} if index else {}


def _entry(platform: Platform, annotations: Sequence[_Annotation]) -> str | Mapping[str, Any]:
    own = {
        annotation.key: annotation.value
        for annotation in annotations
        if annotation.level == _ENTRY
        and (not annotation.platform or _platform(annotation.platform) == platform)
    }
    return {"name": str(platform), "annotations": own} if own else str(platform)


def _annotations(texts: Sequence[str]) -> Iterator[_Annotation]:
    """Parse `[LEVEL[PLATFORM],…:]KEY=VALUE`; without a level it is the manifest's."""
    for text in texts:
        if not text:
            continue
        name, equals, value = unescaped(text).partition("=")
        levels, colon, key = name.rpartition(":")
        if not equals:
            raise Unsupported(f"has no KEY=VALUE: {text}", use_instead="index:KEY=VALUE")
        for level in levels.split(",") if colon else ["manifest"]:
            match = _LEVEL.match(level)
            if match is None:
                raise Unsupported(f"has the level '{level}'", use_instead="index:KEY=VALUE")
            yield _Annotation(level=match[1], platform=match[2] or "", key=key, value=value)


def _platform(text: str) -> Platform:
    if text == "local":
        raise Unsupported(
            "has local, which depends on the machine", use_instead="the platform's name, like linux/amd64"
        )
    try:
        return Platform.parse(text)
    except UsageError as error:
        raise Unsupported(f"has {error.message}", use_instead=error.hint or "os/architecture") from error
