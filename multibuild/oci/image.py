"""Read children and image configs back from a registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from multibuild.errors import VerificationFailed
from multibuild.frozen import frozen
from multibuild.oci.document import MAX_DOCUMENT_BYTES, parse_object, require_exact_names
from multibuild.oci.manifest import (
    INDEX_TYPES,
    MANIFEST_TYPES,
    Descriptor,
    Manifest,
    as_mapping,
)
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store, of_size
from multibuild.platforms import Platform


class NoPlatform(VerificationFailed):
    """An image config says no platform: cosign's signatures, some builders of one-file images."""


@frozen
class ImageConfig:
    """An image's config: its platform and the whole document."""

    platform: Platform
    os_version: str
    os_features: tuple[str, ...]
    raw: Mapping[str, Any]


@frozen
class Child:
    """One platform's image as pushed. `digest` is that of the manifest, or of the index with its attestations.

    `image` describes the manifest itself, with the platform of its config. Sizes in bytes.
    """

    digest: str
    image: Descriptor
    attestations: tuple[Descriptor, ...]
    config: ImageConfig
    layers: tuple[Descriptor, ...]

    @property
    def total_bytes(self) -> int:
        """The compressed size that a node pulls."""
        return self.image.size + sum(layer.size for layer in self.layers)


def read_child(
    reference: Reference, registry: Store, expected: Platform | None, *, assumed: Platform | None = None
) -> Child:
    """Read a child: a manifest, or an index that holds one image and its attestations.

    `expected` selects among several images and must match the config: os and architecture, and the variant where both
    have one. `assumed` is the platform of an image whose config says none. Raises VerificationFailed when it does not
    match, RegistryError when the child cannot be read.
    """
    pushed = registry.manifest(reference)
    image, manifest, attestations = _select_image(reference, pushed, registry, expected)
    child = read_image(reference, manifest, registry, assumed=assumed)
    if expected is not None:
        require_platform(reference, child.config.platform, expected)
    entry = replace(child.image, media_type=image.media_type)
    return replace(child, digest=pushed.digest, image=entry, attestations=attestations)


def read_image(
    reference: Reference, manifest: Manifest, registry: Store, *, assumed: Platform | None = None
) -> Child:
    """Read the config of an image's manifest; raises what `read_config` raises."""
    config_entry = manifest.config
    if config_entry is None:
        raise VerificationFailed(f"{reference} is no image: its manifest has no config")
    config = read_config(reference, config_entry, registry, assumed=assumed)
    return Child(
        digest=manifest.digest,
        image=replace(
            manifest.descriptor,
            platform=config.platform,
            os_version=config.os_version,
            os_features=config.os_features,
        ),
        attestations=(),
        config=config,
        layers=manifest.descriptors_in("layers"),
    )


def _select_image(
    reference: Reference, pushed: Manifest, registry: Store, expected: Platform | None
) -> tuple[Descriptor, Manifest, tuple[Descriptor, ...]]:
    if pushed.media_type in MANIFEST_TYPES:
        return pushed.descriptor, pushed, ()
    if pushed.media_type not in INDEX_TYPES:
        raise VerificationFailed(f"{reference} is no image: its media type is {pushed.media_type}")
    images = [entry for entry in pushed.entries if not entry.is_attestation]
    if len(images) > 1 and expected is not None:
        images = [e for e in images if e.platform and e.platform.normalised() == expected.normalised()]
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


def read_config(
    reference: Reference, descriptor: Descriptor, registry: Store, *, assumed: Platform | None = None
) -> ImageConfig:
    """Read an image config; VerificationFailed when the blob is not one, or when clients would read it differently.

    `assumed` is the platform of a config that says none; without it NoPlatform is raised.
    """
    content = _read_blob(reference, descriptor, registry)
    try:
        raw = parse_object(content)
        require_exact_names(raw, _FIELDS)
        require_exact_names(as_mapping(raw.get("config")), _EXECUTION_FIELDS)
    except ValueError as error:
        raise VerificationFailed(
            f"{reference}: its image config {descriptor.digest} is none: {error}", hint=_REBUILD
        ) from None
    if not _is_config(raw):
        raise VerificationFailed(
            f"{reference}: its image config {descriptor.digest} is none: its os, architecture or variant is no text",
            hint=_REBUILD,
        )
    return ImageConfig(
        platform=_platform(reference, raw, assumed),
        os_version=raw.get("os.version") or "",
        os_features=tuple(raw.get("os.features") or ()),
        raw=raw,
    )


def _platform(reference: Reference, raw: Mapping[str, Any], assumed: Platform | None) -> Platform:
    """Return the platform of a config, else the assumed one; os and architecture are required (config.md)."""
    system, architecture = raw.get("os") or "", raw.get("architecture") or ""
    if system and architecture:
        return Platform(os=system, architecture=architecture, variant=raw.get("variant") or "")
    if assumed is not None:
        return assumed
    raise NoPlatform(
        f"{reference}: its image config says no platform",
        hint="`merge --platform-of SOURCE=os/arch` says it; a signature or an attestation has none",
    )


def _read_blob(reference: Reference, descriptor: Descriptor, registry: Store) -> bytes:
    if descriptor.size > MAX_DOCUMENT_BYTES:
        raise VerificationFailed(
            f"{reference}: its image config {descriptor.digest} is too large: {descriptor.size} bytes",
            hint=f"clients read {MAX_DOCUMENT_BYTES} at most",
        )
    return b"".join(of_size(registry.blob(reference.repository, descriptor.digest), descriptor))


_REBUILD = "build it again, with BuildKit"
# image-spec, config.md: the fields that decide what runs.
_FIELDS = frozenset({"os", "architecture", "variant", "os.version", "os.features", "config", "rootfs"})
_EXECUTION_FIELDS = frozenset(
    {
        "User",
        "Env",
        "Entrypoint",
        "Cmd",
        "WorkingDir",
        "Shell",
        "Volumes",
        "ExposedPorts",
        "Labels",
        "StopSignal",
    }
)


def _is_config(raw: Mapping[str, Any]) -> bool:
    """Whether the fields that `read_config` reads have their types."""
    if not isinstance(raw.get("os.features") or [], list):
        return False
    texts = [raw.get(field) or "" for field in ("os", "architecture", "variant", "os.version")]
    return all(isinstance(text, str) for text in (*texts, *(raw.get("os.features") or ())))


def require_platform(reference: Reference, actual: Platform, expected: Platform) -> None:
    """Raise VerificationFailed when an image's config has another platform than expected."""
    image, platform = actual.normalised(), expected.normalised()
    is_same = (image.os, image.architecture) == (platform.os, platform.architecture)
    if not is_same or (actual.variant and platform.variant and image.variant != platform.variant):
        raise VerificationFailed(
            f"{platform}: the image {reference} says it is {actual}",
            hint="the base image has no such platform, most likely: `multibuild inspect BASE`",
        )
