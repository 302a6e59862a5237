"""What tells the entries of one index apart: the whole platform object, and what the field uses beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from multibuild.frozen import frozen
from multibuild.oci.manifest import Descriptor
from multibuild.platforms import Platform

ZSTD_ANNOTATION = "io.github.containers.compression.zstd"
"""With the value "true": the layers need zstd (containers/image, internal/manifest/oci_index.go)."""

ZSTD_LAYERS = ("+zstd", ".tar.zstd")
"""Ends of the media types of layers that need it (image-spec, layer.md; containers' Docker spelling)."""


@frozen
class EntryIdentity:
    """The identity of an entry: of two with the same one, every client takes the first.

    The platform in normal form, `os.version` (builds of Windows), `os.features` and other fields of the platform
    (nydus.remoteimage.v1, CPU features), zstd beside gzip, and the kind of artifact. An entry without a platform is
    told apart by its digest alone.
    """

    platform: Platform | None
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    further: str = ""
    is_zstd: bool = False
    artifact_type: str = ""
    digest: str = ""

    @classmethod
    def of(cls, entry: Descriptor) -> EntryIdentity:
        """Return the identity of an entry of an index."""
        if entry.platform is None:
            return cls(platform=None, digest=entry.digest)
        return cls(
            platform=entry.platform.normalised(),
            os_version=entry.os_version,
            os_features=tuple(sorted(set(entry.os_features))),
            further=_canonical(entry.platform_extras),
            is_zstd=is_zstd(entry.annotations),
            artifact_type=entry.artifact_type,
        )

    def __str__(self) -> str:
        if self.platform is None:
            return self.digest
        zstd = "zstd" if self.is_zstd else ""
        marks = [", ".join(self.os_features), self.further.strip("{}"), zstd, self.artifact_type]
        details = ", ".join(filter(None, marks))
        name = f"{self.platform} {self.os_version}".strip()
        return f"{name} ({details})" if details else name


def is_zstd(annotations: Mapping[str, str]) -> bool:
    """Whether the annotations of an entry say that its layers need zstd."""
    return annotations.get(ZSTD_ANNOTATION) == "true"


def _canonical(fields: Mapping[str, Any]) -> str:
    """Return fields as text that does not depend on their order, nor on that of a list of words."""
    ordered = {key: _sorted(value) for key, value in fields.items() if value not in (None, "", [], {})}
    return json.dumps(ordered, sort_keys=True) if ordered else ""


def _sorted(value: Any) -> Any:
    words = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return sorted(set(value)) if words else value
