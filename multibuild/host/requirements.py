"""The requirements of a config on the host."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from multibuild.config.profiles import load_profile
from multibuild.frozen import frozen
from multibuild.host.buildkitd_toml import buildkit_settings
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.config import Config
    from multibuild.config.profile_models import Profile


@frozen
class BuilderRequirements:
    """One `builder:` of a config, its profile if it names one, and the platforms it must run.

    `limits_steps` is whether it must limit what the steps of some platform may use.
    """

    builder: str
    profile: Profile | None
    platforms: tuple[Platform, ...]
    limits_steps: bool = False


@frozen
class HostRequirements:
    """The requirements of a config on the host; the config's own `builder:` is the first of `builders`."""

    builders: tuple[BuilderRequirements, ...]
    required: tuple[Platform, ...]
    emulators: Literal["auto", "image", "host", "none"]
    emulator_image: str
    registries: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @classmethod
    def from_config(
        cls, config: Config, project: Path, only: Collection[Platform] | None = None
    ) -> HostRequirements:
        """Read the requirements from a config, those of the platforms `only`; ConfigError for a broken profile.

        A builder that has none of them is not required: its nodes may belong to other jobs.
        """
        platforms: dict[str, list[Platform]] = {config.builder: []}
        limited = set()
        entries = [entry for entry in config.platforms if only is None or entry.name in only]
        for entry in entries:
            builder = config.builder if entry.builder is None else entry.builder
            platforms.setdefault(builder, []).append(entry.name)
            if entry.memory is not None or entry.cpus is not None:
                limited.add(builder)
        return cls(
            builders=tuple(
                BuilderRequirements(
                    builder=builder,
                    profile=load_profile(builder, project),
                    platforms=tuple(names),
                    limits_steps=builder in limited,
                )
                for builder, names in platforms.items()
            ),
            required=tuple(entry.name for entry in entries if entry.required),
            emulators=config.emulators.source,
            emulator_image=config.emulators.image,
            registries=_registries(config),
        )

    @classmethod
    def of_images(cls, images: Sequence[HostRequirements]) -> HostRequirements:
        """Return the requirements of all images of a file together; emulators are those of the whole file."""
        first = images[0]
        builders = {one.builder: one for image in images for one in reversed(image.builders)}
        return replace(
            first,
            builders=tuple(
                replace(
                    one,
                    platforms=_distinct(_platforms(images, name)),
                    limits_steps=any(other.limits_steps for other in _builders(images, name)),
                )
                for name, one in {first.builders[0].builder: first.builders[0], **builders}.items()
            ),
            required=_distinct(platform for image in images for platform in image.required),
            registries={host: options for image in images for host, options in image.registries.items()},
        )


def _builders(images: Sequence[HostRequirements], builder: str) -> Iterator[BuilderRequirements]:
    return (one for image in images for one in image.builders if one.builder == builder)


def _platforms(images: Sequence[HostRequirements], builder: str) -> Iterator[Platform]:
    for one in _builders(images, builder):
        yield from one.platforms


def _distinct(platforms: Iterable[Platform]) -> tuple[Platform, ...]:
    return tuple(dict.fromkeys(platforms))


def _registries(config: Config) -> dict[str, dict[str, object]]:
    """Return the registries BuildKit needs settings for; it speaks plain http with loopback ones by itself."""
    settings = {host: buildkit_settings(host, options) for host, options in config.registry_settings.items()}
    return {host: options for host, options in settings.items() if options}
