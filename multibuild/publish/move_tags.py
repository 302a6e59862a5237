"""Publish an index: children, index by digest, read-back, then the tags, which are rolled back on failure."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import replace
from types import MappingProxyType
from typing import Literal, TypeVar

from multibuild.errors import Interrupted, PublishFailed
from multibuild.frozen import frozen
from multibuild.journal.events import Emit, TagEnded, TagPlanned
from multibuild.oci.copy.children import MAX_PARALLEL_HEADS, copy_children
from multibuild.oci.copy.companions import OPTIONAL, CompanionPolicy, list_subject
from multibuild.oci.copy.consistency import VISIBILITY_TIMEOUT_S, put_index, wait_until_visible
from multibuild.oci.copy.copier import Repository
from multibuild.oci.copy.target import stored_manifest
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.store import Store, Stores

T = TypeVar("T")

Status = Literal["moved", "unchanged", "put-back", "left", "failed"]


@frozen
class MovedTag:
    """The outcome of one tag. `before` None: it did not exist; `after` None: it does not exist, or is unknown."""

    reference: Reference
    before: str | None
    after: str | None
    status: Status


@frozen
class Published:
    """The outcome: the index and every tag, in the order they were moved."""

    index: Manifest
    tags: tuple[MovedTag, ...]


def publish(
    index: Manifest,
    destinations: Sequence[Destination],
    *,
    sources: Sequence[Reference],
    registries: Stores,
    emit: Emit,
    previous_digests: Mapping[tuple[str, str], str | None] = MappingProxyType({}),
    companions: CompanionPolicy = OPTIONAL,
) -> Published:
    """Publish `index`, whose children are at `sources` (repository@digest), to every destination.

    Events: `tag.planned` with each tag's digest before any moves, `tag.ended` with its outcome (a second one when it
    was rolled back). Raises PublishFailed after rolling back every moved tag that still had the index's digest; its
    message lists the outcome of each tag. A Ctrl-C between tags raises Interrupted, after the same.

    `previous_digests` is for tags that an unfinished run moved to this index already: their digests before that, by
    (reference, index digest). They are rolled back to these, too, if anything fails now.
    """
    for destination in destinations:
        copy_children(index, destination.repository, sources, registries, companions=companions)
    previous = _push_index(index, destinations, registries, previous_digests, companions)
    for reference, state in previous.items():
        emit(TagPlanned(ref=str(reference), before=state.digest, after=index.digest))
    move = _Move(index=index, previous=previous, registries=registries, emit=emit)
    return Published(index=index, tags=move.move_all())


def _push_index(
    index: Manifest,
    destinations: Sequence[Destination],
    registries: Stores,
    previous_digests: Mapping[tuple[str, str], str | None],
    companions: CompanionPolicy,
) -> dict[Reference, _Previous]:
    """Push the index everywhere by its digest, then read back the index and the tags, all at once.

    Nothing is read while it is written: registry 2.8 rewrites an existing manifest, and answers 500 meanwhile for it
    and for every tag that has it.
    """
    pinned = [destination.repository.with_digest(index.digest) for destination in destinations]
    tags = [d.repository.with_tag(tag) for d in destinations for tag in d.tags]

    def push(reference: Reference) -> None:
        store = registries.of(reference.host)
        noted = put_index(store, reference, index)
        target = Repository(reference=reference.with_tag(None), store=store)
        list_subject(index, target, noted, companions)

    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_HEADS) as pool:
        _results([pool.submit(push, reference) for reference in pinned])
        checks = [pool.submit(_read_back, registries.of(ref.host), ref, index) for ref in pinned]
        reads = [pool.submit(_read_previous, tag, registries, index, previous_digests) for tag in tags]
    _results(checks)
    return dict(zip(tags, _results(reads), strict=True))


def _results(futures: Sequence[Future[T]]) -> list[T]:
    wait(futures)
    return [future.result() for future in futures]


@frozen
class _Previous:
    """A tag's manifest before this run; `digest` None: no such tag, `manifest` None: its bytes cannot be read.

    `resumed`: an unfinished run moved the tag to the index already.
    """

    digest: str | None
    manifest: Manifest | None
    resumed: bool = False


def _read_previous(
    tag: Reference,
    registries: Stores,
    index: Manifest,
    previous_digests: Mapping[tuple[str, str], str | None],
) -> _Previous:
    """Read a tag's manifest with its bytes: a registry may drop them as soon as no tag has them."""
    registry = registries.of(tag.host)
    current = stored_manifest(registry, tag)
    before = previous_digests.get((str(tag), index.digest), index.digest)
    if current is not None and current.digest == index.digest != before:
        manifest = stored_manifest(registry, tag.with_digest(before)) if before is not None else None
        return _Previous(digest=before, manifest=manifest, resumed=True)
    return _Previous(digest=current.digest if current else None, manifest=current)


