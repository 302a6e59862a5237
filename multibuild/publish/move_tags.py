"""Publish an index: children, index by digest, read-back, then the tags, which are rolled back on failure."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from dataclasses import field, replace
from types import MappingProxyType
from typing import Literal, TypeVar

from multibuild.errors import EnvironmentFault, Interrupted, MultibuildError, PublishFailed
from multibuild.frozen import frozen
from multibuild.journal.events import Emit, TagEnded, TagPlanned
from multibuild.oci.copy.children import MAX_PARALLEL_HEADS, copy_children
from multibuild.oci.copy.companions import OPTIONAL, CompanionPolicy, list_subject
from multibuild.oci.copy.consistency import VISIBILITY_TIMEOUT_S, put_index, wait_until_visible
from multibuild.oci.copy.copier import Observe, Repository, ignore_bytes
from multibuild.oci.copy.target import stored_manifest
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.store import Store, Stores

T = TypeVar("T")

MAX_PARALLEL_SIGNERS = 4
"""Images that are signed at once: each takes a process that computes."""

Status = Literal["planned", "moved", "unchanged", "put-back", "left", "failed"]


@frozen
class MovedTag:
    """The outcome of one tag. `before` None: it did not exist; `after` None: it does not exist, or is unknown."""

    reference: Reference
    before: str | None
    after: str | None
    status: Status

    def as_row(self) -> dict[str, str | None]:
        """Return it as in report.json's `published`."""
        return {
            "ref": str(self.reference),
            "before": self.before,
            "after": self.after,
            "status": self.status,
        }


@frozen
class Published:
    """The outcome: the index and every tag, in the order they were moved."""

    index: Manifest
    tags: tuple[MovedTag, ...]


@frozen
class Publication:
    """An index, its children (repository@digest) at `sources`, and the repositories and tags that receive it.

    `stores` are where sources and destinations are; `emit` records what happens to its tags. `previous_digests` is for
    tags that an unfinished run moved, to this index or to another: their digests before that, by (reference, digest
    that it moved them to). They are rolled back to these, too, if anything fails now. `observe` gets the sizes of
    uploaded chunks. `sign` signs what was pushed, before any tag moves; None: it is not signed.
    """

    index: Manifest
    destinations: tuple[Destination, ...]
    sources: tuple[Reference, ...]
    stores: Stores
    emit: Emit
    previous_digests: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    observe: Observe = ignore_bytes
    sign: Callable[[Publication], None] | None = None


def publish(
    index: Manifest,
    destinations: Sequence[Destination],
    *,
    sources: Sequence[Reference],
    registries: Stores,
    emit: Emit,
    previous_digests: Mapping[tuple[str, str], str | None] = MappingProxyType({}),
    companions: CompanionPolicy = OPTIONAL,
    observe: Observe = ignore_bytes,
) -> Published:
    """Publish one index to every destination as `publish_together` does."""
    publication = Publication(
        index=index,
        destinations=tuple(destinations),
        sources=tuple(sources),
        stores=registries,
        emit=emit,
        previous_digests=previous_digests,
        observe=observe,
    )
    return publish_together([publication], companions=companions)[0]


def publish_together(
    publications: Sequence[Publication], *, companions: CompanionPolicy = OPTIONAL
) -> tuple[Published, ...]:
    """Publish every index to all of its destinations, across repositories and registries, or move no tag.

    Events: `tag.planned` with each tag's digest before any moves, `tag.ended` with its outcome (a second one when it
    was rolled back). Raises PublishFailed after rolling back every moved tag that still had its index's digest, also
    those that an unfinished run moved; its message lists the outcome of each tag. A Ctrl-C between tags raises
    Interrupted, after the same.
    """
    try:
        tags = _push_and_sign(publications, companions)
    except PublishFailed as error:
        restored = _roll_back_unfinished(publications)
        if not restored:
            raise
        raise _with_outcome(error, restored) from error
    for tag in tags:
        tag.publication.emit(
            TagPlanned(ref=str(tag.reference), before=tag.digest, after=tag.publication.index.digest)
        )
    moved = _Move(tags=tags).move_all()
    outcomes = list(zip(tags, moved, strict=True))
    return tuple(
        Published(
            index=publication.index,
            tags=tuple(outcome for tag, outcome in outcomes if tag.publication is publication),
        )
        for publication in publications
    )


