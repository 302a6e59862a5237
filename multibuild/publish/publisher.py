"""Publishes an index: children, index by digest, read-back, then the tags; what moved is put back on failure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from multibuild.errors import PublishFailed
from multibuild.publish.copying import Registries, bring_children
from multibuild.publish.failures import NotFound, RegistryError
from multibuild.publish.reference import Manifest, Reference
from multibuild.publish.registry import Registry
from multibuild.record.events import Emit

PATIENCE = 20.0
"""Seconds a registry may take to show what was pushed: some are eventually consistent."""

Status = Literal["moved", "unchanged", "put-back", "left", "failed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Destination:
    """A repository and the tags the index gets there, in order."""

    repository: Reference
    tags: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class MovedTag:
    """What became of one tag. `before` None: it did not exist; `after` None: it does not, or cannot be known."""

    reference: Reference
    before: str | None
    after: str | None
    status: Status

    def __str__(self) -> str:
        return f"{self.reference} {self.status}{' (new)' if self.before is None else ''}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The outcome: the index and every tag, in the order they were moved."""

    index: Manifest
    tags: tuple[MovedTag, ...]


def publish(
    index: Manifest,
    destinations: Sequence[Destination],
    *,
    sources: Sequence[Reference],
    registries: Registries,
    emit: Emit,
    patience: float = PATIENCE,
    held_before: Mapping[tuple[str, str], str | None] = MappingProxyType({}),
) -> Published:
    """Publish `index`, whose children are at `sources` (repository@digest), to every destination.

    Events: `tag.planned` with what every tag held before any moves, `tag.ended` with what became of it (a second
    one when it was put back). `patience` is in seconds. Raises PublishFailed after everything that had moved was
    put back, as far as it still held our digest; its message says what became of each tag.

    `held_before` tells of tags that an unfinished run moved to this index already: what they held before that, by
    (reference, index digest). They are put back to it, too, if anything fails now.
    """
    for destination in destinations:
        bring_children(index, destination.repository, sources, registries)
        registry = registries.of(destination.repository.host)
        pinned = destination.repository.with_digest(index.digest)
        registry.put_manifest(pinned, index.content, index.media_type)
        _read_back(registry, pinned, index, patience)
    wanted = [d.repository.with_tag(tag) for d in destinations for tag in d.tags]
    former = dict(zip(wanted, registries.map(lambda tag: _held(tag, registries), wanted), strict=True))
    for reference, held in former.items():
        key = (str(reference), index.digest)
        if held is not None and held.digest == index.digest and key in held_before:
            earlier = held_before[key]
            former[reference] = _held(reference.with_digest(earlier), registries) if earlier else None
    for reference, held in former.items():
        emit("tag.planned", ref=str(reference), before=held.digest if held else None, after=index.digest)
    move = _Move(index=index, former=former, registries=registries, emit=emit, patience=patience)
    return Published(index=index, tags=move.all())


def _held(tag: Reference, registries: Registries) -> Manifest | None:
    """Read what a tag holds, its bytes too: a registry may drop them as soon as no tag names them."""
    try:
        return registries.of(tag.host).manifest(tag)
    except NotFound:
        return None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Move:
    """All tags to one index, or none. `former` is what each tag held before, in the order of moving."""

    index: Manifest
    former: dict[Reference, Manifest | None]
    registries: Registries
    emit: Emit
    patience: float

    def all(self) -> tuple[MovedTag, ...]:
        """Move every tag; PublishFailed after putting back when one cannot be moved."""
        done: list[MovedTag] = []
        for reference in self.former:
            try:
                done.append(self._tell(self._one(reference)))
            except PublishFailed as error:
                outcome = self._put_all_back(done, reference)
                said = ", ".join(map(str, outcome))
                raise PublishFailed(f"{error.message}; tags: {said}", hint=error.hint) from error
        return tuple(done)

    def _before(self, reference: Reference) -> str | None:
        held = self.former[reference]
        return held.digest if held else None

    def _one(self, reference: Reference) -> MovedTag:
        before = self._before(reference)
        moved = MovedTag(reference=reference, before=before, after=self.index.digest, status="moved")
        if before == self.index.digest:
            return replace(moved, status="unchanged")
        registry = self.registries.of(reference.host)
        registry.put_manifest(reference, self.index.content, self.index.media_type)
        _read_back(registry, reference, self.index, self.patience)
        return moved

    def _put_all_back(self, done: Sequence[MovedTag], failed: Reference) -> tuple[MovedTag, ...]:
        """Put back what moved, and the tag that failed too: its request may have arrived without its answer."""
        outcome = [
            tag if tag.status == "unchanged" else self._tell(self._put_back(tag)) for tag in reversed(done)
        ][::-1]
        broken = MovedTag(reference=failed, before=self._before(failed), after=None, status="failed")
        outcome.append(self._tell(self._put_back(broken)))
        started = {tag.reference for tag in outcome}
        for reference in self.former:
            if reference not in started:
                before = self._before(reference)
                never = MovedTag(reference=reference, before=before, after=before, status="unchanged")
                outcome.append(self._tell(never))
        return tuple(outcome)

    def _put_back(self, tag: MovedTag) -> MovedTag:
        """Give a tag its former digest, provided it holds ours now; one that was not there is deleted if it can be."""
        registry = self.registries.of(tag.reference.host)
        lost: Status = "failed" if tag.status == "failed" else "left"
        former = self.former[tag.reference]
        held: str | None = None
        try:
            now = registry.head(tag.reference)
            held = now.digest if now else None
            if held != self.index.digest:
                # Somebody else's, by now, or never ours.
                return replace(tag, after=held, status=lost)
            if former is None:
                registry.delete(tag.reference)
            else:
                registry.put_manifest(tag.reference, former.content, former.media_type)
        except PublishFailed:
            ours = held == self.index.digest
            return replace(tag, after=tag.after or held, status="left" if ours else lost)
        return replace(tag, after=tag.before, status="put-back")

    def _tell(self, tag: MovedTag) -> MovedTag:
        self.emit("tag.ended", ref=str(tag.reference), before=tag.before, after=tag.after, status=tag.status)
        return tag


def _read_back(registry: Registry, reference: Reference, index: Manifest, patience: float) -> None:
    """Read what was pushed until it shows and is the same; RegistryError when it never is within `patience` seconds."""
    deadline = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            found = registry.manifest(reference)
            if (found.content, found.media_type) == (index.content, index.media_type):
                return
            trouble = RegistryError(
                "invalid",
                f"{reference} reads back as {found.digest} ({found.media_type}), not {index.digest}",
                hint="is somebody else publishing to this tag?",
            )
        except NotFound as error:
            trouble = error
        if time.monotonic() > deadline:
            raise trouble
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
