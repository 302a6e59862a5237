"""Everything decided, nothing done: `make_plan` turns config, host facts and git into a Plan. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from multibuild.errors import ConfigError, UsageError
from multibuild.frozen import frozen
from multibuild.plan.host_facts import MIB, HostFacts, Node
from multibuild.plan.placement import Placement, nodes_for, nodes_in_order
from multibuild.plan.spec import LAYOUTS, BuildSpec, Staging
from multibuild.platforms import Platform, runs_natively

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.models import Config
    from multibuild.config.sections import PlatformEntry, Publish, Retry, SmokeTest, Verify
    from multibuild.oci.registry_settings import RegistrySettings

MEMORY_PER_BUILD = 768 * MIB
"""What an emulated build is allowed for when `jobs: auto` counts: some 14 MB per process, compilers much more."""

JOBS_PER_CPU = 3
"""Builds wait for the network a good part of their time; measured best with 2 cores and 12 small builds."""


@frozen
class EntryFields:
    """What the user wants said of a platform's entry in the index."""

    also_as: tuple[Platform, ...] = ()
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    annotations: Mapping[str, str]


@frozen
class PlannedPlatform:
    """One platform's whole share of a run. `timeout` is in seconds, per attempt.

    `standby` is where it may be built when its node dies, best first.
    """

    platform: Platform
    required: bool
    spec: BuildSpec
    staging: Staging
    node: Node
    emulated: bool
    standby: tuple[Placement, ...] = ()
    timeout: float
    entry: EntryFields
    test: SmokeTest | None

    @property
    def slug(self) -> str:
        """The platform as part of a file name."""
        return self.platform.slug


@frozen
class Target:
    """A repository that receives the index, and the tags it gets there, in order."""

    repository: str
    tags: tuple[str, ...]


