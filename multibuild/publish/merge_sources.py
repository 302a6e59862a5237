"""Read the sources of a merge from their registries: manifests and indexes, with their attestations."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from multibuild.errors import PublishFailed, VerificationFailed
from multibuild.oci.errors import RegistryError
from multibuild.oci.image import NoPlatform, read_image
from multibuild.oci.limits import MAX_INDEX_DEPTH, LimitExceeded
from multibuild.oci.local.check import check_documents
from multibuild.oci.local.layout import OciLayout
from multibuild.oci.manifest import INDEX_TYPES, Descriptor, Manifest, require_agreement
from multibuild.oci.manifests.identity import ZSTD_LAYERS
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.store import Store, Stores
from multibuild.publish.compose_index import IndexChild
from multibuild.publish.merge import Source

MAX_PARALLEL_READS = 8
"""Manifests of one index. Copying would ask for each of them anyway."""


def read_source(
    text: str, registries: Stores, *, reference: Reference | None = None, flatten: bool = True
) -> Source:
    """Read a tag or digest of a manifest or index; `reference` where `text` is not one itself (a layout).

    Without `flatten` an index is one child itself. Raises UsageError for an invalid reference, RegistryError when it
    does not exist.
    """
    reference = reference or Reference.parse(text)
    store = registries.of(reference.host)
    manifest = store.manifest(reference)
    if isinstance(store, OciLayout):
        check_documents(store, manifest.digest)
    pinned = reference.with_digest(manifest.digest)
    if manifest.is_index and flatten:
        children = _children(pinned, manifest, registries)
        if not children:
            raise PublishFailed(f"{text} is an index without images", hint="name another source")
        return Source(text=text, reference=reference, children=children, base=manifest)
    child = IndexChild(image=manifest.descriptor)
    if not manifest.is_index:
        child = _complete(pinned, child, manifest, store)
        if child.problem is not None and not isinstance(child.problem, NoPlatform):
            raise child.problem
    return Source(text=text, reference=reference, children=(child,))


def read_target(text: str, registries: Stores, *, reference: Reference | None = None) -> Source | None:
    """Read the index to append to, or to carry entries from; None where there is none yet.

    A registry may answer 403 or 401 for a tag that does not exist. It is taken for that only where the list of tags
    says the same: an index that merely cannot be read would be lost.
    """
    reference = reference or Reference.parse(text)
    try:
        return read_source(text, registries, reference=reference)
    except RegistryError as error:
        is_denied = error.kind in {"denied", "unauthorized"}
        if error.kind == "not-found" or (is_denied and not _may_exist(reference, registries)):
            return None
        raise


def _may_exist(reference: Reference, registries: Stores) -> bool:
    """Whether a tag exists, or that cannot be known."""
    store = registries.of(reference.host)
    if not isinstance(store, Registry):
        return True
    try:
        tags = store.tags(reference.repository)
    except RegistryError as error:
        return error.kind != "not-found"
    return reference.digest is not None or (reference.tag or "latest") in tags


def _children(
    pinned: Reference, index: Manifest, registries: Stores, depth: int = 0
) -> tuple[IndexChild, ...]:
    """Return the image entries of an index with their attestations; indexes within it are flattened.

    An attestation about an image that is not listed is dropped: no client would find it.
    """
    if depth > MAX_INDEX_DEPTH:
        raise PublishFailed(
            f"{pinned}: indexes within indexes, more than {MAX_INDEX_DEPTH} deep",
            hint="name the images one by one as sources",
        )
    entries = index.entries
    store = registries.of(pinned.host)

    def read(entry: Descriptor) -> tuple[IndexChild, ...]:
        reference = pinned.with_digest(entry.digest)
        if entry.media_type in INDEX_TYPES:
            inner = store.manifest(reference)
            require_agreement(entry, inner)
            return _children(reference, inner, registries, depth + 1)
        attestations = tuple(e for e in entries if e.is_attestation and e.attests == entry.digest)
        return (_child(reference, IndexChild(image=entry, attestations=attestations), store),)

    images = [entry for entry in entries if not entry.is_attestation]
    with ThreadPoolExecutor(max_workers=MAX_PARALLEL_READS) as pool:
        return tuple(child for children in pool.map(read, images) for child in children)


def _child(reference: Reference, child: IndexChild, store: Store) -> IndexChild:
    """Return the child of an entry, with what its manifest says; what is wrong with it becomes its problem.

    A manifest that is not there is left to copying, which may find it in another source, or needs it not.
    """
    entry = child.image
    try:
        manifest = store.manifest(reference)
        require_agreement(entry, manifest)
        child = replace(child, needs_zstd=_needs_zstd(manifest))
        is_listed = entry.platform is not None and entry.platform.os and entry.platform.architecture
        return child if is_listed or manifest.is_index else _complete(reference, child, manifest, store)
    except LimitExceeded:
        raise
    except RegistryError as error:
        return child if error.kind == "not-found" else replace(child, problem=error)


def _complete(pinned: Reference, child: IndexChild, manifest: Manifest, store: Store) -> IndexChild:
    """Return a child with the fields of its image config; an artifact that is no image has no platform."""
    entry = child.image
    if manifest.is_artifact:
        kind = entry.artifact_type or manifest.artifact_type
        return replace(child, image=replace(entry, artifact_type=kind))
    child = replace(child, needs_zstd=_needs_zstd(manifest))
    try:
        config = read_image(pinned, manifest, store).config
    except VerificationFailed as error:
        return replace(child, problem=error)
    # `linux/arm64` is listed without v8, as in containerd's normal form (platforms database.go).
    platform = config.platform.normalised() if config.platform.architecture == "arm64" else config.platform
    image = replace(entry, platform=platform, os_version=config.os_version, os_features=config.os_features)
    return replace(child, image=image)


def _needs_zstd(manifest: Manifest) -> bool:
    return any(blob.media_type.endswith(ZSTD_LAYERS) for blob in manifest.blobs)
