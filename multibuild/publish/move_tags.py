"""Publishes an index: children, index by digest, read-back, then the tags; what moved is put back on failure."""

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
from multibuild.oci.consistency import VISIBILITY_TIMEOUT_S, wait_until_visible
from multibuild.oci.copy import MAX_PARALLEL_HEADS, copy_children
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.store import Store, Stores

T = TypeVar("T")

Status = Literal["moved", "unchanged", "put-back", "left", "failed"]


@frozen
class MovedTag:
    """What became of one tag. `before` None: it did not exist; `after` None: it does not, or nobody knows."""

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
    held_before: Mapping[tuple[str, str], str | None] = MappingProxyType({}),
) -> Published:
    """Publish `index`, whose children are at `sources` (repository@digest), to every destination.

    Events: `tag.planned` with what every tag held before any moves, `tag.ended` with what became of it (a second one
    when it was put back). Raises PublishFailed after everything that had moved was put back, as far as it still held
    our digest; its message says what became of each tag. A Ctrl-C between tags is Interrupted, after the same.

    `held_before` tells of tags that an unfinished run moved to this index already: what they held before that, by
    (reference, index digest). They are put back to it, too, if anything fails now.
    """
    for destination in destinations:
        copy_children(index, destination.repository, sources, registries)
    former = _pushed(index, destinations, registries, held_before)
    for reference, held in former.items():
        emit(TagPlanned(ref=str(reference), before=held.digest, after=index.digest))
    return Published(
        index=index, tags=_Move(index=index, former=former, registries=registries, emit=emit).all()
    )


def _pushed(
    index: Manifest,
    destinations: Sequence[Destination],
    registries: Stores,
    held_before: Mapping[tuple[str, str], str | None],
) -> dict[Reference, _Former]:
    """Push the index everywhere by its digest, then read it back and what the tags hold, all at once.

    Nothing is read while it is written: a manifest that is there already is written anew, and for that moment
    registry 2.8 answers 500 for it and for every tag that holds it.
    """
    pinned = [destination.repository.with_digest(index.digest) for destination in destinations]
    wanted = [d.repository.with_tag(tag) for d in destinations for tag in d.tags]

    def push(at: Reference) -> None:
        registries.of(at.host).put_manifest(at, index.content, index.media_type)

    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_HEADS) as pool:
        _all_of([pool.submit(push, at) for at in pinned])
        checks = [pool.submit(_read_back, registries.of(at.host), at, index) for at in pinned]
        reads = [pool.submit(_previous, tag, registries, index, held_before) for tag in wanted]
    _all_of(checks)
    return dict(zip(wanted, _all_of(reads), strict=True))


def _all_of(futures: Sequence[Future[T]]) -> list[T]:
    wait(futures)
    return [future.result() for future in futures]


@frozen
class _Former:
    """What a tag held before; `digest` None: it did not exist. The bytes too, where they could be read.

    `resumed`: an unfinished run moved it to our index already.
    """

    digest: str | None
    manifest: Manifest | None
    resumed: bool = False


def _previous(
    tag: Reference, registries: Stores, index: Manifest, held_before: Mapping[tuple[str, str], str | None]
) -> _Former:
    """Read what a tag holds, its bytes too: a registry may drop them as soon as no tag names them."""
    registry = registries.of(tag.host)
    held = _or_none(registry, tag)
    before = held_before.get((str(tag), index.digest), index.digest)
    if held is not None and held.digest == index.digest != before:
        kept = _or_none(registry, tag.with_digest(before)) if before is not None else None
        return _Former(digest=before, manifest=kept, resumed=True)
    return _Former(digest=held.digest if held else None, manifest=held)


def _or_none(registry: Store, reference: Reference) -> Manifest | None:
    try:
        return registry.manifest(reference)
    except RegistryError as error:
        if error.kind == "not-found":
            return None
        raise


