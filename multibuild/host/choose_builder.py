"""Chooses buildx builders: `builder: auto`, a profile, or a builder by name. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path

from multibuild.config.profile_models import Node, Profile
from multibuild.config.profiles import load_profile
from multibuild.engine.builder_container import container_name
from multibuild.engine.engine import BuilderInfo, Engine, EngineInfo, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.builder_drift import (
    Drift,
    container_differences,
    drift_of,
    is_container_of,
    with_name_of_its_own,
)
from multibuild.host.buildkitd_toml import CONFIGURABLE, with_registries
from multibuild.host.host import Unreachable
from multibuild.host.own_builders import OwnBuilders
from multibuild.host.pull_images import PULL_WAIT_S
from multibuild.host.ssh_nodes import why_silent
from multibuild.platforms import Platform

BUILDKIT_IMAGE = "moby/buildkit:v0.32.2"
OWN_NAME = "multibuild"

THREE_WAYS_OUT = (
    "three ways out: make docker-container work (`docker pull "
    + BUILDKIT_IMAGE
    + "`, or bring it with `docker load`, or name your own registry's in a profile), turn on the containerd image "
    'store ({"features": {"containerd-snapshotter": true}} in daemon.json), or name a builder (`builder: NAME`)'
)


@frozen
class BuilderPlan:
    """The builders a run will use, by name, and the actions that make them ready.

    `pull` is an image to pull first; `mend` and `leave` are builders of ours that differ from the profile, `leave`
    those whose cache would be lost; `unreachable` are those on machines that do not answer; `existing` has the builders
    of the machine, by name; `profile` is the name of the profile; `platforms` are those it assigns to each builder;
    `notes` say why a builder has another name.
    """

    names: tuple[str, ...]
    pull: str | None = None
    create: tuple[NewBuilder, ...] = ()
    mend: tuple[Drift, ...] = ()
    leave: tuple[Drift, ...] = ()
    unreachable: Mapping[str, Unreachable] = field(default_factory=dict)
    existing: Mapping[str, BuilderInfo] = field(default_factory=dict)
    profile: str = ""
    platforms: Mapping[str, tuple[Platform, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def start(self) -> tuple[BuilderInfo, ...]:
        """Return the builders that buildx lists and whose container is stopped, restarting or gone.

        buildx starts such a one with the first build. Of several builds at once, the others may find a container
        that runs and a BuildKit that does not listen yet, and fail (buildx 0.29: "error reading server preface: EOF").
        """
        mended = {drift.target.name for drift in self.mend}
        listed = (self.existing[name] for name in self.names if name in self.existing and name not in mended)
        return tuple(builder for builder in listed if builder.is_down)

    @property
    def planned_changes(self) -> tuple[str, ...]:
        """Describe the actions, for a reader of `setup --dry-run`."""
        pull = [f"pull {self.pull}"] if self.pull else []
        create = [f"create the {new.driver} builder {new.name}" for new in self.create]
        mend = [f"mend the builder {drift}" for drift in self.mend]
        leave = [f"leave the builder {drift} ({drift.how_to_mend})" for drift in self.leave]
        start = [f"start the builder {builder.name}" for builder in self.start]
        return (*self.notes, *pull, *create, *mend, *leave, *start)


@frozen
class BuilderPolicy:
    """The limits of a choice: our own builders, the registries BuildKit needs settings for, the permissions.

    `try_pull(image)` pulls an image that can be done without and returns whether it is in the engine then. `recreate`
    allows that a builder loses its cache. `silent` are the profile's nodes that do not answer, by their number.
    `retry_wait_s` passes before the first retry of a pull or a start.
    """

    own_builders: OwnBuilders
    registries: Mapping[str, Mapping[str, object]]
    try_pull: Callable[[str], bool]
    recreate: bool = False
    silent: Mapping[int, Unreachable] = field(default_factory=dict)
    retry_wait_s: float = PULL_WAIT_S


def choose(
    builder: str, profile: Profile | None, engine: Engine, info: EngineInfo, policy: BuilderPolicy
) -> BuilderPlan:
    """Choose by `builder:`, a profile, a builder's name or auto; EnvironmentFault if nothing can build."""
    existing = {listed.name: listed for listed in engine.builders()}
    if profile is not None:
        plan = _from_profile(profile, existing, engine, info, policy)
    elif builder in {"auto", "local"}:
        plan = _auto(existing, engine, info, policy)
    else:
        plan = _by_name(builder, existing, info)
    return replace(plan, existing=existing)


