"""The plan of a run, made from config, host facts and git. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.plan.annotations import index_annotations
from multibuild.plan.host_facts import HostFacts
from multibuild.plan.jobs import MEMORY_PER_BUILD, jobs_for
from multibuild.plan.planned_platform import PlannedPlatform, build_spec, plan_platform
from multibuild.plan.spec import BuildSpec
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.gates.gate import Gate
    from multibuild.config.load import LoadedConfig
    from multibuild.config.publishing.sign import Sign
    from multibuild.config.sections import PlatformEntry, Publish, Retry, Verify
    from multibuild.oci.registry_settings import RegistrySettings


@frozen
class Target:
    """A repository that receives the index, and the tags it gets there, in order."""

    repository: str
    tags: tuple[str, ...]


@frozen
class Plan:
    """Every decision about an image of a run.

    `project` is the directory that paths are relative to; `facts` are the host's.
    `targets` begin with `image`. `omitted` are platforms of the config left out by `--platform`. `jobs` is how many
    builds may run at once, `jobs_auto` whether the config left that to multibuild. `stall_timeout` and
    `crash_timeout` are in seconds.
    `fingerprint` is the SHA-256 of the config that the plan was made from. `name` is the image's in a file of several,
    else ""; `dependencies` are its build contexts that are other images of the file, by name. `annotations` are the
    index's, `layout_annotations` those of the descriptor that lists it in an OCI layout.
    """

    project: Path
    facts: HostFacts
    platforms: tuple[PlannedPlatform, ...]
    omitted: tuple[Platform, ...]
    targets: tuple[Target, ...]
    registries: Mapping[str, RegistrySettings]
    jobs: int
    jobs_auto: bool
    retry: Retry
    fail_fast: bool
    stall_timeout: float | Literal["auto"] | None
    crash_timeout: float | None
    verify: Verify
    annotations: Mapping[str, str]
    media_type: Literal["oci", "docker"]
    publish: Publish
    fingerprint: str
    gates: tuple[Gate, ...] = ()
    sign: Sign | None = None
    name: str = ""
    dependencies: Mapping[str, str] = field(default_factory=dict)
    layout_annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def image(self) -> str:
        """Return the repository of the config's `image`."""
        return self.targets[0].repository

    @property
    def tags(self) -> tuple[str, ...]:
        """Return the tags of the index, in order."""
        return self.targets[0].tags

    @property
    def max_concurrent(self) -> int:
        """Return how many may run at once: `jobs`; for "auto" what memory carries, as BuildKit shares processors."""
        return max(self.jobs, self.facts.memory // MEMORY_PER_BUILD) if self.jobs_auto else self.jobs

    @property
    def required_platforms(self) -> frozenset[Platform]:
        """Return the platforms without which the image is not complete."""
        return frozenset(planned.platform for planned in self.platforms if planned.required)

    @property
    def specs(self) -> dict[Platform, BuildSpec]:
        """Return the inputs of each platform's build."""
        return {planned.platform: planned.spec for planned in self.platforms}


def make_plan(loaded: LoadedConfig, facts: HostFacts, *, only: Sequence[Platform] | None = None) -> Plan:
    """Return the plan of a run; UsageError for a platform in `only` (`--platform`) that the config does not have."""
    if not loaded.name:
        require_listed(loaded, only)
    config = loaded.config
    entries = _chosen_entries(loaded, only)
    platforms = tuple(plan_platform(loaded, entry, facts) for entry in entries)
    machines = len({planned.node.builder for planned in platforms})
    return Plan(
        project=loaded.project,
        facts=facts,
        platforms=platforms,
        omitted=tuple(entry.name for entry in config.platforms if entry not in entries),
        jobs=jobs_for(config.jobs, len(platforms), facts, machines=machines),
        targets=tuple(
            Target(repository=name, tags=config.tags) for name in (config.image, *config.destinations)
        ),
        registries=config.registry_settings,
        jobs_auto=config.jobs == "auto",
        retry=config.retry,
        fail_fast=config.fail_fast,
        stall_timeout=config.stall_timeout,
        crash_timeout=config.crash_timeout,
        verify=config.verify,
        annotations=index_annotations(config, "index"),
        layout_annotations=index_annotations(config, "index-descriptor"),
        media_type=config.media_type,
        publish=config.publish,
        fingerprint=fingerprint_of(loaded.canonical),
        gates=config.gates,
        sign=config.sign,
        name=loaded.name,
        dependencies=loaded.dependencies,
    )


def choose_images(
    images: Sequence[LoadedConfig], only: Sequence[Platform] | None
) -> tuple[LoadedConfig, ...]:
    """Return the images that have one of the platforms of `--platform`; all without it.

    Raises UsageError for a platform that no image has.
    """
    if only is None or not images[0].name:
        return tuple(images)
    listed = {loaded.name: {entry.name for entry in loaded.config.platforms} for loaded in images}
    if unknown := [platform for platform in only if not any(platform in one for one in listed.values())]:
        known = dict.fromkeys(entry.name for loaded in images for entry in loaded.config.platforms)
        raise UsageError(
            f"{images[0].path}: no image has {', '.join(map(str, unknown))}",
            hint=f"the images have {', '.join(map(str, known))}",
        )
    return tuple(loaded for loaded in images if listed[loaded.name] & set(only))


def build_specs(loaded: LoadedConfig, only: Sequence[Platform] | None) -> dict[Platform, BuildSpec]:
    """Return the inputs of each platform's build, as in the plan: they depend on no fact of the host."""
    return {entry.name: build_spec(loaded, entry) for entry in _chosen_entries(loaded, only)}


def chosen_platforms(loaded: LoadedConfig, only: Sequence[Platform] | None) -> frozenset[Platform]:
    """Return the platforms of an image that a run is about; UsageError as `make_plan`."""
    if not loaded.name:
        require_listed(loaded, only)
    return frozenset(entry.name for entry in _chosen_entries(loaded, only))


def _chosen_entries(loaded: LoadedConfig, only: Sequence[Platform] | None) -> list[PlatformEntry]:
    return [entry for entry in loaded.config.platforms if only is None or entry.name in only]


def require_listed(loaded: LoadedConfig, only: Sequence[Platform] | None) -> None:
    """Raise UsageError for a platform in `only` that the config does not have."""
    listed = [entry.name for entry in loaded.config.platforms]
    if unknown := [platform for platform in only or () if platform not in listed]:
        raise UsageError(
            f"{loaded.path}: platforms does not list {', '.join(map(str, unknown))}",
            hint=f"it lists {', '.join(map(str, listed))}",
        )


def fingerprint_of(canonical: str) -> str:
    """Return the SHA-256 of a config's canonical JSON, in hex."""
    return hashlib.sha256(canonical.encode()).hexdigest()
