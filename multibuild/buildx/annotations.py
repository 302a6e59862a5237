"""Keys of annotations as buildx spells them: `[TYPE[PLATFORM],…:]KEY` (util/buildflags, ParseAnnotations).

A type says what is annotated: the index, a platform's manifest, or the descriptor that lists one of them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final, Literal, cast, get_args

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform

AnnotationType = Literal["index", "index-descriptor", "manifest", "manifest-descriptor"]

OF_INDEX: Final[AnnotationType] = "index"
"""The type of a key of `annotations` that has none."""

OF_ENTRY: Final[AnnotationType] = "manifest-descriptor"
"""The type of a key of a platform's `annotations` that has none."""

_TYPES: Final = get_args(AnnotationType)

_PLACE: Final = re.compile(r"([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?\Z")

_PLATFORM: Final = re.compile(r"\[[^\[\]]*\]")


@frozen
class AnnotationPlace:
    """What is annotated: of one platform, or of each where `platform` is None."""

    type: AnnotationType
    platform: Platform | None = None


@frozen
class AnnotationKey:
    """A key without its types, and the places that have it."""

    name: str
    places: tuple[AnnotationPlace, ...]


def parse_annotation_key(text: str, default: AnnotationType) -> AnnotationKey:
    """Parse a key; `default` is the type of one without.

    What looks like the domain or path of a key is no type: `example.org:80/x` is a whole key. Raises UsageError for a
    type or a platform that does not exist, for an index of one platform, and for a name that BuildKit would not write.
    """
    types, colon, name = text.partition(":")
    if not colon or re.search("[./]", _PLATFORM.sub("", types)):
        types, name = default, text
    key = AnnotationKey(name=name, places=tuple(_place(place, text) for place in types.split(",")))
    _check_name(key)
    return key


def annotations_of(
    annotations: Mapping[str, str], place: AnnotationPlace, default: AnnotationType
) -> dict[str, str]:
    """Return what exactly one place has of `annotations`; of two keys of the same name the later. Raises UsageError."""
    keys = ((parse_annotation_key(text, default), value) for text, value in annotations.items())
    return {key.name: value for key, value in keys if place in key.places}


def _place(text: str, key: str) -> AnnotationPlace:
    match = _PLACE.match(text)
    if match is None or match[1] not in _TYPES:
        near = get_close_matches(text.partition("[")[0], _TYPES, n=1)
        hint = f"perhaps you meant {near[0]}" if near else f"of the index it is index:{key}"
        raise UsageError(f"'{text}' is no type of annotation: {', '.join(_TYPES)}", hint=hint)
    place = AnnotationPlace(
        type=cast("AnnotationType", match[1]), platform=Platform.parse(match[2]) if match[2] else None
    )
    if place.platform and place.type.startswith("index"):
        raise UsageError(
            f"'{text}' is the index of one platform, which there is not",
            hint=f"write {place.type}, or manifest-descriptor[{place.platform}] for what lists the platform",
        )
    return place


def _check_name(key: AnnotationKey) -> None:
    """Raise UsageError for an empty name, and for one that a manifest would not get: BuildKit leaves it out in silence.

    It reads them as `annotation-manifest.NAME=VALUE`, NAME without white space (exporter/containerimage/exptypes).
    """
    if not key.name:
        raise UsageError("an annotation needs a key", hint="like org.opencontainers.image.title")
    is_built = any(place.type == "manifest" for place in key.places)
    if is_built and re.search(r"[\s=]", key.name):
        raise UsageError(
            f"'{key.name}' is no key that BuildKit writes into a manifest",
            hint="leave out spaces and `=`, like org.opencontainers.image.title",
        )
