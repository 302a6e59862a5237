"""ONBUILD triggers of base images: instructions that a build runs, although no Dockerfile of the project has them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from multibuild.dockerfile.take_apart import TARGET_ARGS
from multibuild.errors import MultibuildError
from multibuild.frozen import frozen
from multibuild.oci.image import read_config
from multibuild.oci.manifest import Descriptor, Manifest, as_mapping
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform
from multibuild.resolve.client_rules import accepted_platforms, normalised

MAX_ENTRIES = 64
"""Of an index whose configs are all read; the images of real projects have about a dozen."""

_ANY = Platform(os="linux", architecture="amd64")
"""Assumed of a config that says no platform: only its triggers are read."""


@frozen
class BaseImage:
    """An image that a build starts from, at its digest. `platform`: that of the build, None for any of the image's."""

    image: str
    digest: str
    platform: Platform | None


class BaseTriggers:
    """The triggers of base images, each read once."""

    def __init__(self, registries: RegistrySession) -> None:
        """Read nothing yet."""
        self._registries = registries
        self._known: dict[BaseImage, bool] = {}

    def find(self, bases: Iterable[BaseImage]) -> frozenset[BaseImage]:
        """Return the images that have ONBUILD triggers on the platform, or may have."""
        wanted = frozenset(bases)
        new = wanted - self._known.keys()
        suspects = _bases_with_triggers(self._registries, new) if new else frozenset()
        self._known |= {base: base in suspects for base in new}
        return frozenset(base for base in wanted if self._known[base])


def _bases_with_triggers(registries: RegistrySession, bases: Iterable[BaseImage]) -> frozenset[BaseImage]:
    """Return the images that have ONBUILD triggers on the platform, or may have: their config cannot be read."""
    images = {base: Reference.parse(base.image).with_digest(base.digest) for base in bases}
    references = tuple(dict.fromkeys(images.values()))
    read = registries.map(partial(_read_manifest, registries), references)
    manifests = dict(zip(references, read, strict=True))
    children = {base: _children(image, manifests[image], base.platform) for base, image in images.items()}
    unique = tuple(dict.fromkeys(child for found in children.values() for child in found))
    triggers = registries.map(partial(_may_have_triggers, registries), unique)
    suspects = {child for child, suspect in zip(unique, triggers, strict=True) if suspect}
    return frozenset(base for base, found in children.items() if not found or suspects.intersection(found))


def _read_manifest(registries: RegistrySession, image: Reference) -> Manifest | None:
    try:
        return registries.of(image.host).impatient.manifest(image)
    except MultibuildError:
        return None


def _children(
    image: Reference, manifest: Manifest | None, platform: Platform | None
) -> tuple[Reference, ...]:
    """Return the images of an index that a build may start from; none where that is not known."""
    if manifest is None or not manifest.is_index:
        return (image,) if manifest is not None else ()
    try:
        entries = [entry for entry in manifest.entries if not entry.is_attestation]
        matching = entries if platform is None else _matching(entries, platform)
        children = tuple(image.with_digest(entry.digest) for entry in matching)
    except MultibuildError:
        return ()
    return children if len(children) <= MAX_ENTRIES else ()


def _matching(entries: list[Descriptor], platform: Platform) -> list[Descriptor]:
    """Return the entries of the very platform, else all that containerd accepts for it: versions prefer differently."""
    by_entry = [(entry, normalised(entry.platform) if entry.platform else None) for entry in entries]
    exact = [entry for entry, own in by_entry if own == normalised(platform)]
    accepted = accepted_platforms(platform)
    return exact or [entry for entry, own in by_entry if own is None or own in accepted]


def _may_have_triggers(registries: RegistrySession, image: Reference) -> bool:
    """Whether an image's config has triggers, or cannot be read. Go reads names of fields in any letters.

    An environment with another value for an automatic argument is as good as a trigger: it may name other files.
    """
    registry = registries.of(image.host).impatient
    try:
        config = registry.manifest(image).config
        if config is None:
            return True
        document = read_config(image, config, registry, assumed=_ANY).raw
    except MultibuildError:
        return True
    execution = [as_mapping(value) for name, value in document.items() if name.lower() == "config"]
    fields = [(name.lower(), value) for one in execution for name, value in one.items()]
    return any(
        bool(value)
        if name == "onbuild"
        else name == "env" and any(word in str(value) for word in TARGET_ARGS)
        for name, value in fields
    )
