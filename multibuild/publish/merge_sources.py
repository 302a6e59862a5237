"""Reads the sources of a merge from their registries: manifests and indexes, with their attestations."""

from __future__ import annotations

from dataclasses import replace

from multibuild.errors import PublishFailed
from multibuild.oci.image import read_config
from multibuild.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Manifest, as_mapping
from multibuild.oci.reference import Reference
from multibuild.oci.store import Stores
from multibuild.platforms import Platform
from multibuild.publish.compose_index import IndexChild
from multibuild.publish.merge import Source

IMAGE_CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
_DEEPEST = 4
"""Indexes in indexes that are followed; nobody builds more, and a loop would never end."""


def read_source(
    text: str, registries: Stores, *, reference: Reference | None = None, flatten: bool = True
) -> Source:
    """Read `text`: a tag or digest of a manifest or index. `reference` when it is no text a registry knows.

    Without `flatten` an index is one child itself. Raises UsageError when it is no reference, RegistryError when it
    is not there.
    """
    reference = reference or Reference.parse(text)
    found = registries.of(reference.host).manifest(reference)
    pinned = reference.with_digest(found.digest)
    own = Descriptor(media_type=found.media_type, digest=found.digest, size=len(found.content))
    if found.is_index and not flatten:
        return Source(text=text, reference=reference, children=(IndexChild(image=own),))
    if found.is_index:
        children = children_of(pinned, found, registries)
        if not children:
            raise PublishFailed(f"{text} is an index without images")
        return Source(text=text, reference=reference, children=children, base=found)
    child = IndexChild(image=described(pinned, own, found, registries))
    return Source(text=text, reference=reference, children=(child,))


def children_of(
    pinned: Reference, index: Manifest, registries: Stores, depth: int = 0
) -> tuple[IndexChild, ...]:
    """Give the image entries of an index with their attestations; indexes inside are flattened.

    An attestation about an image that is not listed is left behind: nobody could find it.
    """
    if depth > _DEEPEST:
        raise PublishFailed(f"{pinned}: indexes within indexes, more than {_DEEPEST} deep")
    entries = index.entries
    children: list[IndexChild] = []
    for entry in entries:
        if entry.is_attestation:
            continue
        at = pinned.with_digest(entry.digest)
        if entry.media_type in INDEX_TYPES:
            children += children_of(at, registries.of(at.host).manifest(at), registries, depth + 1)
            continue
        about = tuple(other for other in entries if other.is_attestation and other.attests == entry.digest)
        image = entry
        if entry.platform is None and entry.media_type in MANIFEST_TYPES:
            image = described(at, entry, registries.of(at.host).manifest(at), registries)
        children.append(IndexChild(image=image, attestations=about))
    return tuple(children)


def described(pinned: Reference, entry: Descriptor, manifest: Manifest, registries: Stores) -> Descriptor:
    """Complete a descriptor with what the image config says; an artifact that is no image has no platform."""
    document = manifest.document
    config = as_mapping(document.get("config"))
    own = str(config.get("mediaType") or "")
    if own not in IMAGE_CONFIGS:
        kind = str(document.get("artifactType") or own)
        return replace(entry, artifact_type=entry.artifact_type or kind)
    read = read_config(pinned, Descriptor.from_json(config), registries.of(pinned.host))
    return replace(
        entry,
        platform=entry_platform(read.platform),
        os_version=read.os_version,
        os_features=read.os_features,
    )


def entry_platform(own: Platform) -> Platform:
    """Give the form for an index of what a config says: `linux/arm64` is written without v8 (contract §6)."""
    return own.normalised() if own.architecture == "arm64" else own