def _push_and_sign(publications: Sequence[Publication], companions: CompanionPolicy) -> tuple[_Tag, ...]:
    """Push children and indexes, and sign them; return what the tags hold after that."""
    for publication in publications:
        for destination in publication.destinations:
            copy_children(
                publication.index,
                destination.repository,
                publication.sources,
                publication.stores,
                companions=companions,
                observe=publication.observe,
            )
    tags = _push_indexes(publications, companions)
    if not any(publication.sign for publication in publications):
        return tags
    _sign(publications)
    # Another process may have moved a tag meanwhile.
    return _read_tags(publications)


def _push_indexes(publications: Sequence[Publication], companions: CompanionPolicy) -> tuple[_Tag, ...]:
    """Push each index everywhere by its digest, then read back indexes and tags, all at once.

    Nothing is read while it is written: registry 2.8 rewrites an existing manifest, and answers 500 meanwhile for it
    and for every tag that has it.
    """
    pinned = [
        (publication, destination.repository.with_digest(publication.index.digest))
        for publication in publications
        for destination in publication.destinations
    ]

    def push(publication: Publication, reference: Reference) -> None:
        store = publication.stores.of(reference.host)
        noted = put_index(store, reference, publication.index)
        target = Repository(reference=reference.with_tag(None), store=store)
        list_subject(publication.index, target, noted, companions)

    def check(publication: Publication, reference: Reference) -> None:
        _read_back(publication.stores.of(reference.host), reference, publication.index)

    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_HEADS) as pool:
        _results([pool.submit(push, *place) for place in pinned])
        checks = [pool.submit(check, *place) for place in pinned]
        reads = _start_reads(publications, pool)
    _results(checks)
    return tuple(_results(reads))


def _read_tags(publications: Sequence[Publication]) -> tuple[_Tag, ...]:
    """Read what all tags hold now."""
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_HEADS) as pool:
        return tuple(_results(_start_reads(publications, pool)))


def _start_reads(publications: Sequence[Publication], pool: Executor) -> list[Future[_Tag]]:
    names = {
        destination.repository.with_tag(name): publication
        for publication in publications
        for destination in publication.destinations
        for name in destination.tags
    }
    return [pool.submit(_read_previous, tag, publication) for tag, publication in names.items()]


def _sign(publications: Sequence[Publication]) -> None:
    """Sign every index that is to be signed; raises what the first that failed raised, after all have ended."""
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_SIGNERS) as pool:
        signing = [
            pool.submit(publication.sign, publication)
            for publication in publications
            if publication.sign is not None
        ]
    _results(signing)


def _results(futures: Sequence[Future[T]]) -> list[T]:
    wait(futures)
    return [future.result() for future in futures]


@frozen
class _Tag:
    """A tag to move, and its manifest before this run: `digest` None: no such tag, `manifest` None: not readable.

    `unfinished` is what an unfinished run moved the tag to: it is rolled back, too. None where none did.
    """

    publication: Publication
    reference: Reference
    digest: str | None
    manifest: Manifest | None
    unfinished: str | None = None

    @property
    def index(self) -> Manifest:
        """The index that it is moved to."""
        return self.publication.index

    @property
    def store(self) -> Store:
        """Where it is."""
        return self.publication.stores.of(self.reference.host)

    def is_ours(self, digest: str | None) -> bool:
        """Whether this run or the unfinished one moved the tag to a digest."""
        return digest is not None and digest in {self.index.digest, self.unfinished}

    def outcome(self, after: str | None, status: Status) -> MovedTag:
        """Return an outcome of this tag."""
        return MovedTag(reference=self.reference, before=self.digest, after=after, status=status)

    def report(self, outcome: MovedTag) -> MovedTag:
        """Record an outcome and return it."""
        self.publication.emit(
            TagEnded(
                ref=str(self.reference), before=outcome.before, after=outcome.after, status=outcome.status
            )
        )
        return outcome

    def try_report(self, outcome: MovedTag) -> MovedTag:
        """Record an outcome if the journal can be written, and return it: no other tag waits for that."""
        with contextlib.suppress(EnvironmentFault):
            self.report(outcome)
        return outcome


def _read_previous(tag: Reference, publication: Publication) -> _Tag:
    """Read a tag's manifest with its bytes: a registry may drop them as soon as no tag has them."""
    store = publication.stores.of(tag.host)
    current = stored_manifest(store, tag)
    digest = current.digest if current else None
    before = publication.previous_digests.get((str(tag), digest or ""), digest)
    if digest == before:
        return _Tag(publication=publication, reference=tag, digest=digest, manifest=current)
    manifest = stored_manifest(store, tag.with_digest(before)) if before is not None else None
    return _Tag(publication=publication, reference=tag, digest=before, manifest=manifest, unfinished=digest)


