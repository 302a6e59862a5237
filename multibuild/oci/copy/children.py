"""Copy the children of an index to its repository, with their signatures, and verify that none is missing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from multibuild.errors import PublishFailed
from multibuild.oci.copy.companions import OPTIONAL, CompanionCopier, CompanionPolicy
from multibuild.oci.copy.consistency import VISIBILITY_TIMEOUT_S, wait_until_visible
from multibuild.oci.copy.copier import Copier, Observe, Repository, ignore_bytes
from multibuild.oci.copy.target import stored_descriptor, stored_manifest
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Descriptor, Manifest, require_agreement
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store, Stores

MAX_PARALLEL_COPIES = 8
"""Manifests; each has several blobs."""

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
    target_repository = Repository(reference=target.with_tag(None), store=registries.of(target.host))
    copier = Copier(target=target_repository, observe=observe)
    companion_copier = CompanionCopier(copier=copier, policy=companions)
    by_digest = {source.digest: repositories[source.name] for source in sources if source.digest}

    def copy(digest: str) -> None:
        exists = copier.has_manifest(digest)
        source = by_digest.get(digest) or _source_of(digest, repositories.values(), is_required=not exists)
        if source is None or (source.reference.name == target.name and companions.mode != "required"):
            return
        if not exists:
            copier.copy_manifest(digest, source)
        companion_copier.copy(digest, source)

    digests = [entry.digest for entry in index.entries] if index.is_index else [index.digest]
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_COPIES) as pool:
        futures = [pool.submit(copy, digest) for digest in dict.fromkeys(digests)]
    for future in futures:
        future.result()
    source = by_digest.get(index.digest) if index.is_index else None
    if source is not None and (source.reference.name != target.name or companions.mode == "required"):
        companion_copier.copy(index.digest, source)
    companion_copier.finish(index)
    timeout_s = 0.0 if is_in_place else VISIBILITY_TIMEOUT_S
    _require_complete(index, target, registries.of(target.host), timeout_s=timeout_s)


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