@frozen
class _Move:
    """Moves all tags to one index, or none. `previous` is in the order of moving."""

    index: Manifest
    previous: Mapping[Reference, _Previous]
    registries: Stores
    emit: Emit

    def move_all(self) -> tuple[MovedTag, ...]:
        """Move every tag; after rolling back, PublishFailed when one cannot be moved, Interrupted after a Ctrl-C.

        A run moves tags in a thread, which no Ctrl-C reaches; `merge TARGET SOURCE...` has nothing to resume from.
        """
        moved: list[MovedTag] = []
        for reference in self.previous:
            try:
                moved.append(self._report(self._move(reference)))
            except (PublishFailed, KeyboardInterrupt) as error:
                outcome = self._roll_back_all(moved, reference)
                statuses = ", ".join(f"{tag.reference} {tag.status}" for tag in outcome)
                if isinstance(error, KeyboardInterrupt):
                    raise Interrupted(f"interrupted; tags: {statuses}") from error
                raise PublishFailed(f"{error.message}; tags: {statuses}", hint=error.hint) from error
        return tuple(moved)

    def _move(self, reference: Reference) -> MovedTag:
        moved = self._tag(reference, self.index.digest, "moved")
        if moved.before == self.index.digest:
            return replace(moved, status="unchanged")
        registry = self.registries.of(reference.host)
        put_index(registry, reference, self.index)
        _read_back(registry, reference, self.index)
        return moved

    def _roll_back_all(self, moved: Sequence[MovedTag], failed: Reference) -> tuple[MovedTag, ...]:
        """Roll back the moved tags, newest first, and the failed one: its request may have arrived unanswered."""
        tags = [*moved, self._tag(failed, None, "failed")]
        outcome = [
            tag if tag.status == "unchanged" else self._report(self._roll_back(tag)) for tag in reversed(tags)
        ][::-1]
        for reference in list(self.previous)[len(outcome) :]:
            outcome.append(self._report(self._roll_back_unmoved(reference)))
        return tuple(outcome)

    def _roll_back_unmoved(self, reference: Reference) -> MovedTag:
        """Roll back a tag that only an unfinished run moved; any other is unchanged."""
        previous = self.previous[reference]
        if not previous.resumed:
            return self._tag(reference, previous.digest, "unchanged")
        return self._roll_back(self._tag(reference, self.index.digest, "moved"))

    def _tag(self, reference: Reference, after: str | None, status: Status) -> MovedTag:
        before = self.previous[reference].digest
        return MovedTag(reference=reference, before=before, after=after, status=status)

    def _roll_back(self, tag: MovedTag) -> MovedTag:
        """Restore a tag that still has the index's digest; a new tag is deleted where the registry can."""
        foreign: Status = "failed" if tag.status == "failed" else "left"
        current, is_ours = tag.after, False
        try:
            current = self._current_digest(tag.reference)
            is_ours = current == self.index.digest
            if is_ours:
                self._restore(tag.reference)
                current = tag.before
        except PublishFailed:
            # The registry may have done it although its response was lost.
            with contextlib.suppress(PublishFailed):
                current = self._current_digest(tag.reference)
        if current == self.index.digest:
            return replace(tag, after=current, status="left")
        # A tag with another digest was moved by another process, or never by this run: it is not changed.
        return replace(tag, after=current, status="put-back" if is_ours else foreign)

    def _current_digest(self, reference: Reference) -> str | None:
        current = self.registries.of(reference.host).head(reference)
        return current.digest if current else None

    def _restore(self, reference: Reference) -> None:
        previous, registry = self.previous[reference], self.registries.of(reference.host)
        if previous.digest is None:
            registry.delete(reference)
        elif previous.manifest is not None:
            registry.put_manifest(reference, previous.manifest.content, previous.manifest.media_type)
        else:
            raise PublishFailed(f"{reference}: what it held, {previous.digest}, is no longer there")

    def _report(self, tag: MovedTag) -> MovedTag:
        self.emit(TagEnded(ref=str(tag.reference), before=tag.before, after=tag.after, status=tag.status))
        return tag


def _read_back(registry: Store, reference: Reference, index: Manifest) -> None:
    """Read the tag back until it is the pushed index; RegistryError when it is not within VISIBILITY_TIMEOUT_S."""

    def check() -> RegistryError | None:
        manifest = registry.manifest(reference)
        if (manifest.content, manifest.media_type) == (index.content, index.media_type):
            return None
        return RegistryError(
            "invalid",
            f"{reference} reads back as {manifest.digest} ({manifest.media_type}), not {index.digest}",
            hint="is somebody else publishing to this tag?",
        )

    wait_until_visible(check, timeout_s=VISIBILITY_TIMEOUT_S)
