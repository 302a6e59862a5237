"""Brings what an index names into the repository that is to hold it; digests stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from multibuild.errors import PublishFailed
from multibuild.publish.reference import Descriptor, Manifest, Reference
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
    """Make every manifest the index names present in the target repository: blobs, manifests, then indexes.

    Nothing is asked when the target is the only source. Raises PublishFailed when a child is in none of them.
    """
    homes = tuple(dict.fromkeys(source.with_tag(None) for source in sources))
    if [home.name for home in homes] == [target.name]:
        return
    entries = {entry.digest: entry for entry in index.entries}.values()

    def found(entry: Descriptor) -> tuple[_Found, ...]:
        if registries.of(target.host).head(target.with_digest(entry.digest)) is not None:
            return ()
        return tuple(_inside(_home_of(entry, homes, registries).with_digest(entry.digest), registries))

    missing = [item for group in registries.map(found, entries) for item in group]
    _copy_blobs(missing, target, registries)
    goal = registries.of(target.host)

    def put(item: _Found) -> None:
        held = item.manifest
        goal.put_manifest(target.with_digest(held.digest), held.content, held.media_type)

    for group in (
        [item for item in missing if not item.manifest.is_index],
        *([item] for item in missing if item.manifest.is_index),
    ):
        registries.map(put, group)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """A manifest to bring, and where it is."""

    source: Reference
    manifest: Manifest


def _inside(source: Reference, registries: Registries, *, depth: int = 0) -> Iterator[_Found]:
    """Give the manifest at `source` (a digest) after everything inside it: a registry wants the inner ones first."""
    manifest = registries.of(source.host).manifest(source)
    if manifest.is_index:
        if depth >= _DEEPEST:
            raise PublishFailed(f"{source}: indexes inside indexes, more than {_DEEPEST} deep")
        for entry in manifest.entries:
            yield from _inside(source.with_digest(entry.digest), registries, depth=depth + 1)
    yield _Found(source=source, manifest=manifest)


def _copy_blobs(missing: Sequence[_Found], target: Reference, registries: Registries) -> None:
    """Copy the blobs of all manifests at once, each once however many of them share it."""
    goal = registries.of(target.host)
    wanted = {
        blob.digest: (blob, item.source)
        for item in missing
        if not item.manifest.is_index
        for blob in blobs_of(item.manifest)
    }

    def copy(pair: tuple[Descriptor, Reference]) -> None:
        blob, source = pair
        origin = registries.of(source.host)
        goal.copy_blob(target.repository, blob, origin=origin, source=source.repository)

    registries.map(copy, wanted.values())


def _home_of(entry: Descriptor, homes: Sequence[Reference], registries: Registries) -> Reference:
    for home in homes:
        if registries.of(home.host).head(home.with_digest(entry.digest)) is not None:
            return home
    raise PublishFailed(
        f"{entry.digest} is in none of {', '.join(home.name for home in homes)}",
        hint="build it again: it was deleted meanwhile",
    )


def blobs_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Give the config and layers of a manifest, each once, without those that live elsewhere."""
    document = manifest.document
    listed = (document.get("config"), *(document.get("layers") or ()))
    blobs = {blob.digest: blob for blob in map(Descriptor.from_json, filter(None, listed))}
    return tuple(blob for blob in blobs.values() if not any(word in blob.media_type for word in _ELSEWHERE))
