"""The build stage: every platform, each on its own; what an earlier run finished is taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from multibuild.builds.attempt import BuildContext
from multibuild.builds.batch.batch import Batch, carry, first_attempts, waves
from multibuild.builds.failover import Failover, settled
from multibuild.builds.history import BuildHistory, read_history
from multibuild.builds.inputs import check_inputs
from multibuild.builds.platform import build_platform, cancelled, reused
from multibuild.builds.result import Attempt, BuildResult, require_built, staged_children
from multibuild.builds.reuse import FinishedChild, Reusable
from multibuild.buildx.retry import Budget
from multibuild.buildx.slots import LONG_BUILD_S, CpuGate, Slots
from multibuild.frozen import frozen
from multibuild.journal.local_children import remove_stale
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import RunDirectory
from multibuild.plan.build_command import build_environ
from multibuild.plan.children import StagedChild
from multibuild.plan.plan import Plan, PlannedPlatform, usual_jobs
from multibuild.platforms import Platform

NO_HISTORY = BuildHistory()


@frozen
class BuildOutcome:
    """What building made: the plan with each platform on the node that built it, the results, and the failover."""

    plan: Plan
    results: tuple[BuildResult, ...]
    failover: Failover

    @property
    def children(self) -> tuple[StagedChild, ...]:
        """Return the children, in config order."""
        return staged_children(self.results)


async def build_platforms(plan: Plan, reusable: Reusable, context: RunContext) -> BuildOutcome:
    """Build what cannot be reused. Raises BuildFailed naming every required platform without a child.

    The inputs are looked at again afterwards: a result of files that changed meanwhile is not reused later.
    """
    failover = Failover.of(plan, context.recorder.say)
    with context.recorder.stage("build"):
        results = await build_children(
            plan,
            context.run,
            context.recorder,
            failover=failover,
            finished=reusable.children,
            history=read_history(context.state.runs_before(context.run), reusable.fingerprints),
        )
        await check_inputs(plan, reusable.fingerprints, context.recorder)
    remove_stale(context.state.runs(), context.run)
    require_built(results)
    return BuildOutcome(plan=settled(plan, results), results=results, failover=failover)


async def build_children(
    plan: Plan,
    run: RunDirectory,
    recorder: Recorder,
    *,
    failover: Failover,
    finished: Mapping[Platform, FinishedChild] = MappingProxyType({}),
    history: BuildHistory = NO_HISTORY,
) -> tuple[BuildResult, ...]:
    """Build every platform of the plan that is not `finished`; results in config order, failures in them.

    What took long before starts first, a large context is uploaded once for many platforms, and what should
    be cached is asked for in one process.
    """
    context = BuildContext(
        buildx=plan.facts.buildx,
        environ=build_environ(here=plan.facts.here),
        project=plan.project,
        run=run,
        slots=Slots(plan.jobs, cpu_gate(plan, history)),
        budget=Budget(
            attempts=plan.retry.attempts,
            initial=plan.retry.initial,
            max=plan.retry.max,
            run_retries=max(10, 2 * len(plan.platforms)),
        ),
        failover=failover,
        stall=plan.stall_timeout,
        emit=recorder.record,
    )
    taken = {
        planned.platform: reused(planned, finished[planned.platform], context)
        for planned in plan.platforms
        if planned.platform in finished
    }
    rest = start_order([planned for planned in plan.platforms if planned.platform not in taken], history)
    together = waves(plan, rest, history)
    made = await _build_each(rest, context, together, fail_fast=plan.fail_fast)
    everything = {**taken, **made}
    return tuple(everything.get(planned.platform) or cancelled(planned) for planned in plan.platforms)


def cpu_gate(plan: Plan, history: BuildHistory) -> CpuGate | None:
    """CpuGate where `jobs` is ours to choose and this machine's processors are those that build.

    Builds that were long before are taken to be so from the start.
    """
    if not plan.jobs_auto or not plan.facts.here:
        return None
    long = any(history.seconds.get(str(planned.platform), 0.0) >= LONG_BUILD_S for planned in plan.platforms)
    return CpuGate(
        min_jobs=plan.facts.cpus,
        default_jobs=usual_jobs(plan.facts),
        long_after=0.0 if long else LONG_BUILD_S,
    )


def start_order(items: list[PlannedPlatform], history: BuildHistory) -> list[PlannedPlatform]:
    """Native platforms first (they find most mistakes soonest); of each kind what failed lately, then the longest.

    What fails again is heard of early, and its second attempt runs beside the others.
    """
    past = history.seconds
    longest = max(past.values(), default=0.0)

    def place(planned: PlannedPlatform) -> tuple[bool, bool, float]:
        name = str(planned.platform)
        return planned.emulated, name not in history.failed, -past.get(name, longest)

    return sorted(items, key=place)


async def _build_each(
    items: list[PlannedPlatform],
    context: BuildContext,
    together: Sequence[Batch],
    *,
    fail_fast: bool,
) -> dict[Platform, BuildResult]:
    """Build each on its own: one's failure does not touch the others unless `fail_fast`.

    Those that go `together` make their first attempt in one process.
    """
    stop = asyncio.Event()
    results: dict[Platform, BuildResult] = {}
    first = first_attempts(together)

    def settle(platform: Platform, made: Attempt | None) -> None:
        if not first[platform].done():
            first[platform].set_result(made)

    async def one(planned: PlannedPlatform) -> None:
        made = await first[planned.platform] if planned.platform in first else None
        results[planned.platform] = await build_platform(planned, context, first=made)
        if fail_fast and planned.required and not results[planned.platform].built:
            stop.set()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(carry(wave, context, settle)) for wave in together]
        tasks += [group.create_task(one(planned)) for planned in items]
        stopper = group.create_task(_cancel_when(stop, tasks))
        if tasks:
            await asyncio.wait(tasks)
        stopper.cancel()
    return results


async def _cancel_when(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    await stop.wait()
    for task in tasks:
        task.cancel()
