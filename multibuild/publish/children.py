"""Reads children back from a registry: what was really pushed, not what was meant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from multibuild.errors import VerificationFailed
from multibuild.platforms import Platform
from multibuild.publish.reference import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Manifest, Reference
from multibuild.publish.registry import MANIFEST_LIMIT, Registry


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageConfig:
    """An image's config: its platform as it says itself, and the whole document."""

    platform: Platform
    os_version: str
    os_features: tuple[str, ...]
    raw: Mapping[str, Any]

    @property
    def os(self) -> str:
        """Its operating system, as written."""
        return self.platform.os

    @property
    def architecture(self) -> str:
        """Its architecture, as written."""
        return self.platform.architecture

    @property
    def variant(self) -> str:
        """Its variant, as written; mostly empty."""
        return self.platform.variant


@dataclass(frozen=True, kw_only=True, slots=True)
class Child:
    """One platform's image as pushed. `digest` is what was pushed: the manifest, or the little index around it.

    `image` describes the manifest itself, with the platform its entry says, else its config. Sizes in bytes.
    """

    digest: str
    media_type: str
    size: int
    image: Descriptor
    attestations: tuple[Descriptor, ...]
    config: ImageConfig
    layers: tuple[Descriptor, ...]

    @property
    def total_bytes(self) -> int:
        """Compressed size: what a node pulls."""
        return self.image.size + sum(layer.size for layer in self.layers)


def read_child(reference: Reference, registry: Registry, wanted: Platform | None) -> Child:
    """Read a child: a manifest, or an index that holds one image and its attestations.

    `wanted` picks among several images and must be what the config says: os and architecture, and the variant
    where both have one. Raises VerificationFailed when it is not, RegistryError when it cannot be read.
    """
    pushed = registry.manifest(reference)
    images = _images_of(reference, pushed)
    if len(images) > 1 and wanted is not None:
        images = tuple(
            entry for entry in images if entry.platform and entry.platform.normalised() == wanted.normalised()
        )
    if len(images) != 1:
        raise VerificationFailed(
            f"{reference} holds {len(images)} images{f' for {wanted}' if wanted else ''} where one is wanted",
            hint=f"`multibuild inspect {reference}` lists them",
        )
    child = _child(reference, pushed, images[0], registry)
    if wanted is not None:
        require_platform(reference, child.config.platform, wanted)
    return child


def read_children(reference: Reference, registry: Registry) -> tuple[Child, ...]:
    """Read every image of a manifest or index, in its order; errors as read_child."""
    pushed = registry.manifest(reference)
    return tuple(_child(reference, pushed, image, registry) for image in _images_of(reference, pushed))


def _images_of(reference: Reference, pushed: Manifest) -> tuple[Descriptor, ...]:
    if pushed.media_type in MANIFEST_TYPES:
        return (Descriptor(media_type=pushed.media_type, digest=pushed.digest, size=len(pushed.content)),)
    if pushed.media_type not in INDEX_TYPES:
        raise VerificationFailed(f"{reference} is no image: its media type is {pushed.media_type}")
    images = tuple(entry for entry in pushed.entries if not entry.is_attestation)
    for entry in images:
        if entry.media_type not in MANIFEST_TYPES:
            raise VerificationFailed(f"{reference}: its entry {entry.digest} is no image: {entry.media_type}")
    return images


def _child(reference: Reference, pushed: Manifest, image: Descriptor, registry: Registry) -> Child:
    lone = image.digest == pushed.digest
    manifest = pushed if lone else registry.manifest(reference.with_digest(image.digest))
    if len(manifest.content) != image.size:
        raise VerificationFailed(f"{reference}: {image.digest} has not the size its entry says")
    document = manifest.document
    described = document.get("config")
    if not isinstance(described, dict):
        raise VerificationFailed(f"{reference}: {image.digest} is no image: it has no config")
    config = read_config(reference, Descriptor.from_json(described), registry)
    return Child(
        digest=pushed.digest,
        media_type=pushed.media_type,
        size=len(pushed.content),
        image=replace(
            image,
            platform=image.platform or config.platform,
            os_version=image.os_version or config.os_version,
            os_features=image.os_features or config.os_features,
        ),
        attestations=tuple(
            entry
            for entry in (() if lone else pushed.entries)
            if entry.is_attestation and entry.attests == image.digest
        ),
        config=config,
        layers=tuple(Descriptor.from_json(layer) for layer in document.get("layers") or ()),
    )


def read_config(reference: Reference, descriptor: Descriptor, registry: Registry) -> ImageConfig:
    """Read an image config; VerificationFailed when it is none."""
    import json

    content = bytearray()
    for chunk in registry.blob(reference.repository, descriptor.digest):
        content += chunk
        if len(content) > MANIFEST_LIMIT:
            raise VerificationFailed(f"{reference}: its image config is too large")
    try:
        raw = json.loads(content)
        platform = Platform(
            os=str(raw["os"]), architecture=str(raw["architecture"]), variant=str(raw.get("variant") or "")
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VerificationFailed(f"{reference}: its image config says no platform") from error
    return ImageConfig(
        platform=platform,
        os_version=str(raw.get("os.version", "")),
        os_features=tuple(raw.get("os.features") or ()),
        raw=raw,
    )


def require_platform(reference: Reference, own: Platform, wanted: Platform) -> None:
    """Raise VerificationFailed when an image's config is of another platform than wanted."""
    have, want = own.normalised(), wanted.normalised()
    same = (have.os, have.architecture) == (want.os, want.architecture)
    if not same or (own.variant and want.variant and have.variant != want.variant):
        raise VerificationFailed(
            f"{want}: the image {reference} says it is {own}",
            hint="the base image has no such platform, most likely: `multibuild inspect BASE`",
        )