@frozen
class _Move:
    """Moves all tags to their indexes, in order, or none."""

    tags: tuple[_Tag, ...]

    def move_all(self) -> tuple[MovedTag, ...]:
        """Move every tag; after rolling back, PublishFailed when one cannot be moved, Interrupted after a Ctrl-C.

        Tags are rolled back after any other error, too: that of a journal that cannot be written.
        A run moves tags in a thread, which no Ctrl-C reaches; `merge TARGET SOURCE...` has nothing to resume from.
        """
        moved: list[MovedTag] = []
        for tag in self.tags:
            try:
                moved.append(tag.report(_move(tag)))
            except (Exception, KeyboardInterrupt) as error:
                outcome = self._roll_back_all(moved)
                if isinstance(error, KeyboardInterrupt):
                    raise Interrupted(f"interrupted; tags: {_statuses(outcome)}") from error
                if not isinstance(error, MultibuildError):
                    raise
                raise _with_outcome(error, outcome) from error
        return tuple(moved)

    def _roll_back_all(self, moved: Sequence[MovedTag]) -> tuple[MovedTag, ...]:
        """Roll back the moved tags, newest first, and the failed one: its request may have arrived unanswered."""
        failed, unmoved = self.tags[len(moved)], self.tags[len(moved) + 1 :]
        touched = zip(self.tags, [*moved, failed.outcome(None, "failed")], strict=False)
        outcome = [
            done if done.status == "unchanged" else tag.try_report(_roll_back(tag, done))
            for tag, done in reversed(list(touched))
        ][::-1]
        return (*outcome, *(tag.try_report(_roll_back_unmoved(tag)) for tag in unmoved))


def _with_outcome(error: MultibuildError, tags: Sequence[MovedTag]) -> MultibuildError:
    message = f"{error.message}; tags: {_statuses(tags)}"
    if isinstance(error, PublishFailed):
        return PublishFailed(message, hint=error.hint)
    return error.with_message(message)


def _statuses(tags: Sequence[MovedTag]) -> str:
    return ", ".join(f"{tag.reference} {tag.status}" for tag in tags)


def _move(tag: _Tag) -> MovedTag:
    moved = tag.outcome(tag.index.digest, "moved")
    if moved.before == tag.index.digest and tag.unfinished is None:
        return replace(moved, status="unchanged")
    put_index(tag.store, tag.reference, tag.index)
    _read_back(tag.store, tag.reference, tag.index)
    return moved


def _roll_back_unfinished(publications: Sequence[Publication]) -> tuple[MovedTag, ...]:
    """Roll back the tags that an unfinished run moved, of those that can be read."""
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_HEADS) as pool:
        reads = _start_reads([one for one in publications if one.previous_digests], pool)
    tags = [read.result() for read in reads if read.exception() is None]
    return tuple(tag.try_report(_roll_back_unmoved(tag)) for tag in tags if tag.unfinished is not None)


def _roll_back_unmoved(tag: _Tag) -> MovedTag:
    """Roll back a tag that only an unfinished run moved; any other is unchanged."""
    if tag.unfinished is None:
        return tag.outcome(tag.digest, "unchanged")
    return _roll_back(tag, tag.outcome(tag.unfinished, "moved"))


def _roll_back(tag: _Tag, outcome: MovedTag) -> MovedTag:
    """Restore a tag that still is where this run or the unfinished one moved it.

    A new tag is deleted where the registry can.
    """
    foreign: Status = "failed" if outcome.status == "failed" else "left"
    current, is_ours = outcome.after, False
    try:
        current = _current_digest(tag)
        is_ours = tag.is_ours(current)
        if is_ours:
            _restore(tag)
            current = tag.digest
    except PublishFailed:
        # The registry may have done it although its response was lost.
        with contextlib.suppress(PublishFailed):
            current = _current_digest(tag)
    if tag.is_ours(current) and current != tag.digest:
        return replace(outcome, after=current, status="left")
    # A tag with another digest was moved by another process, or never by this run: it is not changed.
    return replace(outcome, after=current, status="put-back" if is_ours else foreign)


def _current_digest(tag: _Tag) -> str | None:
    current = tag.store.head(tag.reference)
    return current.digest if current else None


def _restore(tag: _Tag) -> None:
    if tag.digest is None:
        tag.store.delete(tag.reference)
    elif tag.manifest is not None:
        tag.store.put_manifest(tag.reference, tag.manifest.content, tag.manifest.media_type)
    else:
        raise PublishFailed(f"{tag.reference}: what it held, {tag.digest}, is no longer there")


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
