"""The small values of image distribution: reference, descriptor, manifest (OCI image-spec, distribution-spec)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from multibuild.errors import PublishFailed
from multibuild.frozen import frozen
from multibuild.platforms import Platform

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"


@frozen
class Descriptor:
    """An OCI descriptor. `size` in bytes; `platform` None where the entry has none.

    `rest` holds its further fields and `platform_rest` those of its platform, as they are.
    """

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    rest: Mapping[str, Any] = field(default_factory=dict)
    platform_rest: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_attestation(self) -> bool:
        """BuildKit's attestation manifests stand in an index as platform unknown/unknown with this annotation."""
        return self.annotations.get(REFERENCE_TYPE) == "attestation-manifest"

    @property
    def attests(self) -> str | None:
        """The digest of the image an attestation is about."""
        return self.annotations.get(REFERENCE_DIGEST)

    def to_json(self) -> dict[str, Any]:
        """Give the spec's form, empty fields left out, in the order the spec lists them."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        if self.platform is not None:
            platform: dict[str, Any] = {"architecture": self.platform.architecture, "os": self.platform.os}
            if self.os_version:
                platform["os.version"] = self.os_version
            if self.os_features:
                platform["os.features"] = list(self.os_features)
            if self.platform.variant:
                platform["variant"] = self.platform.variant
            platform.update(sorted(self.platform_rest.items()))
            document["platform"] = platform
        document.update(sorted(self.rest.items()))
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Descriptor:
        """Read the spec's form; PublishFailed when it is none.

        Anyone may have written it. Whether its digest is one is seen where it is used (`Reference.with_digest`).
        """
        try:
            platform = document.get("platform") or {}
            return cls(
                media_type=_text(document["mediaType"]),
                digest=_text(document["digest"]),
                size=_size(document["size"]),
                platform=_platform(platform),
                os_version=_text(platform.get("os.version")),
                os_features=tuple(_text(feature) for feature in platform.get("os.features") or ()),
                annotations={key: _text(value) for key, value in (document.get("annotations") or {}).items()},
                artifact_type=_text(document.get("artifactType")),
                rest={key: value for key, value in document.items() if key not in _FIELDS},
                platform_rest={k: v for k, v in platform.items() if k not in _PLATFORM_FIELDS},
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise PublishFailed(
                "a manifest holds a descriptor that is none", hint="inspect it with --raw"
            ) from None


_FIELDS = frozenset({"mediaType", "digest", "size", "platform", "annotations", "artifactType"})
_PLATFORM_FIELDS = frozenset({"os", "architecture", "variant", "os.version", "os.features"})


def _platform(document: Mapping[str, Any] | None) -> Platform | None:
    if not document:
        return None
    return Platform(
        os=_text(document.get("os")),
        architecture=_text(document.get("architecture")),
        variant=_text(document.get("variant")),
    )


def _size(value: object) -> int:
    """Read a size; ValueError for what is none. JSON's 1e999 is infinity to Python, and true an integer."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError
    return value


def _text(value: object) -> str:
    """Read a text, empty for null, as Go's clients do; TypeError for anything else."""
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value or ""


@frozen
class Manifest:
    """A manifest or index: the exact bytes, their digest and media type."""

    media_type: str
    digest: str
    content: bytes

    @classmethod
    def of(cls, content: bytes, media_type: str) -> Manifest:
        """Name bytes by their SHA-256."""
        return cls(media_type=media_type, digest=digest_of(content), content=content)

    @property
    def document(self) -> dict[str, Any]:
        """The parsed JSON; PublishFailed when it is none."""
        try:
            document = json.loads(self.content)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise PublishFailed(f"{self.digest} is no manifest: not a JSON object")
        return document

    @property
    def is_index(self) -> bool:
        """Whether it is an OCI index or a Docker manifest list."""
        return self.media_type in INDEX_TYPES

    @property
    def own_type(self) -> str:
        """The media type its content says, or its fields imply."""
        document = self.document
        return str(document.get("mediaType") or "") or (
            OCI_INDEX if "manifests" in document else OCI_MANIFEST
        )

    @property
    def is_ambiguous(self) -> bool:
        """Whether its content is of another kind than its media type: an index called an image, or the reverse.

        Its digest then stands for two things (CVE-2021-41190). As containerd tells it (core/images validateMediaType).
        """
        if self.media_type not in INDEX_TYPES | MANIFEST_TYPES:
            return False
        document, other = self.document, MANIFEST_TYPES if self.is_index else INDEX_TYPES
        fields = ("config", "layers") if self.is_index else ("manifests",)
        said = document.get("mediaType")
        return any(document.get(field) for field in fields) or (isinstance(said, str) and said in other)

    @property
    def entries(self) -> tuple[Descriptor, ...]:
        """The entries of an index."""
        return self.listed("manifests")

    def listed(self, *fields: str) -> tuple[Descriptor, ...]:
        """Give the descriptors of fields that hold lists of them; PublishFailed for what is no list."""
        lists = [self.document.get(field) or [] for field in fields]
        if not all(isinstance(listed, list) for listed in lists):
            raise PublishFailed(f"{self.digest} is no manifest: its {' or '.join(fields)} is no list")
        return tuple(Descriptor.from_json(entry) for listed in lists for entry in listed)


def as_mapping(value: object) -> Mapping[str, Any]:
    """Take what should be a JSON object in a document of anyone's; empty where it is none."""
    return value if isinstance(value, Mapping) else {}


def digest_of(content: bytes) -> str:
    """Give `sha256:…` of bytes."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
