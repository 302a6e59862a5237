"""Looks at a published index or image and says what a person wants to know of it, traps included."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.frozen import frozen
from multibuild.json_types import as_json
from multibuild.oci.image import read_config
from multibuild.oci.manifest import INDEX_TYPES, Descriptor, Manifest, as_mapping
from multibuild.oci.reference import Reference
from multibuild.oci.registries import RegistrySession
from multibuild.resolve.lint_index import Finding, lint


@frozen
class Entry:
    """One image entry. `bytes` is what a node pulls (compressed); `config` the platform its image config says."""

    platform: str
    digest: str
    media_type: str
    bytes: int | None
    attested: bool
    annotations: Mapping[str, str]
    config: str
    os_version: str = ""
    os_features: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """Its media type in a word."""
        return ("docker " if "docker" in self.media_type else "oci ") + (
            "index" if self.media_type in INDEX_TYPES else "image"
        )


@frozen
class Inspection:
    """What `inspect` shows. `size` is that of the index's own bytes; `subject` the digest it refers to."""

    reference: str
    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str]
    entries: tuple[Entry, ...]
    findings: tuple[Finding, ...]
    artifact_type: str = ""
    subject: str = ""

    def document(self) -> dict[str, Any]:
        """Give `inspect --json`."""
        document: dict[str, Any] = as_json(self)
        return document


def look_at(reference: Reference, registries: RegistrySession) -> Inspection:
    """Read an index and every child's config; RegistryError when it is not there."""
    registry = registries.of(reference.host)
    found = registry.manifest(reference)
    own = Descriptor(media_type=found.media_type, digest=found.digest, size=len(found.content))
    listed = found.entries if found.is_index else (own,)
    images = [entry for entry in listed if not entry.is_attestation]
    attested = {entry.attests for entry in listed if entry.is_attestation}

    def read(entry: Descriptor) -> Entry:
        size, config = None, ""
        if entry.media_type not in INDEX_TYPES:
            manifest = found if entry is own else registry.manifest(reference.with_digest(entry.digest))
            size, config = _weigh(manifest), _config_platform(reference, manifest, registries)
        return Entry(
            platform=str(entry.platform) if entry.platform else config,
            digest=entry.digest,
            media_type=entry.media_type,
            bytes=size,
            attested=entry.digest in attested,
            annotations=entry.annotations,
            config=config,
            os_version=entry.os_version,
            os_features=entry.os_features,
        )

    entries = registries.map(read, images)
    document = found.document
    return Inspection(
        reference=str(reference),
        media_type=found.media_type,
        digest=found.digest,
        size=len(found.content),
        annotations=as_mapping(document.get("annotations")),
        entries=entries,
        findings=lint(listed, {entry.digest: entry.config for entry in entries}),
        artifact_type=str(document.get("artifactType", "")),
        subject=str(as_mapping(document.get("subject")).get("digest", "")),
    )


def _weigh(manifest: Manifest) -> int:
    weight = len(manifest.content) + sum(layer.size for layer in manifest.listed("layers"))
    config = manifest.document.get("config")
    return weight + (Descriptor.from_json(config).size if config else 0)


def _config_platform(reference: Reference, manifest: Manifest, registries: RegistrySession) -> str:
    described = as_mapping(manifest.document.get("config"))
    if "image" not in str(described.get("mediaType", "")):
        return ""
    return str(
        read_config(reference, Descriptor.from_json(described), registries.of(reference.host)).platform
    )
