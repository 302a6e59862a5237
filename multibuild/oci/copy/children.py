"""Copy the children of an index to its repository, with their signatures, and verify that none is missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait

from multibuild.errors import PublishFailed
from multibuild.frozen import frozen
from multibuild.oci.copy.companions import OPTIONAL, CompanionCopier, CompanionPolicy, Step
from multibuild.oci.copy.consistency import VISIBILITY_TIMEOUT_S, wait_until_visible
from multibuild.oci.copy.copier import Copier, Observe, Repository, ignore_bytes
from multibuild.oci.copy.target import stored_descriptor, stored_manifest
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import MAX_INDEX_DEPTH
from multibuild.oci.manifest import INDEX_TYPES, Descriptor, Manifest, require_agreement
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store, Stores

MAX_PARALLEL_COPIES = 16
"""Manifests, which mostly wait for their blobs."""

MAX_PARALLEL_BLOBS = 16
"""Blobs of all of them together; a small registry is not overloaded."""

MAX_PARALLEL_HEADS = 16
"""Existence checks: over a slow link the twelve of most indexes then take the time of one."""


def copy_children(
    index: Manifest,
    target: Reference,
    sources: Sequence[Reference],
    registries: Stores,
    *,
    companions: CompanionPolicy = OPTIONAL,
    observe: Observe = ignore_bytes,
) -> None:
    """Copy every manifest that `index` lists to the target repository, and verify that it is complete.

    `sources` are repositories; one with a digest is the source of just that digest. Where `index` is no index but an
    image, it is copied itself. Artifacts that refer to what is copied (signatures) are copied too, as referrers or,
    where the target has none, under the fallback tag. Raises PublishFailed for a child that is in no source,
    RegistryError when a registry fails or an entry contradicts its manifest.
    """
    repositories = {
        source.name: Repository(reference=source, store=registries.of(source.host)) for source in sources
    }
    is_in_place = set(repositories) == {target.name}
    if is_in_place and companions.mode != "required":
        _require_complete(index, target, registries.of(target.host), timeout_s=0.0)
        return
    with (
        ThreadPoolExecutor(max_workers=MAX_PARALLEL_BLOBS) as blobs,
        ThreadPoolExecutor(max_workers=MAX_PARALLEL_HEADS) as lookups,
        ThreadPoolExecutor(max_workers=MAX_PARALLEL_COPIES) as pool,
    ):
        copier = Copier(
            target=Repository(reference=target.with_tag(None), store=registries.of(target.host)),
            blob_pool=blobs,
            observe=observe,
        )
        children = _ChildCopier(
            copier=copier,
            companions=CompanionCopier(copier=copier, policy=companions),
            repositories=tuple(repositories.values()),
            by_digest={source.digest: repositories[source.name] for source in sources if source.digest},
            lookups=lookups,
        )
        children.copy_all(index, pool)
    timeout_s = 0.0 if is_in_place else VISIBILITY_TIMEOUT_S
    _require_complete(index, target, registries.of(target.host), timeout_s=timeout_s)


@frozen
class _ChildCopier:
    """Copies manifests with their companions, which are looked for meanwhile. `by_digest`: sources that are known."""

    copier: Copier
    companions: CompanionCopier
    repositories: tuple[Repository, ...]
    by_digest: Mapping[str, Repository]
    lookups: Executor

    def copy_all(self, index: Manifest, pool: Executor) -> None:
        """Copy what an index lists, or the image that it is; then what refers to itself, where its source is known."""
        of_index = (
            self._start_lookups(index.digest, self.by_digest.get(index.digest)) if index.is_index else []
        )
        entries = index.entries if index.is_index else (index.descriptor,)
        distinct = {entry.digest: entry for entry in entries}
        futures = [pool.submit(self._copy, entry) for entry in distinct.values()]
        wait(futures)
        for future in futures:
            future.result()
        _finish_lookups(of_index)
        self.companions.finish(index)

    def _copy(self, entry: Descriptor) -> None:
        known = self.by_digest.get(entry.digest)
        early = self._start_lookups(entry.digest, known)
        exists = self.copier.has_manifest(entry.digest)
        source = known or _source_of(entry.digest, self.repositories, is_required=not exists)
        if source is None or not self._is_copied_from(source):
            return
        if not exists:
            self.copier.copy_manifest(entry.digest, source)
        _finish_lookups(early if known else self._start_lookups(entry.digest, source))
        if entry.media_type in INDEX_TYPES:
            for inner in _digests_below(entry.digest, source):
                _finish_lookups(self._start_lookups(inner, source))

    def _is_copied_from(self, source: Repository) -> bool:
        is_elsewhere = source.reference.name != self.copier.target.reference.name
        return is_elsewhere or self.companions.policy.mode == "required"

    def _start_lookups(self, digest: str, source: Repository | None) -> list[Future[Step | None]]:
        """Start to look for the companions of a manifest at a source that it is copied from."""
        if source is None or not self._is_copied_from(source):
            return []
        return [self.lookups.submit(look) for look in self.companions.find(digest, source)]


def _finish_lookups(lookups: Iterable[Future[Step | None]]) -> None:
    """Copy what was found: only now, as it refers to what has to be there first."""
    for lookup in lookups:
        step = lookup.result()
        if step is not None:
            step()


def _digests_below(digest: str, source: Repository, depth: int = 1) -> Iterator[str]:
    """Return what an index within an index lists, and the indexes in it; copying it has checked how deep they go."""
    for entry in source.store.manifest(source.reference.with_digest(digest)).entries:
        yield entry.digest
        if entry.media_type in INDEX_TYPES and depth < MAX_INDEX_DEPTH:
            yield from _digests_below(entry.digest, source, depth + 1)


def _require_complete(index: Manifest, target: Reference, store: Store, *, timeout_s: float) -> None:
    """Raise RegistryError unless the target has every manifest of the index, of the listed size and type.

    Stores need not check that when an index is pushed, some do not, and clients refuse an entry of another size.
    A manifest that is missing may appear within `timeout_s`.
    """

    def require(entry: Descriptor) -> None:
        reference = target.with_digest(entry.digest)

        def check() -> RegistryError | None:
            stored = store.cached_descriptor(reference) or stored_descriptor(store, reference)
            if stored is None and (manifest := stored_manifest(store, reference)) is not None:
                stored = manifest.descriptor  # some proxies answer 404 to HEAD alone
            if stored is None:
                message = f"{reference} is not there: the index would be incomplete"
                return RegistryError("not-found", message, hint="build it again")
            if (stored.size, stored.media_type) == (entry.size, entry.media_type):
                return None
            require_agreement(entry, store.manifest(reference))
            return None

        wait_until_visible(check, timeout_s=timeout_s)

    distinct = {(entry.digest, entry.size, entry.media_type): entry for entry in index.entries}
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_HEADS) as pool:
        futures = [pool.submit(require, entry) for entry in distinct.values()]
    for future in futures:
        future.result()


def _source_of(digest: str, repositories: Iterable[Repository], *, is_required: bool) -> Repository | None:
    """Return the first repository that has a manifest; one that denies it hides none that has it.

    Raises PublishFailed, or what a repository refused, when none has a required one.
    """
    candidates = tuple(repositories)
    refusals: list[RegistryError] = []
    for repository in candidates:
        try:
            if repository.store.head(repository.reference.with_digest(digest)) is not None:
                return repository
        except RegistryError as error:
            if error.kind not in {"denied", "unauthorized"}:
                raise
            refusals.append(error)
    if not is_required:
        return None
    for repository in candidates:
        # Some proxies answer 404 to HEAD alone.
        if stored_manifest(repository.store, repository.reference.with_digest(digest)) is not None:
            return repository
    if refusals:
        raise refusals[0]
    raise PublishFailed(
        f"{digest} is in none of {', '.join(repository.reference.name for repository in candidates)}",
        hint="build it again: it was deleted meanwhile",
    )