def _auto(
    existing: Mapping[str, BuilderInfo], engine: Engine, info: EngineInfo, policy: BuilderPolicy
) -> BuilderPlan:
    own = existing.get(OWN_NAME)
    if own is not None and own.driver == "docker-container" and (own.is_down or not own.error):
        if policy.own_builders.get(OWN_NAME) is None and not _foreign(own, engine):
            return BuilderPlan(names=(OWN_NAME,))
        return _from_profile(_container_profile(), existing, engine, info, policy)
    if own is None and (engine.has_image(BUILDKIT_IMAGE) or policy.try_pull(BUILDKIT_IMAGE)):
        return _from_profile(_container_profile(), existing, engine, info, policy)
    default = default_builder(existing.values(), info)
    if default is not None and info.containerd_store:
        return BuilderPlan(names=(default.name,))
    if own is not None and own.error:
        raise EnvironmentFault(
            f"the builder {OWN_NAME} does not answer: {own.error.splitlines()[0]}",
            hint=f"`docker buildx inspect {OWN_NAME} --bootstrap`, or `docker buildx rm {OWN_NAME}` (loses its cache)",
        )
    raise EnvironmentFault(
        f"no builder for several platforms: {BUILDKIT_IMAGE} is not in the engine and cannot be pulled, and the "
        "engine's own builder builds one platform only",
        hint=THREE_WAYS_OUT,
    )


def _container_profile() -> Profile:
    """Return the shipped profile that auto makes: one name, one definition."""
    profile = load_profile("container", Path())
    assert profile is not None
    return profile


def default_builder(builders: Iterable[BuilderInfo], info: EngineInfo) -> BuilderInfo | None:
    """Return the engine's own builder (driver docker) of the current docker context."""
    by_name = {builder.name: builder for builder in builders if builder.driver == "docker"}
    return by_name.get(info.context) or by_name.get("default")


def _by_name(name: str, existing: Mapping[str, BuilderInfo], info: EngineInfo) -> BuilderPlan:
    builder = existing.get(name)
    if builder is None:
        raise EnvironmentFault(
            f"builder: there is no profile and no buildx builder named '{name}'",
            hint=f"`docker buildx ls` shows {', '.join(sorted(existing))}; `builder: auto` chooses",
        )
    if builder.error and not builder.is_down:
        silence = why_silent(builder)
        raise EnvironmentFault(
            f"builder {name} does not answer: {silence.reason}",
            hint=silence.hint or f"`docker buildx inspect {name} --bootstrap`",
        )
    if builder.driver == "docker" and name != info.context:
        # buildx, builder/builder.go: "use `docker --context=… buildx` to switch to context".
        raise EnvironmentFault(
            f"builder {name} is the engine's own of the docker context {name}, and {info.context} is the current one",
            hint=f"another engine builds by a profile (`driver: docker-container`, a node with `endpoint: {name}`), "
            f"or make it the current one: `docker context use {name}`",
        )
    return BuilderPlan(names=(name,))


def _from_profile(
    profile: Profile,
    existing: Mapping[str, BuilderInfo],
    engine: Engine,
    info: EngineInfo,
    policy: BuilderPolicy,
) -> BuilderPlan:
    """Compare the profile with the builders of the machine; a name that is not ours to change is an error."""
    if profile.driver == "docker":
        return _by_name(_own_name(profile.name, info), existing, info)
    create: list[NewBuilder] = []
    drifts: list[Drift] = []
    nodes = profile.nodes or (Node(),)
    named = [_target(profile, index, node, info, policy) for index, node in enumerate(nodes)]
    notes: list[str] = []
    targets = [
        target if number in policy.silent else _available_name(target, existing, engine, policy, notes)
        for number, target in enumerate(named)
    ]
    unreachable: dict[str, Unreachable] = {}
    for number, target in enumerate(targets):
        builder, own = existing.get(target.name), policy.own_builders.get(target.name)
        if number in policy.silent:
            unreachable[target.name] = policy.silent[number]
        elif target.driver == "docker":
            _by_name(target.name, existing, info)
        elif builder is None:
            create.append(target)
        elif (drift := drift_of(target, builder, own)) is not None:
            if own is None or own.driver != builder.driver:
                raise _name_taken(drift)
            drifts.append(drift)
    local = [new for new in (*create, *(drift.target for drift in drifts)) if new.endpoint is None]
    images = [new.image for new in local if new.image and new.driver == "docker-container"]
    return BuilderPlan(
        names=tuple(target.name for target in targets),
        pull=next((image for image in images if not engine.has_image(image)), None),
        create=tuple(create),
        mend=tuple(drift for drift in drifts if policy.recreate or not drift.loses_cache),
        leave=tuple(drift for drift in drifts if drift.loses_cache and not policy.recreate),
        unreachable=unreachable,
        profile=profile.name,
        notes=tuple(notes),
        platforms={target.name: node.platforms for target, node in zip(targets, nodes, strict=True)},
    )


