"""Creates, starts and mends the builders of a plan, and reports those that do not answer."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager

from multibuild.engine.builder_container import has_ended
from multibuild.engine.engine import BuilderInfo, Engine, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.builder_drift import container_differences, is_container_of
from multibuild.host.buildkitd_toml import CONFIGURABLE
from multibuild.host.choose_builder import BuilderPlan, BuilderPolicy
from multibuild.host.host import Unreachable
from multibuild.host.own_builders import OwnBuilder
from multibuild.host.pull_images import pull_backoff, pull_if_missing
from multibuild.host.ssh_nodes import why_silent
from multibuild.journal.recorder import Say
from multibuild.retry_calls import retry

WITHOUT_BUILDKIT_IMAGE = (
    "without that image: name your own registry's in a profile (`image:`), bring it with `docker load`, or build with "
    "the engine itself (`builder: default`, with the containerd image store)"
)

BUILDKIT_ENDS = (
    "BuildKit ends as soon as it begins: look at the profile's buildkitd.toml, and at the engine's memory"
)


class LostRace(EnvironmentFault):
    """Another run created or changed a builder meanwhile: choose again."""


@frozen
class AvailableBuilders:
    """The planned builders that answer, why the others do not, by name, and what was changed, in words."""

    builders: tuple[BuilderInfo, ...]
    unreachable: Mapping[str, Unreachable]
    changes: tuple[str, ...] = ()


def create_builders(plan: BuilderPlan, engine: Engine, policy: BuilderPolicy, say: Say) -> AvailableBuilders:
    """Carry out a plan's actions.

    A builder that does not start is an error only when it is the only one: others may do its platforms. Raises
    EnvironmentFault when none is left, LostRace when another run changed what the plan was made from.
    """
    for note in plan.notes:
        say(note)
    failed = _pull(plan, engine, policy, say)
    changes = _remove_drifted(plan, engine, failed, say)
    for new in (*plan.create, *(drift.target for drift in plan.mend)):
        if new.name in failed:
            continue
        say(f"creating the {new.driver} builder {new.name}")
        policy.own_builders.add(_record(new, plan, policy))
        with _failing_alone(new.name, plan, failed):
            _create(new, engine, policy, say)
            if new in plan.create:
                changes.append(f"created the builder {new.name}")
    for builder in plan.start:
        with _failing_alone(builder.name, plan, failed):
            changes.append(_start_again(builder, engine, policy, say))
    existing = {listed.name: listed for listed in engine.builders()} if changes or failed else plan.existing
    available = available_builders(plan, existing, failed, changes)
    for name, reason in available.unreachable.items():
        say(f"node {name} does not answer: {reason}")
    for name in _orphaned(plan, policy, existing):
        say(f"{name} is no node of the profile any more: `docker buildx rm {name}` removes it and its cache")
    return available


@contextmanager
def _failing_alone(name: str, plan: BuilderPlan, failed: dict[str, Unreachable]) -> Iterator[None]:
    """Keep in `failed` why a builder cannot be had, unless it is the only one of the plan."""
    try:
        yield
    except LostRace:
        raise
    except EnvironmentFault as error:
        if len(plan.names) == 1:
            raise
        failed[name] = Unreachable(reason=error.message)


def _pull(plan: BuilderPlan, engine: Engine, policy: BuilderPolicy, say: Say) -> dict[str, Unreachable]:
    """Pull the image of local builders; return those left without it → why; EnvironmentFault if it is all of them."""
    if plan.pull is None:
        return {}
    try:
        pull_if_missing(engine, plan.pull, say, without=WITHOUT_BUILDKIT_IMAGE, wait_s=policy.retry_wait_s)
    except EnvironmentFault as error:
        targets = (*plan.create, *(drift.target for drift in (*plan.mend, *plan.leave)))
        affected = [new.name for new in targets if new.endpoint is None and new.image == plan.pull]
        if set(affected) == set(plan.names):
            raise
        return dict.fromkeys(affected, Unreachable(reason=error.message, hint=error.hint or ""))
    return {}


def _remove_drifted(plan: BuilderPlan, engine: Engine, failed: Container[str], say: Say) -> list[str]:
    """Remove the builders that are to be mended, with their cache only where it cannot be kept."""
    changes = []
    for drift in plan.leave:
        say(f"drift: {drift}")
        say(drift.how_to_mend)
    for drift in plan.mend:
        say(f"drift: {drift}")
        if drift.target.name not in failed:
            engine.remove_builder(drift.target.name, keep="nothing" if drift.loses_cache else "state")
            changes.append(f"mended the builder {drift}")
    return changes


def _create(new: NewBuilder, engine: Engine, policy: BuilderPolicy, say: Say) -> None:
    """Create and start a builder; LostRace when another run has created one of its name meanwhile."""
    try:
        engine.create_builder(new)
    except EnvironmentFault as error:
        if any(listed.name == new.name for listed in engine.builders()):
            raise LostRace(error.message, hint=error.hint) from error
        raise
    if new.driver == "remote":
        return  # its owner starts it; `buildx ls` says whether it answers
    try:
        _start(new.name, engine, policy, say)
    except EnvironmentFault as error:
        # A builder that was created but never started would pass for an existing one in the next run.
        engine.remove_builder(new.name, keep="state")
        hint = WITHOUT_BUILDKIT_IMAGE if new.options.get("image") else error.hint
        if has_ended(error.message):
            hint = BUILDKIT_ENDS
        raise EnvironmentFault(error.message, hint=hint) from error
    _require_own_container(new, engine)


def _start_again(builder: BuilderInfo, engine: Engine, policy: BuilderPolicy, say: Say) -> str:
    """Start a builder whose container is stopped or gone; return the change in words."""
    status = builder.nodes[0].status
    was = {"stopped": "was stopped", "inactive": "was gone"}.get(status, "was restarting")
    say(f"the container of the builder {builder.name} {was}; starting it")
    _start(builder.name, engine, policy, say)
    own = policy.own_builders.get(builder.name)
    container = engine.builder_container(f"{builder.name}0") if own and not own.endpoint else None
    if container is not None and not is_container_of(builder, container):
        raise _lost_to_another_account(builder.name)
    return f"started the builder {builder.name}, whose container {was}"


def _start(name: str, engine: Engine, policy: BuilderPolicy, say: Say) -> None:
    """Start a builder; a failure of a transient kind (its image is pulled then) is retried."""
    retry(
        lambda: engine.start_builder(name),
        pull_backoff(policy.retry_wait_s, lambda *_: say(f"{name} did not start; trying again")),
    )


def _require_own_container(new: NewBuilder, engine: Engine) -> None:
    """Raise LostRace when another account's container answered: it was started between our look and our start."""
    in_container = new.driver == "docker-container"
    container = engine.builder_container(f"{new.name}0", new.endpoint) if in_container else None
    if container is not None and container_differences(new, container):
        engine.remove_builder(new.name, keep="daemon")
        raise _lost_to_another_account(new.name)


