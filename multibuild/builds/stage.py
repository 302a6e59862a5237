"""The build stage: every platform on its own; children that an earlier run finished are reused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from multibuild.background import task_group
from multibuild.builds.attempt import BuildContext
from multibuild.builds.batch.batch import (
    Batch,
    CachedBatches,
    first_attempts,
    parts_of,
    plan_batches,
    run_batch,
)
from multibuild.builds.dependencies import ImageBuilds, RunChildren
from multibuild.builds.failover import Failover, plan_after_failover
from multibuild.builds.history import BuildHistory, read_history
from multibuild.builds.inputs import check_inputs
from multibuild.builds.platform import build_platform, cancelled_result, reuse_child
from multibuild.builds.result import Attempt, BuildResult, staged_children
from multibuild.builds.resume import FinishedChild, Reusable
from multibuild.buildx.attempt_retries import Budget
from multibuild.buildx.slots import CpuGate, Rank, Slots
from multibuild.errors import NO_TAG_MOVED, BuildFailed
from multibuild.failures.classify import Failure
from multibuild.failures.shown import cause_line
from multibuild.frozen import frozen
from multibuild.journal.local_children import remove_stale
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import RunDirectory
from multibuild.plan.build_command import build_environ
from multibuild.plan.children import StagedChild
from multibuild.plan.jobs import jobs_for, usual_jobs
from multibuild.plan.plan import Plan
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform
from multibuild.terminal import last_line, one_line

NO_HISTORY = BuildHistory()


@frozen
class BuildOutcome:
    """The plan with each platform on the node that built it, the results, and whether the inputs held until the end."""

    plan: Plan
    results: tuple[BuildResult, ...]
    inputs_held: bool

    @property
    def children(self) -> tuple[StagedChild, ...]:
        """Return the children in config order."""
        return staged_children(self.results)


@frozen
class SharedBuilds:
    """What the builds of all images of a run share: job slots, the nodes' failover, and each other's children.

    `needed` are the images that others are built from. `stop` is set when all builds are to end (`fail_fast`).
    """

    slots: Slots
    failover: Failover
    children: RunChildren
    cached: CachedBatches
    needed: frozenset[str]
    stop: asyncio.Event

    def close(self, image: str) -> None:
        """Let nothing wait for an image any more."""
        self.cached.close(image)
        self.children.close(image)

    @classmethod
    def of(cls, plans: Sequence[Plan], failover: Failover) -> SharedBuilds:
        """Return what the builds of some plans share; `jobs` is for all of them together."""
        first, units = plans[0], [planned for plan in plans for planned in plan.platforms]
        machines = len({planned.node.builder for planned in units})
        jobs = jobs_for("auto" if first.jobs_auto else first.jobs, len(units), first.facts, machines=machines)
        gate = cpu_gate(first)
        return cls(
            slots=Slots(jobs, gate),
            failover=failover,
            children=RunChildren(),
            cached=CachedBatches(plan.name for plan in plans),
            needed=frozenset(name for plan in plans for name in plan.dependencies.values()),
            stop=asyncio.Event(),
        )


async def build_platforms(
    plan: Plan,
    reusable: Reusable,
    context: RunContext,
    *,
    shared: SharedBuilds,
    may_be_partial: bool = False,
) -> BuildOutcome:
    """Build what cannot be reused. Raises BuildFailed naming every required platform without a child.

    If it `may_be_partial`, the caller raises that, by `require_built`, after it has used the other children.
    The inputs are checked again afterwards: children of files that changed meanwhile are not reused later. `shared` is
    what the builds of a run's images share.
    """
    with context.recorder.stage("build"):
        results = await build_children(
            plan,
            context.run,
            context.recorder,
            shared=shared,
            reusable=reusable.children,
            history=read_history(context.state.runs_before(context.run), reusable.fingerprints),
        )
        inputs_held = await check_inputs(plan, reusable.fingerprints, context.recorder)
    remove_stale(context.state.runs(), context.run)
    if not may_be_partial:
        require_built(results)
    return BuildOutcome(plan=plan_after_failover(plan, results), results=results, inputs_held=inputs_held)


async def build_children(
    plan: Plan,
    run: RunDirectory,
    recorder: Recorder,
    *,
    shared: SharedBuilds,
    reusable: Mapping[Platform, FinishedChild] = MappingProxyType({}),
    history: BuildHistory = NO_HISTORY,
) -> tuple[BuildResult, ...]:
    """Build every platform of the plan without a `reusable` child; results in config order, failures in them.

    Long builds start first, a large context is uploaded once for many platforms, and what should be cached is built
    in one process. `shared` is what the builds of a run's images share.
    """
    retry, retries_left = plan.retry, max(10, 2 * len(plan.platforms))
    images = ImageBuilds(
        name=plan.name,
        run=run,
        dependencies=plan.dependencies,
        children=shared.children,
        is_needed=plan.name in shared.needed,
    )
    context = BuildContext(
        buildx=plan.facts.buildx,
        environ=build_environ(all_local=plan.facts.all_local),
        project=plan.project,
        run=run,
        slots=shared.slots,
        budget=Budget(
            attempts=retry.attempts, initial=retry.initial, max=retry.max, run_retries=retries_left
        ),
        failover=shared.failover,
        stall=plan.stall_timeout,
        crash_timeout=plan.crash_timeout,
        all_local=plan.facts.all_local,
        emit=recorder.record,
        images=images,
        rank=start_rank(history, is_needed=images.is_needed),
        history=history,
    )
    results = {
        planned.platform: reuse_child(planned, reusable[planned.platform], context)
        for planned in plan.platforms
        if planned.platform in reusable
    }
    for result in results.values():
        images.add(result)
    pending = start_order([planned for planned in plan.platforms if planned.platform not in results], history)
    # What another image has to be built for first cannot be in a batch.
    batches = () if plan.dependencies else plan_batches(plan, pending, history)
    try:
        results |= await _build_each(
            pending, context, batches, shared.cached, shared.stop, fail_fast=plan.fail_fast
        )
    finally:
        images.close()
    return tuple(results.get(planned.platform) or cancelled_result(planned) for planned in plan.platforms)


def cpu_gate(plan: Plan) -> CpuGate | None:
    """Return a gate where `jobs` is automatic and this machine's processors build."""
    return CpuGate(jobs=usual_jobs(plan.facts)) if plan.jobs_auto and plan.facts.all_local else None