@frozen
class Plan:
    """A run, decided. `project` is the directory that every path is relative to; `facts` are those of the host.

    `targets` begin with `image`. `omitted` are platforms of the config left out by `--platform`. `jobs` is how many
    builds may run at once, `jobs_auto` whether that was for us to choose. `stall_timeout` is in seconds. `fingerprint`
    is the SHA-256 of the config that the plan was made from.
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
    verify: Verify
    annotations: Mapping[str, str]
    media_type: Literal["oci", "docker"]
    publish: Publish
    fingerprint: str

    @property
    def image(self) -> str:
        """The repository of the config's `image`."""
        return self.targets[0].repository

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags that the index gets, in order."""
        return self.targets[0].tags

    @property
    def specs(self) -> dict[Platform, BuildSpec]:
        """What each platform is built from."""
        return {planned.platform: planned.spec for planned in self.platforms}


def make_plan(loaded: LoadedConfig, facts: HostFacts, *, only: Sequence[Platform] | None = None) -> Plan:
    """Decide the whole run. `only` narrows the platforms (`--platform`).

    Raises UsageError for a platform in `only` that the config does not have.
    """
    require_listed(loaded, only)
    config = loaded.config
    known = [entry.name for entry in config.platforms]
    planned = tuple(_planned(loaded, entry, facts) for entry in _chosen(loaded, only))
    return Plan(
        project=loaded.project,
        facts=facts,
        platforms=planned,
        omitted=tuple(name for name in known if only is not None and name not in only),
        jobs=jobs_for(
            config.jobs, len(planned), facts, machines=len({planned.node.builder for planned in planned})
        ),
        targets=tuple(
            Target(repository=name, tags=config.tags) for name in (config.image, *config.destinations)
        ),
        registries=config.registry_settings,
        jobs_auto=config.jobs == "auto",
        retry=config.retry,
        fail_fast=config.fail_fast,
        stall_timeout=config.stall_timeout,
        verify=config.verify,
        annotations=config.annotations,
        media_type=config.media_type,
        publish=config.publish,
        fingerprint=fingerprint_of(loaded.canonical),
    )


def build_specs(loaded: LoadedConfig, only: Sequence[Platform] | None) -> dict[Platform, BuildSpec]:
    """Give what each platform is built from, as in the plan: it depends on no fact of the host."""
    return {entry.name: _spec(loaded, entry) for entry in _chosen(loaded, only)}


def _chosen(loaded: LoadedConfig, only: Sequence[Platform] | None) -> list[PlatformEntry]:
    return [entry for entry in loaded.config.platforms if only is None or entry.name in only]


def require_listed(loaded: LoadedConfig, only: Sequence[Platform] | None) -> None:
    """Raise UsageError for a platform in `only` that the config does not have."""
    known = [entry.name for entry in loaded.config.platforms]
    unknown = [platform for platform in only or () if platform not in known]
    if unknown:
        raise UsageError(
            f"{loaded.path}: platforms does not list {', '.join(map(str, unknown))}",
            hint=f"it lists {', '.join(map(str, known))}",
        )


def fingerprint_of(canonical: str) -> str:
    """Name a settled config: the SHA-256 of its canonical JSON, in hex."""
    return hashlib.sha256(canonical.encode()).hexdigest()


def jobs_for(wanted: int | str, platforms: int, facts: HostFacts, *, machines: int = 1) -> int:
    """How many builds may run at once: what was asked for, or what processors and memory carry.

    Where this machine's processors build, they can be looked at, and memory alone sets the limit. Of other `machines`
    nothing is known but that they are there: they are taken to carry as much as this one.
    """
    if isinstance(wanted, int):
        return max(1, wanted)
    by_memory = facts.memory // MEMORY_PER_BUILD or 1
    each = by_memory if facts.here else min(usual_jobs(facts), by_memory)
    return max(1, min(platforms, each * machines))


def usual_jobs(facts: HostFacts) -> int:
    """How many builds a machine carries, as far as its processors go."""
    return max(2, facts.cpus * JOBS_PER_CPU)


def _planned(loaded: LoadedConfig, entry: PlatformEntry, facts: HostFacts) -> PlannedPlatform:
    config = loaded.config
    first, *others = nodes_in_order(entry.name, nodes_for(entry.builder or config.builder, facts.nodes))
    here = _placement(config, entry.name, first)
    return PlannedPlatform(
        platform=entry.name,
        required=entry.required,
        spec=_spec(loaded, entry),
        staging=here.staging,
        node=here.node,
        emulated=here.emulated,
        standby=tuple(
            _placement(config, entry.name, node)
            for node in others
            if node.pushes_by_digest or config.publish.staging != "digest"
        ),
        timeout=config.timeout if entry.timeout is None else entry.timeout,
        entry=EntryFields(
            also_as=entry.also_as,
            os_version=entry.os_version,
            os_features=entry.os_features,
            annotations=entry.annotations,
        ),
        test=config.test_of(entry),
    )


def _placement(config: Config, platform: Platform, node: Node) -> Placement:
    return Placement(
        node=node,
        staging=_staging(config, platform, node),
        emulated=not runs_natively(platform, node.native),
    )


def _spec(loaded: LoadedConfig, entry: PlatformEntry) -> BuildSpec:
    config = loaded.config
    slug = entry.name.slug
    return BuildSpec(
        platform=entry.name,
        context=config.context,
        dockerfile=entry.dockerfile or config.dockerfile,
        target=entry.target or config.target,
        args={**config.args, **entry.args},
        contexts=config.contexts,
        labels={**config.labels, **entry.labels},
        secrets=config.secrets,
        ssh=config.ssh,
        cache_from=tuple(text.replace("{slug}", slug) for text in config.cache.from_),
        cache_to=tuple(text.replace("{slug}", slug) for text in config.cache.to),
        network=config.network,
        pull=config.pull,
        no_cache=config.no_cache,
        build_flags=config.build_flags,
        provenance=config.attestations.provenance,
        sbom=bool(config.attestations.sbom),
        media_type=config.media_type,
        source_date_epoch=(loaded.git.commit_time or 0) if config.reproducible else None,
    )


def _staging(config: Config, platform: Platform, node: Node) -> Staging:
    """Stage by digest where the driver can, else under a tag with a stable name per platform.

    What is published on this machine needs no registry: it is staged in the run's directory.

    The stable name keeps the registry from filling with staging tags; the digest is read from the build, never
    from the tag, so two builds that share the tag do not mix.
    """
    staging = config.publish.staging
    if staging == "auto" and config.publish.output.kind != "registry":
        return Staging(kind="layout", reference=f"{LAYOUTS}{platform.slug}", insecure=False)
    host = config.image.split("/", 1)[0]
    insecure = bool(host in config.registries and config.registries[host].insecure)
    if staging == "digest" and not node.pushes_by_digest:
        raise ConfigError(
            f"publish.staging: the {node.driver} driver of builder {node.builder} cannot push by digest",
            hint="write `staging: auto`, or use a docker-container builder",
        )
    if staging in {"auto", "digest"} and node.pushes_by_digest:
        return Staging(kind="digest", reference=config.image, insecure=insecure)
    if staging in {"auto", "tag"}:
        return Staging(kind="tag", reference=f"{config.image}:multibuild-{platform.slug}", insecure=insecure)
    arch = platform.architecture + (f"-{platform.variant}" if platform.variant else "")
    reference = (
        staging.replace("{image}", config.image)
        .replace("{arch}", arch)
        .replace("{slug}", platform.slug)
        .replace("{tag}", config.tags[0])
    )
    return Staging(kind="tag", reference=reference, insecure=insecure)


def max_concurrent(plan: Plan) -> int:
    """How many may run at once: `jobs` where it was said; else what memory carries, as BuildKit shares the CPUs."""
    return max(plan.jobs, plan.facts.memory // MEMORY_PER_BUILD) if plan.jobs_auto else plan.jobs
