"""The protocol of a store of images (a registry or an OCI layout), for publishing and copying."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol

from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.oci.reference import Reference


class Store(Protocol):
    """Holds manifests and blobs by repository. Methods raise RegistryError; see `Registry` for each."""

    @property
    def host(self) -> str:
        """The host in references; repositories of one host can mount each other's blobs."""

    @property
    def impatient(self) -> Store:
        """The same store, which repeats requests less, for what a command can do without."""

    def manifest(self, reference: Reference) -> Manifest:
        """Read a manifest or index."""

    def head(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor of a tag or digest; None when it does not exist."""

    def cached_descriptor(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor of a digest that was read before; None where it was not, or `head` is cheap."""

    def put_manifest(self, reference: Reference, content: bytes, media_type: str) -> str:
        """Write a manifest under a tag or digest; return the digest of the subject whose referrers now list it."""

    def delete(self, reference: Reference) -> None:
        """Remove a tag."""

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether a blob exists."""

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob."""

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Mount a blob from another repository; False where that is impossible."""

    def link(self, digest: str, source: Store) -> bool:
        """Hard-link a blob's file from another store on the same file system; False where that is impossible."""

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        """Write a blob."""

    def referrers(self, reference: Reference) -> tuple[Descriptor, ...] | None:
        """List the manifests that refer to a digest; None without such an API."""


class Stores(Protocol):
    """Stores by host."""

    def of(self, host: str, /) -> Store:
        """Return the store of a host."""


def of_size(chunks: Iterable[bytes], blob: Descriptor) -> Iterator[bytes]:
    """Yield the bytes of a blob; RegistryError as soon as they are not as many as its descriptor says."""
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > blob.size:
            break
        yield chunk
    if total != blob.size:
        raise RegistryError(
            "invalid",
            f"{blob.digest} has {'more' if total > blob.size else 'fewer'} bytes than the {blob.size} that its "
            "manifest says",
            hint="clients refuse such an image: build it again",
        )


def verified(chunks: Iterable[bytes], digest: str, name: str) -> Iterator[bytes]:
    """Yield the bytes of a blob, the last of them only when all match its digest.

    RegistryError with `name` otherwise: a writer has no whole blob then.
    """
    hasher, last = hashlib.new(digest.partition(":")[0]), b""
    for chunk in chunks:
        hasher.update(chunk)
        if last:
            yield last
        last = chunk
    if hasher.hexdigest() != digest.partition(":")[2]:
        raise RegistryError(
            "invalid",
            f"{name} is not what its name says: the bytes do not match the digest",
            hint="the file was changed or damaged: copy it again",
        )
    if last:
        yield last
