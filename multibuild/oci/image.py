"""Reads children back from a registry: what was really pushed, not what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from multibuild.errors import VerificationFailed
from multibuild.frozen import frozen
from multibuild.oci.manifest import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry import MANIFEST_LIMIT
from multibuild.oci.store import Store
from multibuild.platforms import Platform


@frozen
class ImageConfig:
    """An image's config: its platform as it says itself, and the whole document."""

    platform: Platform
    os_version: str
    os_features: tuple[str, ...]
    raw: Mapping[str, Any]


@frozen
class Child:
    """One platform's image as pushed. `digest` is what was pushed: the manifest, or the little index around it.

    `image` describes the manifest itself, with the platform its config says. Sizes in bytes.
    """

    digest: str
    image: Descriptor
    attestations: tuple[Descriptor, ...]
    config: ImageConfig
    layers: tuple[Descriptor, ...]

    @property
    def total_bytes(self) -> int:
        """Compressed size: what a node pulls."""
        return self.image.size + sum(layer.size for layer in self.layers)


def read_child(reference: Reference, registry: Store, wanted: Platform | None) -> Child:
    """Read a child: a manifest, or an index that holds one image and its attestations.

    `wanted` picks among several images and must be what the config says: os and architecture, and the variant
    where both have one. Raises VerificationFailed when it is not, RegistryError when it cannot be read.
    """
    pushed = registry.manifest(reference)
    image, manifest, attestations = _image_of(reference, pushed, registry, wanted)
    described = manifest.document.get("config")
    if described is None:
        raise VerificationFailed(f"{reference} is no image: its manifest has no config")
    config = read_config(reference, Descriptor.from_json(described), registry)
    if wanted is not None:
        require_platform(reference, config.platform, wanted)
    return Child(
        digest=pushed.digest,
        image=replace(
            image,
            platform=config.platform,
            os_version=config.os_version,
            os_features=config.os_features,
            annotations={},
        ),
        attestations=attestations,
        config=config,
        layers=manifest.listed("layers"),
    )


def _image_of(
    reference: Reference, pushed: Manifest, registry: Store, wanted: Platform | None
) -> tuple[Descriptor, Manifest, tuple[Descriptor, ...]]:
    if pushed.media_type in MANIFEST_TYPES:
        own = Descriptor(media_type=pushed.media_type, digest=pushed.digest, size=len(pushed.content))
        return own, pushed, ()
    if pushed.media_type not in INDEX_TYPES:
        raise VerificationFailed(f"{reference} is no image: its media type is {pushed.media_type}")
    images = [entry for entry in pushed.entries if not entry.is_attestation]
    if len(images) > 1 and wanted is not None:
        images = [
            entry for entry in images if entry.platform and entry.platform.normalised() == wanted.normalised()
        ]
    if len(images) != 1:
        raise VerificationFailed(f"{reference} holds {len(images)} images where one is wanted")
    image = images[0]
    attestations = tuple(e for e in pushed.entries if e.is_attestation and e.attests == image.digest)
    manifest = registry.manifest(reference.with_digest(image.digest))
    if (image.media_type, image.size) != (manifest.media_type, len(manifest.content)):
        raise VerificationFailed(
            f"{reference} lists {image.digest} as {image.media_type} of {image.size} bytes, which is "
            f"{manifest.media_type} of {len(manifest.content)}"
        )
    return image, manifest, attestations


def read_config(reference: Reference, descriptor: Descriptor, registry: Store) -> ImageConfig:
    """Read an image config; VerificationFailed when it is none."""
    import json

    content = bytearray()
    for chunk in registry.blob(reference.repository, descriptor.digest):
        content += chunk
        if len(content) > MANIFEST_LIMIT:
            raise VerificationFailed(f"{reference}: its image config is too large")
    try:
        raw = json.loads(content)
    except (ValueError, RecursionError):
        raw = None
    if not _is_config(raw):
        raise VerificationFailed(f"{reference}: its image config says no platform")
    return ImageConfig(
        platform=Platform(os=raw["os"], architecture=raw["architecture"], variant=raw.get("variant") or ""),
        os_version=raw.get("os.version") or "",
        os_features=tuple(raw.get("os.features") or ()),
        raw=raw,
    )


def _is_config(raw: Any) -> bool:
    """Whether it has what is read of an image config, each of its type."""
    if not isinstance(raw, dict) or not isinstance(raw.get("os.features") or [], list):
        return False
    texts = [raw.get("os"), raw.get("architecture"), raw.get("variant") or "", raw.get("os.version") or ""]
    return all(isinstance(text, str) for text in (*texts, *(raw.get("os.features") or ())))


def require_platform(reference: Reference, own: Platform, wanted: Platform) -> None:
    """Raise VerificationFailed when an image's config is of another platform than wanted."""
    have, want = own.normalised(), wanted.normalised()
    same = (have.os, have.architecture) == (want.os, want.architecture)
    if not same or (own.variant and want.variant and have.variant != want.variant):
        raise VerificationFailed(
            f"{want}: the image {reference} says it is {own}",
            hint="the base image has no such platform, most likely: `multibuild inspect BASE`",
        )
