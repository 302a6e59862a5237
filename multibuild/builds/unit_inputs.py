"""A unit's Dockerfile, and what the unit can use of it and of its context: all where that is not certain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from multibuild.dockerfile.parse import Dockerfile, load_text, read_dockerfile
from multibuild.dockerfile.reach import NotCertain, Reach
from multibuild.dockerfile.stages import needed_images
from multibuild.dockerfile.take_apart import EPOCH, take_apart
from multibuild.frozen import frozen
from multibuild.plan.spec import IMAGE_OF_FILE, BuildSpec
from multibuild.platforms import Platform
from multibuild.resolve.base_triggers import BaseImage

IMAGE = "docker-image://"
OTHER_SCHEMES = (IMAGE, IMAGE_OF_FILE, "oci-layout://", "target:", "input:")
"""Named contexts that are no local directory."""

_PLAIN_FLAGS = frozenset({"--add-host", "--cgroup-parent", "--device", "--shm-size", "--ulimit"})
"""Of `build_flags`: those that do not change what is read of the Dockerfile and the context."""


@frozen
class UnitReach:
    """What a unit may use: `whole` of everything, `target` of what its target names; None where that is not certain.

    `may_leave_triggers`: its image may have ONBUILD triggers, for those that are built from it.
    """

    whole: Reach | None = None
    target: Reach | None = None
    may_leave_triggers: bool = True


def _reach(text: str, spec: BuildSpec) -> UnitReach:
    """Return what a unit may use of a Dockerfile with this text.

    Provenance of the mode `max` holds the whole Dockerfile.
    """
    try:
        staged = take_apart(text, spec.args, _automatic(spec.platform))
        target = staged.reach(spec.target)
    except NotCertain:
        return UnitReach()
    if spec.provenance in {"max", True} or not _has_plain_flags(spec) or not _has_plain_epoch(spec.args):
        return UnitReach(may_leave_triggers=False)
    return UnitReach(whole=staged.whole(), target=target, may_leave_triggers=False)


def _automatic(platform: Platform) -> dict[str, str]:
    """Return the automatic arguments that are the same on every builder."""
    return {
        "TARGETPLATFORM": str(platform),
        "TARGETOS": platform.os,
        "TARGETARCH": platform.architecture,
        "TARGETVARIANT": platform.variant,
    }


def _has_plain_flags(spec: BuildSpec) -> bool:
    flags = {word.partition("=")[0] for word in spec.build_flags if word.startswith("-")}
    return flags <= _PLAIN_FLAGS


def _has_plain_epoch(args: Mapping[str, str]) -> bool:
    """Whether a date is a number: others name a stage or the context."""
    return all(value.isdecimal() for value in (args.get(EPOCH, "0"), os.environ.get(EPOCH) or "0"))


@frozen
class Unit:
    """A platform with its Dockerfile: the text, None where it is fetched or cannot be read, and what it says."""

    spec: BuildSpec
    text: str | None
    dockerfile: Dockerfile
    reach: UnitReach

    @property
    def is_built_from_image(self) -> bool:
        """Whether another image of the file is a context, whose ONBUILD triggers count too."""
        return any(source.startswith(IMAGE_OF_FILE) for source in self.spec.contexts.values())


def read_unit(project: Path, spec: BuildSpec) -> Unit:
    """Read the Dockerfile of a unit."""
    text = _text(project, spec)
    return Unit(
        spec=spec,
        text=text,
        dockerfile=read_dockerfile(text or "", spec.args),
        reach=_reach(text or "", spec),
    )


def _text(project: Path, spec: BuildSpec) -> str | None:
    """Read the Dockerfile; None for one that is fetched or cannot be read."""
    try:
        return load_text(project / spec.dockerfile, errors="surrogateescape")
    except (OSError, ValueError):
        return None


def images_of(unit: Unit) -> list[str]:
    """Return the images that the target needs and no named context replaces, and the contexts that are images."""
    spec, dockerfile, reach = unit.spec, unit.dockerfile, unit.reach.target
    needed = needed_images(dockerfile, spec.target) if reach is None else reach.images
    images = [image for image in needed if image not in spec.contexts]
    images += [dockerfile.syntax] if dockerfile.syntax else []
    sources = spec.contexts.values()
    return images + [source.removeprefix(IMAGE) for source in sources if source.startswith(IMAGE)]


def bases_of(unit: Unit, digests: Mapping[str, str | None]) -> tuple[BaseImage, ...] | None:
    """Return the images whose ONBUILD triggers would be instructions of the target; None where a digest is unknown."""
    spec, reach = unit.spec, unit.reach.target
    images = {
        (base.image, spec.platform if base.for_target else None)
        for base in (reach.bases if reach is not None else ())
        if base.image not in spec.contexts
    }
    images |= {
        (source.removeprefix(IMAGE), None) for source in spec.contexts.values() if source.startswith(IMAGE)
    }
    known = {image: digest for image, _ in images if (digest := digests.get(image))}
    if any(image not in known for image, _ in images):
        return None
    return tuple(BaseImage(image=image, digest=known[image], platform=platform) for image, platform in images)