@frozen
class _Move:
    """All tags to one index, or none. `former` is what each tag held before, in the order of moving."""

    index: Manifest
    former: Mapping[Reference, _Former]
    registries: Stores
    emit: Emit

    def all(self) -> tuple[MovedTag, ...]:
        """Move every tag; PublishFailed after putting back when one cannot be moved, Interrupted after a Ctrl-C.

        A run moves tags in a thread, which no Ctrl-C reaches; `merge TARGET SOURCE...` has nothing to resume from.
        """
        done: list[MovedTag] = []
        for reference in self.former:
            try:
                done.append(self._tell(self._one(reference)))
            except (PublishFailed, KeyboardInterrupt) as error:
                outcome = self._put_all_back(done, reference)
                said = ", ".join(f"{tag.reference} {tag.status}" for tag in outcome)
                if isinstance(error, KeyboardInterrupt):
                    raise Interrupted(f"interrupted; tags: {said}") from error
                raise PublishFailed(f"{error.message}; tags: {said}", hint=error.hint) from error
        return tuple(done)

    def _one(self, reference: Reference) -> MovedTag:
        before = self.former[reference].digest
        moved = MovedTag(reference=reference, before=before, after=self.index.digest, status="moved")
        if before == self.index.digest:
            return replace(moved, status="unchanged")
        registry = self.registries.of(reference.host)
        registry.put_manifest(reference, self.index.content, self.index.media_type)
        _read_back(registry, reference, self.index)
        return moved

    def _put_all_back(self, done: Sequence[MovedTag], failed: Reference) -> tuple[MovedTag, ...]:
        """Put back what moved, newest first, and the tag that failed too: its request may have arrived unanswered."""
        broken = MovedTag(reference=failed, before=self.former[failed].digest, after=None, status="failed")
        outcome = [
            tag if tag.status == "unchanged" else self._tell(self._rollback(tag))
            for tag in reversed([*done, broken])
        ][::-1]
        for reference in list(self.former)[len(outcome) :]:
            outcome.append(self._tell(self._untouched(reference)))
        return tuple(outcome)

    def _untouched(self, reference: Reference) -> MovedTag:
        """Say of a tag that was never come to what it holds; what an unfinished run moved is put back."""
        former = self.former[reference]
        tag = MovedTag(reference=reference, before=former.digest, after=former.digest, status="unchanged")
        moved = replace(tag, after=self.index.digest, status="moved")
        return self._rollback(moved) if former.resumed else tag

    def _rollback(self, tag: MovedTag) -> MovedTag:
        """Give a tag its former digest, provided it holds ours now; one that was not there is deleted if it can be."""
        lost: Status = "failed" if tag.status == "failed" else "left"
        held, ours = tag.after, False
        try:
            held = self._held(tag.reference)
            ours = held == self.index.digest
            if ours:
                self._restore(tag.reference)
                held = tag.before
        except PublishFailed:
            # It may have been done although its answer did not arrive.
            with contextlib.suppress(PublishFailed):
                held = self._held(tag.reference)
        if held == self.index.digest:
            return replace(tag, after=held, status="left")
        # What is not ours now is somebody else's, or never was ours: then it is not for us to change.
        return replace(tag, after=held, status="put-back" if ours else lost)

    def _held(self, reference: Reference) -> str | None:
        held = self.registries.of(reference.host).head(reference)
        return held.digest if held else None

    def _restore(self, reference: Reference) -> None:
        former, registry = self.former[reference], self.registries.of(reference.host)
        if former.digest is None:
            registry.delete(reference)
        elif former.manifest is not None:
            registry.put_manifest(reference, former.manifest.content, former.manifest.media_type)
        else:
            raise PublishFailed(f"{reference}: what it held, {former.digest}, is no longer there")

    def _tell(self, tag: MovedTag) -> MovedTag:
        self.emit(TagEnded(ref=str(tag.reference), before=tag.before, after=tag.after, status=tag.status))
        return tag


def _read_back(registry: Store, reference: Reference, index: Manifest) -> None:
    """Read the tag back until it is the pushed index; RegistryError when it is not within VISIBILITY_TIMEOUT_S."""

    def look() -> RegistryError | None:
        found = registry.manifest(reference)
        if (found.content, found.media_type) == (index.content, index.media_type):
            return None
        return RegistryError(
            "invalid",
            f"{reference} reads back as {found.digest} ({found.media_type}), not {index.digest}",
            hint="is somebody else publishing to this tag?",
        )

    wait_until_visible(look, timeout_s=VISIBILITY_TIMEOUT_S)