def start_order(platforms: list[PlannedPlatform], history: BuildHistory) -> list[PlannedPlatform]:
    """Return platforms in the order in which they get a slot."""
    return sorted(platforms, key=start_rank(history))


def start_rank(history: BuildHistory, *, is_needed: bool = True) -> Callable[[PlannedPlatform], Rank]:
    """Return the rank of each platform of an image: native ones first, then what failed lately, then the longest.

    Native ones show most mistakes soonest; a second failure shows early, and its retry runs beside the others. Before
    all that comes what other images are built from (`is_needed`).
    """
    past = history.seconds
    longest = max(past.values(), default=0.0)

    def rank(planned: PlannedPlatform) -> Rank:
        name = str(planned.platform)
        return not is_needed, planned.emulated, name not in history.failed, -past.get(name, longest)

    return rank


async def _build_each(
    platforms: list[PlannedPlatform],
    context: BuildContext,
    batches: Sequence[Batch],
    cached: CachedBatches,
    stop: asyncio.Event,
    *,
    fail_fast: bool,
) -> dict[Platform, BuildResult]:
    """Build each on its own: one's failure does not touch the others unless `fail_fast`.

    Members of `batches` make their first attempt in one process.
    """
    results: dict[Platform, BuildResult] = {}
    first = first_attempts(batches)

    def on_first_attempt(platform: Platform, attempt: Attempt | None) -> None:
        if not first[platform].done():
            first[platform].set_result(attempt)

    async def build_one(planned: PlannedPlatform) -> None:
        attempt = await first[planned.platform] if planned.platform in first else None
        results[planned.platform] = await build_platform(planned, context, first=attempt)
        context.images.add(results[planned.platform])
        if fail_fast and planned.required and not results[planned.platform].built:
            stop.set()

    async with task_group() as group:
        parts = [(batch.why, parts_of(batch, context, on_first_attempt)) for batch in batches]
        joined = [members for why, members in parts if why == "cached"]
        tasks = [group.create_task(cached.run(context.images.name, joined))]
        tasks += [group.create_task(run_batch(members, why)) for why, members in parts if why != "cached"]
        tasks += [group.create_task(build_one(planned)) for planned in platforms]
        stopper = group.create_task(_cancel_when(stop, tasks))
        if tasks:
            await asyncio.wait(tasks)
        stopper.cancel()
    return results


async def _cancel_when(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    await stop.wait()
    for task in tasks:
        task.cancel()


def require_built(results: Sequence[BuildResult]) -> None:
    """Raise BuildFailed naming every required platform without a child."""
    missing = tuple(result for result in results if result.required and not result.built)
    if not missing:
        return
    platforms: dict[str, list[str]] = {}
    for result in missing:
        kind = result.failure.kind.name if result.failure else result.reason
        platforms.setdefault(kind, []).append(str(result.platform))
    groups = [", ".join(names) + (f" ({kind})" if kind else "") for kind, names in platforms.items()]
    first = next((result.failure for result in missing if result.failure), None)
    cause = f": {_cause(first)}" if first and first.evidence else ""
    raise BuildFailed(
        f"{', '.join(groups)}: not built, {NO_TAG_MOVED}{cause}", hint=first.hint if first else None
    )


def _cause(failure: Failure) -> str:
    """Return the line that decided, else the last one, as a part of a sentence."""
    return one_line(failure.cause) or cause_line(last_line(failure.evidence))
