"""Copy manifests with their blobs into a repository: blobs mounted or streamed, manifests unchanged."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import field
from functools import partial

from multibuild.background import SingleFlight
from multibuild.frozen import frozen
from multibuild.oci.copy.consistency import put_index
from multibuild.oci.copy.target import has_blob, stored_descriptor
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import MAX_INDEX_DEPTH, LimitExceeded
from multibuild.oci.local.check import is_whole
from multibuild.oci.local.layout import OciLayout
from multibuild.oci.manifest import Descriptor, Manifest, require_agreement
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store, of_size

MAX_ATTEMPTS = 3
"""For a blob whose stream broke, and for a manifest whose blobs the registry reports missing."""

Observe = Callable[[int], None]
"""Gets the number of bytes of each chunk that is uploaded, from several threads."""


def ignore_bytes(_bytes: int, /) -> None:
    """Do nothing."""


_LOST_BLOB = frozenset({"MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN"})
_LOST_UPLOAD = frozenset({"DIGEST_INVALID", "BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "BLOB_UNKNOWN"})
"""Codes of an upload that another one can replace: the bytes read were verified, and the session was lost.

Replicas behind one name lose sessions, ECR and ACR refuse one whose bytes arrived twice, GHCR one that took long.
"""
_RETRIED_UPLOADS = frozenset({"unreachable", "unavailable", "unauthorized", "rate-limited"})


@frozen
class Repository:
    """A repository and the store it is in."""

    reference: Reference
    store: Store

    @property
    def path(self) -> str:
        """The repository without its host."""
        return self.reference.repository


@frozen
class Copier:
    """Copies into one repository from several threads; a blob that two images share is copied once.

    `blob_pool` copies the blobs of all manifests, without it one follows the other; nothing else may run in it.

    Stores lose a blob that is linked twice at once (distribution 2.8: "blob unknown to registry" for the manifest
    afterwards), so this is not only a matter of speed.
    """

    target: Repository
    blob_pool: Executor | None = None
    single_flight: SingleFlight = field(default_factory=SingleFlight)
    observe: Observe = ignore_bytes

    def has_manifest(self, digest: str) -> bool:
        """Whether the target has a manifest; a layout, which accepts any file, also all that is below it."""
        if isinstance(self.target.store, OciLayout):
            return is_whole(self.target.store, digest)
        return stored_descriptor(self.target.store, self.target.reference.with_digest(digest)) is not None

    def copy_manifest(
        self, digest: str, source: Repository, *, tag: str | None = None, depth: int = 0
    ) -> str:
        """Copy a manifest with its blobs, an index with its manifests; `tag` is its tag at the target.

        Returns what `Store.put_manifest` returns. Raises LimitExceeded for an index that is `depth` indexes deep, more
        than MAX_INDEX_DEPTH, and RegistryError for an index whose entries contradict their manifests.
        """
        if depth > MAX_INDEX_DEPTH:
            raise LimitExceeded(
                f"{source.reference.name}@{digest} is more than {MAX_INDEX_DEPTH} indexes deep"
            )
        manifest = source.store.manifest(source.reference.with_digest(digest))
        reference = self.target.reference.with_tag(tag) if tag else self.target.reference.with_digest(digest)
        if manifest.is_index:
            for entry in manifest.entries:
                self.single_flight.do(entry.digest, partial(self._copy_entry, entry, source, depth + 1))
            return put_index(self.target.store, reference, manifest)
        copy = partial(self._copy_once, source=source)
        for _ in (self.blob_pool.map if self.blob_pool is not None else map)(copy, manifest.blobs):
            pass
        return self._put(reference, manifest, source)

    def _copy_once(self, blob: Descriptor, source: Repository) -> None:
        self.single_flight.do(blob.digest, partial(self._copy_blob, blob, source))

    def _copy_entry(self, entry: Descriptor, source: Repository, depth: int) -> None:
        require_agreement(entry, source.store.manifest(source.reference.with_digest(entry.digest)))
        self.copy_manifest(entry.digest, source, depth=depth)

    def _put(self, reference: Reference, manifest: Manifest, source: Repository) -> str:
        """Push an image's manifest, with its blobs again where the registry lost them."""
        for attempts_left in reversed(range(MAX_ATTEMPTS)):
            try:
                return self.target.store.put_manifest(reference, manifest.content, manifest.media_type)
            except RegistryError as error:
                if not attempts_left or _LOST_BLOB.isdisjoint(error.codes):
                    raise
                # Another client linked the same blob at the same moment, and the registry lost it; or it said that it
                # mounted one that it does not have.
                for blob in manifest.blobs:
                    self._copy_blob(blob, source, force=True)
        raise AssertionError("the last attempt returns or raises")

    def _copy_blob(self, blob: Descriptor, source: Repository, *, force: bool = False) -> None:
        """Copy a blob unless it exists: mounted within a registry, else streamed, restarted when the stream breaks.

        A blob with `urls` (a foreign layer, image-spec descriptor) may be in no registry at all and is not copied then.
        With `force` it is always uploaded.
        """
        store, repository = self.target.store, self.target.path
        if not force and has_blob(store, repository, blob.digest):
            return
        if blob.extras.get("urls") and not source.store.has_blob(source.path, blob.digest):
            return
        is_near = source.store.host == store.host and not force
        if is_near and store.mount(repository, blob.digest, source.path):
            return
        if store.link(blob.digest, source.store):
            return
        for attempts_left in reversed(range(MAX_ATTEMPTS)):
            try:
                chunks = of_size(source.store.blob(source.path, blob.digest), blob)
                store.upload(repository, blob, self._observed(chunks))
            except RegistryError as error:
                is_lost = not _LOST_UPLOAD.isdisjoint(error.codes)
                if not attempts_left or not (is_lost or error.kind in _RETRIED_UPLOADS):
                    raise
            else:
                return

    def _observed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            yield chunk
            self.observe(len(chunk))
