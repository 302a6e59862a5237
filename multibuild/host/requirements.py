"""What a config wants of the host."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from multibuild.frozen import frozen
from multibuild.host.buildkitd import registry_settings
from multibuild.oci.registry_settings import is_loopback
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.models import Config
    from multibuild.config.profile_models import Profile


@frozen
class OtherBuilder:
    """A `builder:` that single platforms name for themselves."""

    builder: str
    profile: Profile | None
    platforms: tuple[Platform, ...]


@frozen
class HostRequirements:
    """What a config wants of the host."""

    builder: str
    profile: Profile | None
    platforms: tuple[Platform, ...]
    others: tuple[OtherBuilder, ...] = ()
    required: tuple[Platform, ...]
    emulators: Literal["auto", "image", "host", "none"]
    emulator_image: str
    registries: Mapping[str, Mapping[str, object]] = field(default_factory=dict)

    @classmethod
    def from_config(cls, config: Config, project: Path) -> HostRequirements:
        """Read it off a config; ConfigError for a broken profile."""
        from multibuild.config.profiles import load_profile

        return cls(
            builder=config.builder,
            profile=load_profile(config.builder, project),
            platforms=tuple(
                entry.name for entry in config.platforms if entry.builder in {None, config.builder}
            ),
            others=_others(config, project),
            required=tuple(entry.name for entry in config.platforms if entry.required),
            emulators=config.emulators.source,
            emulator_image=config.emulators.image,
            registries=_registries(config),
        )


def _others(config: Config, project: Path) -> tuple[OtherBuilder, ...]:
    """Collect the builders that single platforms name."""
    from multibuild.config.profiles import load_profile

    named: dict[str, list[Platform]] = {}
    for entry in config.platforms:
        if entry.builder not in {None, config.builder}:
            named.setdefault(str(entry.builder), []).append(entry.name)
    return tuple(
        OtherBuilder(builder=builder, profile=load_profile(builder, project), platforms=tuple(platforms))
        for builder, platforms in named.items()
    )


def _registries(config: Config) -> dict[str, dict[str, object]]:
    """Collect what BuildKit must be told of registries; this machine's own it takes for plain http by itself."""
    found = {
        host: registry_settings(options.model_dump())
        for host, options in config.registries.items()
        if not is_loopback(host)
    }
    return {host: settings for host, settings in found.items() if settings}
