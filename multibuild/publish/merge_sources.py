"""Read the sources of a merge from their registries: manifests and indexes, with their attestations."""

from __future__ import annotations

from dataclasses import replace

from multibuild.errors import PublishFailed
from multibuild.oci.image import read_config
from multibuild.oci.limits import MAX_INDEX_DEPTH
from multibuild.oci.local.check import check_documents
from multibuild.oci.local.layout import OciLayout
from multibuild.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    as_mapping,
    require_agreement,
)
from multibuild.oci.reference import Reference
from multibuild.oci.store import Stores
from multibuild.publish.compose_index import IndexChild
from multibuild.publish.merge import Source

IMAGE_CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)


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
    image = manifest.descriptor
    if not manifest.is_index:
        image = _complete(pinned, image, manifest, registries)
    return Source(text=text, reference=reference, children=(IndexChild(image=image),))


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
    children: list[IndexChild] = []
    for entry in entries:
        if entry.is_attestation:
            continue
        reference = pinned.with_digest(entry.digest)
        registry = registries.of(reference.host)
        if entry.media_type in INDEX_TYPES:
            inner = registry.manifest(reference)
            require_agreement(entry, inner)
            children += _children(reference, inner, registries, depth + 1)
            continue
        attestations = tuple(e for e in entries if e.is_attestation and e.attests == entry.digest)
        image = entry
        if entry.platform is None and entry.media_type in MANIFEST_TYPES:
            image = _complete(reference, entry, registry.manifest(reference), registries)
        children.append(IndexChild(image=image, attestations=attestations))
    return tuple(children)


def _complete(pinned: Reference, entry: Descriptor, manifest: Manifest, registries: Stores) -> Descriptor:
    """Return a descriptor with the fields of the image config; an artifact that is no image has no platform."""
    document = manifest.document
    config = as_mapping(document.get("config"))
    config_type = str(config.get("mediaType") or "")
    if config_type not in IMAGE_CONFIGS:
        kind = str(document.get("artifactType") or config_type)
        return replace(entry, artifact_type=entry.artifact_type or kind)
    image = read_config(pinned, Descriptor.from_json(config), registries.of(pinned.host))
    # `linux/arm64` is listed without v8, as in containerd's normal form (platforms database.go).
    platform = image.platform.normalised() if image.platform.architecture == "arm64" else image.platform
    return replace(entry, platform=platform, os_version=image.os_version, os_features=image.os_features)
