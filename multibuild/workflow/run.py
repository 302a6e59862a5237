"""The straight line: setup → build → test → content proof → merge → read-back. One function a stage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from multibuild.build.tails import Tails
from multibuild.builds.failover import Failover, settled
from multibuild.builds.history import read_history
from multibuild.builds.result import BuildResult, OnBuilt, missing_required, staged_children
from multibuild.builds.reuse import FinishedChild, Unfinished, unfinished
from multibuild.builds.stage import (
    build_children,
    check_inputs,
    fingerprint_inputs,
    journal_inputs,
    reusable_children,
)
from multibuild.engine.docker import Engine
from multibuild.errors import BuildFailed
from multibuild.frozen import frozen
from multibuild.host.requirements import HostRequirements
from multibuild.host.setup import Host, prepare, require_runnable
from multibuild.journal.events import HostReady, RunPlanned
from multibuild.journal.local_children import sweep
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import RunDirectory, State
from multibuild.prove.prefetch import child_reader
from multibuild.prove.stage import prove_children
from multibuild.publish.stage import preflight, publish_children
from multibuild.terminal import last_line, one_line, shortened
from multibuild.workflow.if_changed import settings_of

if TYPE_CHECKING:
    from multibuild.builds.fingerprint import PlanFingerprints
    from multibuild.config.load import LoadedConfig
    from multibuild.plan.plan import Plan
    from multibuild.platforms import Platform

T = TypeVar("T")

Until = Literal["build", "publish"]

FRESH = 5.0
"""Seconds for which the names of what goes in are good before the first build."""


@frozen
class RunContext:
    """Where a run happens: its engine, state and directory, and who writes down what happens."""

    engine: Engine
    state: State
    run: RunDirectory
    recorder: Recorder
    resume: bool = False


async def run_pipeline(
    loaded: LoadedConfig, only: Sequence[Platform] | None, context: RunContext, *, until: Until
) -> str:
    """Run `build` or `all`. Gives the run's status, "succeeded" or "partial".

    Raises the MultibuildError of the stage that failed; no tag has moved then that was not put back.
    """
    from multibuild.plan.plan import build_specs

    record, began = context.recorder, time.monotonic()
    specs = build_specs(loaded, only)
    # Names need nothing of the host: large contexts are hashed while it is asked what it can do.
    async with _beside(fingerprint_inputs(loaded, specs, record)) as naming:
        host = await make_host_ready(loaded, context)
        plan = decide(loaded, host, only, context)
        if until == "publish" and plan.omitted:
            record.say(f"the index will not have {', '.join(map(str, plan.omitted))}: left out by --platform")
        with record.stage("preflight"):
            await preflight(plan, record)
        left = unfinished(context.state, context.run) if context.resume else Unfinished()
        with record.stage("inputs"):
            if time.monotonic() - began > FRESH:
                # Somebody may have saved a file while an image was pulled: what is there now is built.
                naming.cancel()
                inputs = await fingerprint_inputs(loaded, specs, record)
            else:
                inputs = await naming
            finished = await take_stock(plan, inputs, left, context)
    if until == "build":
        results = await build(plan, inputs, finished, context)
        require_built(results)
        return "succeeded" if all(result.built for result in results) else "partial"
    async with Tails(record.say) as tails:
        with child_reader(loaded, context.state, context.run, record) as reader:
            results = await build(plan, inputs, finished, context, tails=tails, on_built=reader.begin)
            require_built(results)
            plan = settled(plan, results)
            children = await prove_children(
                plan,
                staged_children(results),
                record,
                run=context.run,
                reader=reader,
                failover=Failover.of(plan, record.say),
            )
        with record.stage("publish"):
            await publish_children(plan, children, record, run=context.run, held_before=left.tags)
    # An optional one that proved wrong was left out.
    return "succeeded" if len(children) == len(plan.platforms) else "partial"


async def make_host_ready(loaded: LoadedConfig, context: RunContext) -> Host:
    """Stage 1: emulators and builder; exit 3 before the first build when a required platform cannot run."""
    wanted = HostRequirements.from_config(loaded.config, loaded.project)
    with context.recorder.stage("setup"):
        host = await prepare(wanted, context.engine, context.recorder.say, before=context.state.load_facts())
        context.state.save_facts(host.facts_document(loaded.config.builder))
        context.recorder.record(HostReady(environment=environment_of(host)))
        require_runnable(host, wanted)
    return host


def environment_of(host: Host) -> dict[str, Any]:
    """Give what the report says of the host (contract §5)."""
    facts = host.facts
    return {
        "docker": facts.docker_version,
        "buildx": facts.buildx_version,
        "buildkit": ", ".join(dict.fromkeys(node.buildkit for node in facts.nodes)),
        "builder": ", ".join(node.builder for node in facts.nodes),
        "emulators": {platform: said for node in facts.nodes for platform, said in node.emulators.items()},
    }


def decide(loaded: LoadedConfig, host: Host, only: Sequence[Platform] | None, context: RunContext) -> Plan:
    """Stage 2: the plan from measured facts, kept before anything of it is done."""
    from multibuild.plan.plan import make_plan

    plan = make_plan(loaded, host.facts, only=only)
    context.run.save_plan(plan.document())
    context.recorder.record(
        RunPlanned(
            platforms=tuple(str(item.platform) for item in plan.platforms),
            jobs=plan.jobs,
            settings=settings_of(plan),
        )
    )
    return plan


@asynccontextmanager
async def _beside(work: Coroutine[object, object, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Do `work` beside what the block does, and no longer than that."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def take_stock(
    plan: Plan, inputs: PlanFingerprints, left: Unfinished, context: RunContext
) -> dict[Platform, FinishedChild]:
    """Journal what goes in, and give what unfinished runs left of it."""
    journal_inputs(inputs, context.recorder)
    finished = await reusable_children(plan, inputs, left, context.run, context.recorder)
    sweep(context.state.runs(), context.run)
    if left.runs:
        context.recorder.say(
            f"resuming {left.runs[0]}: {len(finished)} of {len(plan.platforms)} platforms are finished"
        )
    return finished


async def build(
    plan: Plan,
    inputs: PlanFingerprints,
    finished: Mapping[Platform, FinishedChild],
    context: RunContext,
    *,
    tails: Tails | None = None,
    on_built: OnBuilt = lambda _child: None,
) -> tuple[BuildResult, ...]:
    """Stage 3: one child per platform; those that are `finished` are taken over. Each child goes to `on_built`."""
    record = context.recorder
    with record.stage("build"):
        results = await build_children(
            plan,
            context.run,
            record,
            finished=finished,
            ahead=read_history(context.state, context.run, inputs),
            tails=tails,
            on_built=on_built,
        )
        await check_inputs(plan, inputs, record)
    sweep(context.state.runs(), context.run)
    return results


def require_built(results: Sequence[BuildResult]) -> None:
    """Raise BuildFailed naming every required platform without a child."""
    missing = missing_required(results)
    if not missing:
        return
    grouped: dict[str, list[str]] = {}
    for result in missing:
        grouped.setdefault(result.failure.kind.name if result.failure else "", []).append(
            str(result.platform)
        )
    named = [", ".join(names) + (f" ({kind})" if kind else "") for kind, names in grouped.items()]
    first = next((result.failure for result in missing if result.failure), None)
    why = f": {_in_a_line(first.evidence)}" if first and first.evidence else ""
    raise BuildFailed(
        f"{', '.join(named)}: not built, no tag was moved{why}", hint=first.hint if first else None
    )


def _in_a_line(evidence: str) -> str:
    """Take what decided, without BuildKit's wrapping, as a part of a sentence."""
    return shortened(one_line(last_line(evidence)).rpartition("failed to solve: ")[2], 200)
