"""Publishes an index: children, index by digest, read-back, then the tags; what moved is put back on failure."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from multibuild.errors import PublishFailed
from multibuild.publish.copying import bring_children
from multibuild.publish.failures import RegistryError
from multibuild.publish.reference import Manifest, Reference
from multibuild.publish.store import Registries, Store
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
    """What became of one tag. `before` None: it did not exist."""

    reference: Reference
    before: str | None
    after: str | None
    status: Status


@dataclass(frozen=True, kw_only=True, slots=True)
class Published:
    """The outcome: the index and every tag."""

    index: Manifest
    tags: tuple[MovedTag, ...]


def publish(
    index: Manifest,
    destinations: Sequence[Destination],
    *,
    sources: Sequence[Reference],
    registries: Registries,
    emit: Emit,
    held_before: Mapping[tuple[str, str], str | None] = MappingProxyType({}),
) -> Published:
    """Publish `index`, whose children are at `sources` (repository@digest), to every destination.

    Events: `tag.planned` with what a tag held before any moves, `tag.ended` with what became of it. Raises
    PublishFailed after everything that had moved was put back, as far as it still held our digest.

    `held_before` tells of tags that an unfinished run moved to this index already: what they held before that, by
    (reference, index digest). They are put back to it, too, if anything fails now.
    """
    for destination in destinations:
        registry = registries.of(destination.repository.host)
        bring_children(index, destination.repository, sources, registries)
        pinned = destination.repository.with_digest(index.digest)
        registry.put_manifest(pinned, index.content, index.media_type)
        _read_back(registry, pinned, index)
    wanted = [d.repository.with_tag(tag) for d in destinations for tag in d.tags]
    before = {}
    for reference in wanted:
        held = registries.of(reference.host).head(reference)
        before[reference] = held.digest if held else None
        if before[reference] == index.digest:
            before[reference] = held_before.get((str(reference), index.digest), index.digest)
        emit("tag.planned", ref=str(reference), before=before[reference], after=index.digest)
    return Published(index=index, tags=_move(index, before, registries, emit))


def _move(
    index: Manifest, before: dict[Reference, str | None], registries: Registries, emit: Emit
) -> tuple[MovedTag, ...]:
    done: list[MovedTag] = []
    for reference, held in before.items():
        if held == index.digest:
            done.append(MovedTag(reference=reference, before=held, after=index.digest, status="unchanged"))
            _tell(done[-1], emit)
            continue
        registry = registries.of(reference.host)
        try:
            registry.put_manifest(reference, index.content, index.media_type)
            _read_back(registry, reference, index)
        except RegistryError as error:
            # The request may have arrived although its answer did not: this tag is put back like the others.
            started = [*done, MovedTag(reference=reference, before=held, after=None, status="failed")]
            outcome = [_put_back(tag, index, registries) for tag in started]
            for tag in outcome:
                _tell(tag, emit)
            said = ", ".join(f"{tag.reference} {tag.status}" for tag in outcome)
            raise PublishFailed(f"{error.message}; tags: {said}", hint=error.hint) from error
        done.append(MovedTag(reference=reference, before=held, after=index.digest, status="moved"))
        _tell(done[-1], emit)
    return tuple(done)


def _put_back(tag: MovedTag, index: Manifest, registries: Registries) -> MovedTag:
    """Give a tag its former digest, provided it holds ours now; one that was not there is deleted where possible."""
    if tag.status == "unchanged":
        return tag
    registry = registries.of(tag.reference.host)
    try:
        held = registry.head(tag.reference)
        if held is None or held.digest != index.digest:
            after = held.digest if held else None
            status: Status = "failed" if tag.status == "failed" else "left"
            return MovedTag(reference=tag.reference, before=tag.before, after=after, status=status)
        if tag.before is None:
            registry.delete(tag.reference)
        else:
            former = registry.manifest(tag.reference.with_digest(tag.before))
            registry.put_manifest(tag.reference, former.content, former.media_type)
    except RegistryError:
        return MovedTag(reference=tag.reference, before=tag.before, after=index.digest, status="left")
    return MovedTag(reference=tag.reference, before=tag.before, after=tag.before, status="put-back")


def _tell(tag: MovedTag, emit: Emit) -> None:
    emit("tag.ended", ref=str(tag.reference), before=tag.before, after=tag.after, status=tag.status)


def _read_back(registry: Store, reference: Reference, index: Manifest) -> None:
    """Read what was pushed until it shows and is the same; RegistryError or PublishFailed when it is not."""
    deadline = time.monotonic() + PATIENCE
    pause = 0.1
    while True:
        try:
            found = registry.manifest(reference)
            if found.digest == index.digest:
                return
            trouble: PublishFailed = RegistryError(
                "invalid", f"{reference} reads back as {found.digest}, not {index.digest}"
            )
        except RegistryError as error:
            if error.kind != "not-found":
                raise
            trouble = error
        if time.monotonic() > deadline:
            raise trouble
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