def _lost_to_another_account(name: str) -> LostRace:
    return LostRace(
        f"the container of {name} was made by another account in this moment",
        hint="run it again, or name the builder in a profile (`name:`)",
    )


def _record(new: NewBuilder, plan: BuilderPlan, policy: BuilderPolicy) -> OwnBuilder:
    previous = policy.own_builders.get(new.name)
    registries = {**(previous.registries if previous else {}), **policy.registries}
    return OwnBuilder(
        name=new.name,
        driver=new.driver,
        profile=plan.profile,
        endpoint=new.endpoint or "",
        configured=bool(new.buildkitd),
        registries=registries if new.driver in CONFIGURABLE else {},
    )


def available_builders(
    plan: BuilderPlan,
    existing: Mapping[str, BuilderInfo],
    failed: Mapping[str, Unreachable],
    changes: Sequence[str] = (),
) -> AvailableBuilders:
    """Separate the planned builders that answer from the others; EnvironmentFault when none of them does."""
    unreachable = {**plan.unreachable, **failed}
    for name in plan.names:
        builder = existing.get(name)
        if name in unreachable or builder is None:
            continue
        if builder.error:
            unreachable[name] = why_silent(builder)
        elif builder.driver == "remote" and all(node.status != "running" for node in builder.nodes):
            endpoints = ", ".join(node.endpoint for node in builder.nodes)
            unreachable[name] = Unreachable(reason=f"nothing answers at {endpoints}")
    if unreachable and len(unreachable) == len(plan.names):
        reasons = "; ".join(f"{name}: {reason}" for name, reason in unreachable.items())
        raise EnvironmentFault(
            f"no builder answers: {reasons}",
            hint=f"start it, then `docker buildx inspect {next(iter(unreachable))} --bootstrap` shows what it says",
        )
    return AvailableBuilders(
        builders=tuple(existing[name] for name in plan.names if name in existing and name not in unreachable),
        unreachable=unreachable,
        changes=tuple(changes),
    )


def _orphaned(plan: BuilderPlan, policy: BuilderPolicy, existing: Mapping[str, BuilderInfo]) -> list[str]:
    """Return the builders that were made for nodes this profile no longer has."""
    return [
        own.name
        for own in (policy.own_builders.all() if plan.profile else ())
        if own.profile == plan.profile and own.name in existing and own.name not in plan.names
    ]
