"""Brings what an index names into the repository that is to hold it; digests stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, TypeVar

from multibuild.errors import PublishFailed
from multibuild.publish.reference import INDEX_TYPES, Descriptor, Manifest, Reference
from multibuild.publish.registry import Registry

# Layers that may not be distributed stay where their `urls` say (image-spec, layer.md).
_ELSEWHERE = ("nondistributable", "foreign")
_DEEPEST = 4

T = TypeVar("T")
R = TypeVar("R")


class Registries(Protocol):
    """Gives the client of each host, and does work on several things at once."""

    def of(self, host: str, /) -> Registry:
        """Give the client for a host."""

    def map(self, work: Callable[[T], R], items: Iterable[T], /) -> tuple[R, ...]:
        """Do `work` on every item, results in order; the first error is raised after all have ended."""


def bring_children(
    index: Manifest, target: Reference, sources: Sequence[Reference], registries: Registries
) -> None:
    """Make every manifest the index names present in the target repository, images before their attestations.

    Nothing is asked when the target is the only source. Raises PublishFailed when a child is in none of them.
    """
    homes = tuple(dict.fromkeys(source.with_tag(None) for source in sources))
    if [home.name for home in homes] == [target.name]:
        return
    entries = {entry.digest: entry for entry in index.entries}.values()

    def bring(entry: Descriptor) -> None:
        if registries.of(target.host).head(target.with_digest(entry.digest)) is None:
            home = _home_of(entry, homes, registries)
            copy_manifest(home.with_digest(entry.digest), target, registries)

    registries.map(bring, [entry for entry in entries if not entry.is_attestation])
    registries.map(bring, [entry for entry in entries if entry.is_attestation])


def _home_of(entry: Descriptor, homes: Sequence[Reference], registries: Registries) -> Reference:
    for home in homes:
        if registries.of(home.host).head(home.with_digest(entry.digest)) is not None:
            return home
    raise PublishFailed(
        f"{entry.digest} is in none of {', '.join(home.name for home in homes)}",
        hint="build it again: it was deleted meanwhile",
    )


def copy_manifest(source: Reference, target: Reference, registries: Registries, *, depth: int = 0) -> None:
    """Copy the manifest at `source` (a digest) with everything it names: what is inside an index comes first."""
    origin, goal = registries.of(source.host), registries.of(target.host)
    manifest = origin.manifest(source)
    if manifest.media_type in INDEX_TYPES:
        if depth >= _DEEPEST:
            raise PublishFailed(f"{source}: indexes inside indexes, more than {_DEEPEST} deep")
        for entry in manifest.entries:
            copy_manifest(source.with_digest(entry.digest), target, registries, depth=depth + 1)
    else:

        def copy(blob: Descriptor) -> None:
            goal.copy_blob(target.repository, blob, origin=origin, source=source.repository)

        registries.map(copy, blobs_of(manifest))
    goal.put_manifest(target.with_digest(manifest.digest), manifest.content, manifest.media_type)


def blobs_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Give the config and layers of a manifest, each once, without those that live elsewhere."""
    document = manifest.document
    listed = (document.get("config"), *(document.get("layers") or ()))
    blobs = {blob.digest: blob for blob in map(Descriptor.from_json, filter(None, listed))}
    return tuple(blob for blob in blobs.values() if not any(word in blob.media_type for word in _ELSEWHERE))
