"""What can hold images: a registry or an OCI layout. Publishing and copying ask no more than this."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.oci.reference import Reference


class Store(Protocol):
    """Holds manifests and blobs by repository. Methods raise RegistryError; see `Registry` for each."""

    @property
    def host(self) -> str:
        """Name it: two stores of one host can mount each other's blobs."""

    def manifest(self, reference: Reference) -> Manifest:
        """Read a manifest or index."""

    def head(self, reference: Reference) -> Descriptor | None:
        """Say what a tag or digest holds."""

    def seen(self, reference: Reference) -> Descriptor | None:
        """Say what a digest was when this very store read it; None where it did not, or asking costs nothing."""

    def put_manifest(self, reference: Reference, content: bytes, media_type: str) -> str:
        """Write a manifest under a tag or digest."""

    def delete(self, reference: Reference) -> None:
        """Remove a tag."""

    def has_blob(self, repository: str, digest: str) -> bool:
        """Say whether a blob is there."""

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob."""

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Take a blob over from another repository."""

    def link(self, digest: str, source: Store) -> bool:
        """Share a blob's file with another store, where both are on one file system."""

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        """Write a blob."""

    def referrers(self, reference: Reference) -> tuple[Descriptor, ...] | None:
        """List what refers to a digest."""


class Registries(Protocol):
    """Gives the store of each host."""

    def of(self, host: str, /) -> Store:
        """Give the store for a host."""
