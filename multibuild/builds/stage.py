"""The build stage: every platform, each on its own; what an earlier run finished is taken over."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from multibuild.aside import aside
from multibuild.build.tails import Tails
from multibuild.builds.attempt import BuildContext
from multibuild.builds.batch.batch import Batch, carry, first_attempts, waves
from multibuild.builds.failover import Failover
from multibuild.builds.fingerprint import PlanFingerprints, current_stamp, fingerprint_platforms, resolver
from multibuild.builds.history import BuildHistory
from multibuild.builds.platform import build_platform, cancelled, reused
from multibuild.builds.result import Attempt, BuildResult, OnBuilt
from multibuild.builds.reuse import FinishedChild, Unfinished
from multibuild.buildx.retry import Budget
from multibuild.buildx.slots import LONG, CpuGate, Slots
from multibuild.journal.local_children import adopt, is_staged_here
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import RunDirectory
from multibuild.plan.build_command import build_environ

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.plan.plan import Plan, PlannedPlatform
    from multibuild.plan.spec import BuildSpec
    from multibuild.platforms import Platform


NOTHING_KNOWN = BuildHistory()


async def fingerprint_inputs(
    loaded: LoadedConfig, specs: Mapping[Platform, BuildSpec], recorder: Recorder
) -> PlanFingerprints:
    """Name what goes into each platform: reads the contexts, asks registries for base images, needs no engine."""
    from multibuild.oci.registries import RegistrySession

    unwanted = threading.Event()
    try:
        with RegistrySession(loaded.config.registry_settings, on_wait=recorder.say) as registries:
            return await aside(
                lambda: fingerprint_platforms(loaded.project, specs, resolver(registries), unwanted.is_set)
            )
    finally:
        unwanted.set()


def journal_inputs(inputs: PlanFingerprints, recorder: Recorder) -> None:
    """Journal what goes into each platform, before anything is built from it.

    The stamp is journaled too: `check_inputs` may never get to compare it.
    """
    recorder.record("inputs.named", stamp=inputs.stamp)
    for platform, found in inputs.platforms.items():
        recorder.record(
            "platform.inputs",
            platform=str(platform),
            inputs=found.name,
            parts=dict(found.parts),
            unknown=found.unknown,
        )


async def check_inputs(plan: Plan, inputs: PlanFingerprints, recorder: Recorder) -> None:
    """Journal whether a file was written to after it was named: nobody knows what went into the builds then."""
    if await asyncio.to_thread(current_stamp, plan.loaded.project, plan.specs) == inputs.stamp:
        recorder.record("inputs.held")
        return
    recorder.record("inputs.changed")
    recorder.say("files of the context changed during the run: this result will not be taken over")


async def reusable_children(
    plan: Plan, inputs: PlanFingerprints, left: Unfinished, run: RunDirectory, recorder: Recorder
) -> dict[Platform, FinishedChild]:
    """Pick the finished children whose inputs are unchanged and which their registry still has.

    Those that no registry holds are taken over into `run`. One that is not where this plan stages is built anew. Of a
    run that did not get as far as looking whether its files had held, only a stamp tells that they have.
    """
    wanted = {
        platform: left.children.get((str(platform), name))
        for platform, found in inputs.platforms.items()
        if (name := found.name)
    }
    here = {planned.platform: planned.staging.kind == "layout" for planned in plan.platforms}
    found = {
        platform: child
        for platform, child in wanted.items()
        if child is not None
        and child.stamp in {None, inputs.stamp}
        and is_staged_here(child.repository) == here[platform]
    }

    kept = {platform for platform, child in found.items() if is_staged_here(child.repository)}

    def taken_over() -> set[Platform]:
        runs = left.holders
        return {p for p in kept if adopt(found[p].repository, found[p].digest, runs, run)}

    pushed = {platform: child for platform, child in found.items() if platform not in kept}
    there = await asyncio.to_thread(taken_over) | await aside(lambda: _still_there(plan, pushed, recorder))
    return {platform: child for platform, child in found.items() if platform in there}


def _still_there(plan: Plan, children: Mapping[Platform, FinishedChild], recorder: Recorder) -> set[Platform]:
    """Ask registries for children, all at once; gives the platforms whose child they have."""
    from multibuild.oci.reference import Reference
    from multibuild.oci.registries import RegistrySession

    def check(child: FinishedChild) -> bool:
        reference = Reference.parse(f"{child.repository}@{child.digest}")
        return registries.of(reference.host).head(reference) is not None

    with RegistrySession(plan.config.registry_settings, on_wait=recorder.say) as registries:
        found = registries.map(check, children.values())
    return {platform for platform, there in zip(children, found, strict=True) if there}


async def build_children(
    plan: Plan,
    run: RunDirectory,
    recorder: Recorder,
    *,
    finished: Mapping[Platform, FinishedChild] = MappingProxyType({}),
    ahead: BuildHistory = NOTHING_KNOWN,
    tails: Tails | None = None,
    on_built: OnBuilt = lambda _child: None,
) -> tuple[BuildResult, ...]:
    """Build every platform of the plan that is not `finished`; results in config order, failures in them.

    By the read_history what is long starts first, a large context is uploaded once for many platforms, and what should
    be cached is asked for in one process. Without `tails`, processes that only have to end are waited for here.
    `on_built` is called with every child as soon as it is staged.
    """
    if tails is None:
        async with Tails(recorder.say) as own:
            return await build_children(
                plan, run, recorder, finished=finished, ahead=ahead, tails=own, on_built=on_built
            )
    config = plan.config
    context = BuildContext(
        buildx=plan.facts.buildx,
        environ=build_environ(here=plan.facts.here),
        project=plan.loaded.project,
        run=run,
        slots=Slots(plan.jobs, cpu_gate(plan, ahead)),
        budget=Budget(
            attempts=config.retry.attempts,
            initial=config.retry.initial,
            max=config.retry.max,
            left=max(10, 2 * len(plan.platforms)),
        ),
        failover=Failover.of(plan, recorder.say),
        stall=config.stall_timeout,
        emit=recorder.record,
        on_built=on_built,
    )
    taken = {
        planned.platform: reused(planned, finished[planned.platform], context)
        for planned in plan.platforms
        if planned.platform in finished
    }
    rest = start_order([planned for planned in plan.platforms if planned.platform not in taken], ahead)
    together = waves(plan, rest, ahead)
    made = await _build_each(rest, context, together, tails, fail_fast=config.fail_fast)
    everything = {**taken, **made}
    return tuple(everything.get(planned.platform) or cancelled(planned) for planned in plan.platforms)


def cpu_gate(plan: Plan, ahead: BuildHistory) -> CpuGate | None:
    """CpuGate where `jobs` is ours to choose and this machine's processors are those that build.

    Builds that were long before are taken to be so from the start.
    """
    from multibuild.plan.plan import usual_jobs

    if plan.config.jobs != "auto" or not plan.facts.here:
        return None
    long = any(ahead.seconds.get(str(planned.platform), 0.0) >= LONG for planned in plan.platforms)
    return CpuGate(least=plan.facts.cpus, usual=usual_jobs(plan.facts), after=0.0 if long else LONG)


def start_order(items: list[PlannedPlatform], ahead: BuildHistory) -> list[PlannedPlatform]:
    """Native platforms first (they find most mistakes soonest); of each kind what failed lately, then the longest.

    What fails again is heard of early, and its second attempt runs beside the others.
    """
    past = ahead.seconds
    longest = max(past.values(), default=0.0)

    def place(planned: PlannedPlatform) -> tuple[bool, bool, float]:
        name = str(planned.platform)
        return planned.emulated, name not in ahead.failed, -past.get(name, longest)

    return sorted(items, key=place)


async def _build_each(
    items: list[PlannedPlatform],
    context: BuildContext,
    together: Sequence[Batch],
    tails: Tails,
    *,
    fail_fast: bool,
) -> dict[Platform, BuildResult]:
    """Build each on its own: one's failure does not touch the others unless `fail_fast`.

    Those that go `together` make their first attempt in one process, which may end among the `tails`.
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
        tasks = [group.create_task(carry(wave, context, settle, tails)) for wave in together]
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
