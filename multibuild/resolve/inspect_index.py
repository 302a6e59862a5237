"""Inspect a published index or image: entries, sizes, platforms of the image configs, lint findings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.frozen import frozen
from multibuild.json_types import as_json
from multibuild.oci.image import read_config
from multibuild.oci.manifest import INDEX_TYPES, Descriptor, Manifest, as_mapping
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.resolve.lint_index import Finding, lint


@frozen
class InspectedEntry:
    """One image entry. `bytes` is the compressed size a node pulls; `config` the platform of the image config."""

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
        """Its media type in two words."""
        return ("docker " if "docker" in self.media_type else "oci ") + (
            "index" if self.media_type in INDEX_TYPES else "image"
        )


@frozen
class Inspection:
    """An inspected index. `size` is that of its own bytes; `subject` the digest it refers to."""

    reference: str
    media_type: str
    digest: str
    size: int
    annotations: Mapping[str, str]
    entries: tuple[InspectedEntry, ...]
    findings: tuple[Finding, ...]
    artifact_type: str = ""
    subject: str = ""

    def document(self) -> dict[str, Any]:
        """Return the JSON of `inspect --json`."""
        document: dict[str, Any] = as_json(self)
        return document


def inspect_reference(reference: Reference, registries: RegistrySession) -> Inspection:
    """Read an index and every child's config; RegistryError when it does not exist."""
    registry = registries.of(reference.host)
    index = registry.manifest(reference)
    own = index.descriptor
    descriptors = index.entries if index.is_index else (own,)
    images = [entry for entry in descriptors if not entry.is_attestation]
    attested = {entry.attests for entry in descriptors if entry.is_attestation}

    def read(entry: Descriptor) -> tuple[int | None, str]:
        if entry.media_type in INDEX_TYPES:
            return None, ""
        manifest = index if entry is own else registry.manifest(reference.with_digest(entry.digest))
        return _pull_bytes(manifest), _config_platform(reference, manifest, registries)

    # Entries may share a digest; it is read once.
    distinct = {(entry.digest, entry.media_type): entry for entry in images}
    contents = dict(zip(distinct, registries.map(read, distinct.values()), strict=True))

    entries = tuple(
        _inspected(entry, *contents[entry.digest, entry.media_type], is_attested=entry.digest in attested)
        for entry in images
    )
    document = index.document
    return Inspection(
        reference=str(reference),
        media_type=index.media_type,
        digest=index.digest,
        size=len(index.content),
        annotations=as_mapping(document.get("annotations")),
        entries=entries,
        findings=lint(descriptors, {entry.digest: entry.config for entry in entries}),
        artifact_type=str(document.get("artifactType", "")),
        subject=str(as_mapping(document.get("subject")).get("digest", "")),
    )


def _inspected(entry: Descriptor, size: int | None, config: str, *, is_attested: bool) -> InspectedEntry:
    return InspectedEntry(
        platform=str(entry.platform) if entry.platform else config,
        digest=entry.digest,
        media_type=entry.media_type,
        bytes=size,
        attested=is_attested,
        annotations=entry.annotations,
        config=config,
        os_version=entry.os_version,
        os_features=entry.os_features,
    )


def _pull_bytes(manifest: Manifest) -> int:
    size = len(manifest.content) + sum(layer.size for layer in manifest.descriptors_in("layers"))
    config = manifest.document.get("config")
    return size + (Descriptor.from_json(config).size if config else 0)


def _config_platform(reference: Reference, manifest: Manifest, registries: RegistrySession) -> str:
    config = as_mapping(manifest.document.get("config"))
    if "image" not in str(config.get("mediaType", "")):
        return ""
    return str(read_config(reference, Descriptor.from_json(config), registries.of(reference.host)).platform)
