"""One platform of a plan: its entry in the config merged over the defaults, on the node that builds it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from multibuild.errors import ConfigError
from multibuild.frozen import frozen
from multibuild.plan.annotations import platform_annotations
from multibuild.plan.host_facts import HostFacts, Node
from multibuild.plan.placement import Placement, nodes_for, nodes_in_order
from multibuild.plan.spec import IMAGE_OF_FILE, LAYOUTS, BuildSpec, Staging
from multibuild.platforms import Platform, runs_natively

if TYPE_CHECKING:
    from multibuild.config.config import Config
    from multibuild.config.load import LoadedConfig
    from multibuild.config.sections import PlatformEntry, SmokeTest


@frozen
class EntryFields:
    """The config's fields of a platform's entry in the index."""

    also_as: tuple[Platform, ...] = ()
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    annotations: Mapping[str, str]


@frozen
class StepLimits:
    """What each RUN may use: `memory` in bytes, `cpus` in processors' time; None for all there is.

    They are no part of the inputs: BuildKit's digest of a step does not contain them either.
    """

    memory: int | None = None
    cpus: float | None = None

    def __bool__(self) -> bool:
        """Whether there is a limit."""
        return self.memory is not None or self.cpus is not None


@frozen
class PlannedPlatform:
    """One platform of a run: `timeout` in seconds per attempt, `standby` for when its node dies, best first."""

    platform: Platform
    required: bool
    spec: BuildSpec
    staging: Staging
    node: Node
    emulated: bool
    standby: tuple[Placement, ...] = ()
    timeout: float
    limits: StepLimits = StepLimits()
    entry: EntryFields
    test: SmokeTest | None

    @property
    def slug(self) -> str:
        """Return the platform as part of a file name."""
        return self.platform.slug


def plan_platform(loaded: LoadedConfig, entry: PlatformEntry, facts: HostFacts) -> PlannedPlatform:
    """Return where a platform is built and staged, from what, and how it is tested."""
    config = loaded.config
    first, *others = nodes_in_order(entry.name, nodes_for(entry.builder or config.builder, facts.nodes))
    placement = _placement(loaded, entry.name, first)
    return PlannedPlatform(
        platform=entry.name,
        required=entry.required,
        spec=build_spec(loaded, entry),
        staging=placement.staging,
        node=first,
        emulated=placement.emulated,
        standby=tuple(
            _placement(loaded, entry.name, node)
            for node in others
            if node.pushes_by_digest or config.publish.staging != "digest"
        ),
        timeout=config.timeout if entry.timeout is None else entry.timeout,
        limits=StepLimits(memory=entry.memory, cpus=entry.cpus),
        entry=EntryFields(
            also_as=entry.also_as,
            os_version=entry.os_version,
            os_features=entry.os_features,
            annotations=platform_annotations(config, entry, "manifest-descriptor"),
        ),
        test=config.test_of(entry),
    )


def _placement(loaded: LoadedConfig, platform: Platform, node: Node) -> Placement:
    staging = _staging(loaded.config, loaded.name, platform, node)
    return Placement(node=node, staging=staging, emulated=not runs_natively(platform, node.native))


def build_spec(loaded: LoadedConfig, entry: PlatformEntry) -> BuildSpec:
    """Return what goes into a platform's child: its own values over those of the config."""
    config = loaded.config
    slug = entry.name.slug
    return BuildSpec(
        platform=entry.name,
        context=config.context,
        dockerfile=entry.dockerfile or config.dockerfile,
        target=entry.target or config.target,
        args={**config.args, **entry.args},
        contexts={
            **config.contexts,
            **{context: f"{IMAGE_OF_FILE}{name}" for context, name in loaded.dependencies.items()},
        },
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
        annotations=platform_annotations(config, entry, "manifest"),
    )


def _staging(config: Config, name: str, platform: Platform, node: Node) -> Staging:
    """Return where to stage: by digest if the driver can, else under a tag with a stable name per platform.

    What is published on this machine needs no registry: it is staged in the run's directory. The stable name keeps
    the registry from filling with staging tags; the digest is read from the build, never from the tag, so two builds
    that share the tag do not mix. Images of one file may have one repository: their `name` is in the tag.
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
        own = f"{name}-{platform.slug}" if name else platform.slug
        return Staging(kind="tag", reference=f"{config.image}:multibuild-{own}", insecure=insecure)
    arch = platform.architecture + (f"-{platform.variant}" if platform.variant else "")
    reference = (
        staging.replace("{image}", config.image)
        .replace("{arch}", arch)
        .replace("{slug}", platform.slug)
        .replace("{tag}", config.tags[0])
    )
    return Staging(kind="tag", reference=reference, insecure=insecure)
