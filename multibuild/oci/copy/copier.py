"""Copy manifests with their blobs into a repository: blobs mounted or streamed, manifests unchanged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import field
from functools import partial

from multibuild.background import SingleFlight
from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import MAX_INDEX_DEPTH, LimitExceeded
from multibuild.oci.local.check import is_whole
from multibuild.oci.local.layout import OciLayout
from multibuild.oci.manifest import INDEX_TYPES, OCI_INDEX, Descriptor
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store, of_size

MAX_ATTEMPTS = 3
"""For a blob whose stream broke, and for a manifest whose blobs the registry reports missing."""

SIGNATURE_SUFFIXES = ("sig", "att", "sbom")
"""Cosign's tags from before there were referrers: `sha256-<hex>.sig` (sigstore/cosign specs/SIGNATURE_SPEC.md)."""

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

    Stores lose a blob that is linked twice at once (distribution 2.8: "blob unknown to registry" for the manifest
    afterwards), so this is not only a matter of speed.
    """

    target: Repository
    single_flight: SingleFlight = field(default_factory=SingleFlight)

    def has_manifest(self, digest: str) -> bool:
        """Whether the target has a manifest; a layout, which accepts any file, also all that is below it."""
        if isinstance(self.target.store, OciLayout):
            return is_whole(self.target.store, digest)
        return self.target.store.head(self.target.reference.with_digest(digest)) is not None

    def copy_manifest(
        self, digest: str, source: Repository, *, tag: str | None = None, depth: int = 0
    ) -> None:
        """Copy a manifest with its blobs, an index with its manifests; `tag` is its tag at the target.

        Raises LimitExceeded for an index that is `depth` indexes deep, more than MAX_INDEX_DEPTH.
        """
        if depth > MAX_INDEX_DEPTH:
            raise LimitExceeded(
                f"{source.reference.name}@{digest} is more than {MAX_INDEX_DEPTH} indexes deep"
            )
        manifest = source.store.manifest(source.reference.with_digest(digest))
        if manifest.media_type in INDEX_TYPES:
            for entry in manifest.entries:
                copy = partial(self.copy_manifest, entry.digest, source, depth=depth + 1)
                self.single_flight.do(entry.digest, copy)
        blobs = manifest.blobs
        for blob in blobs:
            self.single_flight.do(blob.digest, partial(self._copy_blob, blob, source))
        reference = self.target.reference.with_tag(tag) if tag else self.target.reference.with_digest(digest)
        for attempts_left in reversed(range(MAX_ATTEMPTS)):
            try:
                self.target.store.put_manifest(reference, manifest.content, manifest.media_type)
            except RegistryError as error:
                if not attempts_left or "MANIFEST_BLOB_UNKNOWN" not in error.codes:
                    raise
                # Another client linked the same blob at the same moment, and the registry lost it.
                for blob in blobs:
                    self._copy_blob(blob, source, force=True)
            else:
                return

    def _copy_blob(self, blob: Descriptor, source: Repository, *, force: bool = False) -> None:
        """Copy a blob unless it exists: mounted within a registry, else streamed, restarted when the stream breaks.

        A blob with `urls` (a foreign layer, image-spec descriptor) may be in no registry at all and is not copied then.
        """
        store, repository = self.target.store, self.target.path
        if not force and store.has_blob(repository, blob.digest):
            return
        if blob.extras.get("urls") and not source.store.has_blob(source.path, blob.digest):
            return
        if source.store.host == store.host and store.mount(repository, blob.digest, source.path):
            return
        if store.link(blob.digest, source.store):
            return
        for attempts_left in reversed(range(MAX_ATTEMPTS)):
            try:
                store.upload(repository, blob, of_size(source.store.blob(source.path, blob.digest), blob))
            except RegistryError as error:
                # The bytes read were verified: a registry that computed another digest was disturbed while writing.
                can_retry = error.kind in _RETRIED_UPLOADS or "DIGEST_INVALID" in error.codes
                if not attempts_left or not can_retry:
                    raise
            else:
                return

    def copy_referrers(self, digest: str, source: Repository) -> None:
        """Copy the manifests that refer to a digest, with their blobs."""
        referrers = source.store.referrers(source.reference.with_digest(digest))
        if referrers is None:
            referrers = _tagged_referrers(digest, source)
        self._copy_cosign_tags(digest, source)
        for descriptor in referrers:
            if not self.has_manifest(descriptor.digest):
                self.copy_manifest(descriptor.digest, source)
        if referrers and self.target.store.referrers(self.target.reference.with_digest(digest)) is None:
            self._tag_referrers(digest, referrers)

    def _tag_referrers(self, digest: str, referrers: Sequence[Descriptor]) -> None:
        """Add to the referrers that the target's fallback tag lists."""
        previous = {entry.digest: entry for entry in _tagged_referrers(digest, self.target)}
        union = previous | {entry.digest: entry for entry in referrers}
        if len(union) == len(previous):
            return
        entries = [entry.to_json() for entry in union.values()]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        content = json.dumps(document, indent=2, ensure_ascii=False).encode()
        tag = self.target.reference.with_tag(_fallback_tag(digest))
        self.target.store.put_manifest(tag, content, OCI_INDEX)

    def _copy_cosign_tags(self, digest: str, source: Repository) -> None:
        for suffix in SIGNATURE_SUFFIXES:
            tag = f"{_fallback_tag(digest)}.{suffix}"
            signature = source.store.head(source.reference.with_tag(tag))
            if signature is not None and self.target.store.head(self.target.reference.with_tag(tag)) is None:
                self.copy_manifest(signature.digest, source, tag=tag)


def _tagged_referrers(digest: str, repository: Repository) -> tuple[Descriptor, ...]:
    """Read the fallback tag (distribution-spec, "Referrers Tag Schema")."""
    try:
        index = repository.store.manifest(repository.reference.with_tag(_fallback_tag(digest)))
    except RegistryError as error:
        if error.kind == "not-found":
            return ()
        raise
    return index.entries if index.is_index else ()


def _fallback_tag(digest: str) -> str:
    return digest.replace(":", "-")
