"""The build stage: every platform, each on its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from multibuild.build.platform import Workshop, build_platform, repository_of
from multibuild.build.result import BuildResult
from multibuild.build.retry import Budget
from multibuild.build.slots import Slots
from multibuild.record.recorder import Recorder
from multibuild.record.state import RunDirectory

if TYPE_CHECKING:
    from multibuild.plan import Plan, PlannedPlatform


async def build_children(plan: Plan, run: RunDirectory, recorder: Recorder) -> tuple[BuildResult, ...]:
    """Build every platform of the plan, in config order; failures are in the results, not raised."""
    config = plan.config
    stall = config.stall_timeout
    workshop = Workshop(
        buildx=plan.facts.buildx,
        project=plan.loaded.project,
        logs=run.logs,
        slots=Slots(plan.jobs),
        budget=Budget(attempts=config.retry.attempts, initial=config.retry.initial, max=config.retry.max),
        stall=stall if isinstance(stall, int | float) else None,
        emit=recorder.record,
    )
    return await build_platforms(plan.platforms, workshop, fail_fast=config.fail_fast)


async def build_platforms(
    items: tuple[PlannedPlatform, ...], workshop: Workshop, *, fail_fast: bool
) -> tuple[BuildResult, ...]:
    """Build all, each on its own: one's failure does not touch the others unless `fail_fast`.

    Native platforms start first: they are quick, and what they share with emulated ones is then cached.
    """
    stop = asyncio.Event()
    results: dict[int, BuildResult] = {}

    async def one(place: int, item: PlannedPlatform) -> None:
        results[place] = await build_platform(item, workshop)
        if fail_fast and item.required and not results[place].built:
            stop.set()

    order = sorted(range(len(items)), key=lambda place: items[place].emulated)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(place, items[place])) for place in order]
        stopper = group.create_task(_cancel_when(stop, tasks))
        await asyncio.wait(tasks)
        stopper.cancel()
    return tuple(results.get(place) or _cancelled(item) for place, item in enumerate(items))


async def _cancel_when(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    await stop.wait()
    for task in tasks:
        task.cancel()


def _cancelled(item: PlannedPlatform) -> BuildResult:
    return BuildResult(
        platform=item.platform,
        required=item.required,
        status="cancelled",
        repository=repository_of(item.staging.reference),
    )
