"""Inspect a published index or image: entries, sizes, platforms of the image configs, lint findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from multibuild.errors import PublishFailed, VerificationFailed
from multibuild.frozen import frozen
from multibuild.json_types import as_json
from multibuild.oci.image import read_config
from multibuild.oci.limits import LimitExceeded
from multibuild.oci.manifest import (
    INDEX_TYPES,
    Descriptor,
    IndexEntries,
    Manifest,
    OddEntry,
    as_mapping,
)
from multibuild.oci.manifests.identity import EntryIdentity
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_session import RegistrySession
from multibuild.resolve.lint_index import Finding, lint


@frozen
class InspectedEntry:
    """One entry that is no attestation. `bytes` is the compressed size a node pulls; `config` the platform of the image
    config; `artifact` the kind of one that is no image; `problem` why it cannot be read, empty where it can.
    """

    platform: str
    digest: str
    media_type: str
    bytes: int | None
    attested: bool
    annotations: Mapping[str, str]
    config: str
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    identity: EntryIdentity | None = None
    artifact: str = ""
    problem: str = ""

    @property
    def kind(self) -> str:
        """Its media type in two words."""
        if not self.media_type:
            return "?"
        what = "index" if self.media_type in INDEX_TYPES else "artifact" if self.artifact else "image"
        return f"{'docker' if 'docker' in self.media_type else 'oci'} {what}"

    @property
    def name(self) -> str:
        """What tells it apart in the index: its platform and the like, else the platform of its config."""
        is_listed = self.identity is not None and self.identity.platform is not None
        return str(self.identity) if is_listed else self.platform or self.artifact


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
    """Read an index and every child's config; RegistryError when it does not exist.

    A child that cannot be read hides no other: its entry and a finding say why.
    """
    registry = registries.of(reference.host)
    index = registry.manifest(reference)
    own = index.descriptor
    listed = index.read_entries if index.is_index else IndexEntries(readable=(own,), odd=())
    images = [entry for entry in listed.readable if not entry.is_attestation]
    attested = {entry.attests for entry in listed.readable if entry.is_attestation}

    def read(entry: Descriptor) -> _Content:
        return _read(reference, entry, registry, manifest=index if entry is own else None)

    # Entries may share a digest; it is read once.
    distinct = {(entry.digest, entry.media_type): entry for entry in images}
    contents = dict(zip(distinct, registries.map(read, distinct.values()), strict=True))

    entries = tuple(
        _inspected(entry, contents[entry.digest, entry.media_type], is_attested=entry.digest in attested)
        for entry in images
    )
    odd = tuple(_inspected_odd(entry) for entry in listed.odd)
    document = index.document
    configs = {entry.digest: entry.config for entry in entries}
    return Inspection(
        reference=str(reference),
        media_type=index.media_type,
        digest=index.digest,
        size=len(index.content),
        annotations=as_mapping(document.get("annotations")),
        entries=(*entries, *odd),
        findings=(*_unreadable((*entries, *odd)), *lint(listed.readable, configs)),
        artifact_type=str(document.get("artifactType", "")),
        subject=index.subject,
    )


@frozen
class _Content:
    """What was read of an entry."""

    bytes: int | None = None
    config: str = ""
    artifact: str = ""
    problem: str = ""


def _read(
    reference: Reference, entry: Descriptor, registry: Registry, *, manifest: Manifest | None
) -> _Content:
    """Read an entry's manifest and config. Raises LimitExceeded only."""
    if entry.media_type in INDEX_TYPES:
        return _Content()
    pulled = None
    try:
        manifest = manifest or registry.manifest(reference.with_digest(entry.digest))
        pulled = _pull_bytes(manifest)
        if manifest.is_index or manifest.is_artifact:
            return _Content(bytes=pulled, artifact="" if manifest.is_index else manifest.artifact_type)
        config = manifest.config
        platform = read_config(reference, config, registry).platform if config else ""
        return _Content(bytes=pulled, config=str(platform))
    except LimitExceeded:
        raise
    except (PublishFailed, VerificationFailed) as error:
        return _Content(bytes=pulled, problem=error.message)


def _inspected(entry: Descriptor, content: _Content, *, is_attested: bool) -> InspectedEntry:
    return InspectedEntry(
        platform=str(entry.platform) if entry.platform else content.config,
        digest=entry.digest,
        media_type=entry.media_type,
        bytes=content.bytes,
        attested=is_attested,
        annotations=entry.annotations,
        config=content.config,
        os_version=entry.os_version,
        os_features=entry.os_features,
        identity=EntryIdentity.of(entry),
        artifact=content.artifact,
        problem=content.problem,
    )


def _inspected_odd(entry: OddEntry) -> InspectedEntry:
    return InspectedEntry(
        platform="",
        digest=entry.digest,
        media_type="",
        bytes=None,
        attested=False,
        annotations={},
        config="",
        problem=f"entry {entry.position}: {entry.problem}",
    )


def _unreadable(entries: Iterable[InspectedEntry]) -> Iterator[Finding]:
    for entry in entries:
        if entry.problem:
            name = f"{entry.name}: " if entry.name else ""
            yield Finding(kind="unreadable", detail=f"{name}{entry.problem}")


def _pull_bytes(manifest: Manifest) -> int:
    return len(manifest.content) + sum(blob.size for blob in manifest.blobs)