def _available_name(
    target: NewBuilder,
    existing: Mapping[str, BuilderInfo],
    engine: Engine,
    policy: BuilderPolicy,
    notes: list[str],
) -> NewBuilder:
    """Return the target, under a name of its own where the container of its name has other settings; see `notes`.

    That container is another account's, or builds for another run and cannot be made anew now.
    """
    if target.driver != "docker-container":
        return target
    reason = _in_the_way(target, existing.get(target.name), engine, policy)
    if not reason:
        return target
    other = with_name_of_its_own(target)
    if _in_the_way(other, existing.get(other.name), engine, policy):
        raise EnvironmentFault(
            f"the container {container_name(f'{other.name}0')} is not what its name says: {reason}",
            hint="name the builder in a profile (`name:`), or remove that container if nobody needs it",
        )
    notes.append(f"{reason}: {other.name} is used instead")
    return other


def _in_the_way(
    target: NewBuilder, builder: BuilderInfo | None, engine: Engine, policy: BuilderPolicy
) -> str:
    """Return why the container of the target's name cannot be used or made anew; empty if it can."""
    container = engine.builder_container(f"{target.name}0", target.endpoint)
    if container is None:
        return ""
    if builder is None:
        differences = container_differences(target, container)
        return _of_another_account(target.name, differences) if differences else ""
    if not is_container_of(builder, container):
        return _of_another_account(target.name, container_differences(target, container))
    drift = drift_of(target, builder, policy.own_builders.get(target.name))
    if drift is not None and engine.running_builds(target.name):
        return f"{drift}, but it builds for another run"
    return ""


def _of_another_account(name: str, differences: Sequence[str]) -> str:
    more = f" ({'; '.join(differences)})" if differences else ""
    return f"the engine's container of {name} was made by another account{more}"


def _foreign(builder: BuilderInfo, engine: Engine) -> bool:
    """Whether the container of a builder's name was made by another account."""
    container = engine.builder_container(f"{builder.name}0")
    return container is not None and not is_container_of(builder, container)


def _own_name(name: str | None, info: EngineInfo) -> str:
    """Return the name of the engine's own builder: that of the current docker context, which need not be default."""
    return name if name and name != "default" else info.context


def _target(profile: Profile, index: int, node: Node, info: EngineInfo, policy: BuilderPolicy) -> NewBuilder:
    """Return what a node's builder must be; the profile's common options are for nodes of its own driver."""
    driver = node.driver or profile.driver
    if driver == "docker":
        return NewBuilder(name=_own_name(node.name, info), driver=driver)
    name = node.name or (profile.name if index == 0 else f"{profile.name}-{index}")
    text = ""
    if driver in CONFIGURABLE:
        own = policy.own_builders.get(name)
        base = profile.buildkitd.read_text(encoding="utf-8") if profile.buildkitd is not None else ""
        text = with_registries(base, {**(own.registries if own else {}), **policy.registries})
    common = profile.driver_opts if driver == profile.driver else {}
    return NewBuilder(
        name=name,
        driver=driver,
        endpoint=node.endpoint,
        image=profile.image if driver == "docker-container" else None,
        buildkitd=text,
        driver_opts={**common, **node.driver_opts},
    )


def _name_taken(drift: Drift) -> EnvironmentFault:
    name = drift.target.name
    return EnvironmentFault(
        f"the builder name '{name}' is taken by a builder that multibuild did not make: {'; '.join(drift.differences)}",
        hint=f"choose another `name:` in the profile, use it as it is (`builder: {name}` without the profile)"
        # The engine's own builder cannot be removed.
        + (f", or remove it and its cache: `docker buildx rm {name}`" if name != "default" else ""),
    )
