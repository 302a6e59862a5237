"""Check that every annotation of a config has a place in what is published."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from multibuild.buildx.annotations import (
    OF_ENTRY,
    OF_INDEX,
    AnnotationKey,
    AnnotationType,
    parse_annotation_key,
)
from multibuild.config.problems import invalid
from multibuild.config.sections import PlatformEntry, Publish
from multibuild.config.yaml_document import KeyPath
from multibuild.errors import UsageError
from multibuild.frozen import frozen


@frozen
class _Problem:
    """What is wrong with a place, and the next step."""

    message: str
    hint: str


def check_annotations(
    annotations: Mapping[str, str], platforms: Sequence[PlatformEntry], publish: Publish
) -> None:
    """Raise a validator's error at the first key of `annotations`, common or of a platform, that has no place."""
    for text in annotations:
        key = _parsed(text, OF_INDEX, at=("annotations", text))
        _refuse(_in_common(key, platforms, publish), at=("annotations", text))
    for number, entry in enumerate(platforms):
        for text in entry.annotations:
            at = ("platforms", number, "annotations", text)
            _refuse(_under_platform(_parsed(text, OF_ENTRY, at=at)), at=at)


def _parsed(text: str, default: AnnotationType, *, at: KeyPath) -> AnnotationKey:
    try:
        return parse_annotation_key(text, default)
    except UsageError as error:
        raise invalid(error.message, hint=error.hint, at=at) from None


def _refuse(problems: Iterator[_Problem], *, at: KeyPath) -> None:
    for problem in problems:
        raise invalid(problem.message, hint=problem.hint, at=at)


def _in_common(
    key: AnnotationKey, platforms: Sequence[PlatformEntry], publish: Publish
) -> Iterator[_Problem]:
    names = [entry.name for entry in platforms]
    for place in key.places:
        if place.platform is not None and place.platform not in names:
            yield _Problem(
                message=f"{place.platform} is not among the platforms",
                hint=f"they are {', '.join(map(str, names))}",
            )
        if place.type == "index-descriptor" and publish.output.kind not in {"oci", "oci-archive"}:
            yield _Problem(
                message=f"only an OCI layout has a descriptor of the index, and publish.to is {publish.to}",
                hint=f"write index:{key.name}, or publish to oci:DIR or oci-archive:FILE",
            )


def _under_platform(key: AnnotationKey) -> Iterator[_Problem]:
    for place in key.places:
        if place.platform is not None:
            yield _Problem(message="names a platform under a platform", hint=f"write {place.type}:{key.name}")
        if place.type.startswith("index"):
            yield _Problem(
                message="a platform has no index of its own",
                hint=f"write {place.type}:{key.name} to the annotations at the top",
            )
