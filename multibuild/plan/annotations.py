"""Which annotations of a config go where: the index, a platform's manifest, or a descriptor of one of them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from multibuild.buildx.annotations import OF_ENTRY, OF_INDEX, AnnotationPlace, annotations_of

if TYPE_CHECKING:
    from multibuild.config.config import Config
    from multibuild.config.sections import PlatformEntry


def index_annotations(config: Config, kind: Literal["index", "index-descriptor"]) -> dict[str, str]:
    """Return the annotations of the index, or of the descriptor that lists it in an OCI layout."""
    return annotations_of(config.annotations, AnnotationPlace(type=kind), OF_INDEX)


def platform_annotations(
    config: Config, entry: PlatformEntry, kind: Literal["manifest", "manifest-descriptor"]
) -> dict[str, str]:
    """Return the annotations of a platform's manifest, or of its entry in the index.

    As for buildx, one for a platform wins over one for all; what stands under the platform wins over both.
    """
    common, own = AnnotationPlace(type=kind), AnnotationPlace(type=kind, platform=entry.name)
    return {
        **annotations_of(config.annotations, common, OF_INDEX),
        **annotations_of(config.annotations, own, OF_INDEX),
        **annotations_of(entry.annotations, common, OF_ENTRY),
    }
