import asyncio
from typing import Any

import pytest
from waiting import PATIENCE_S

from multibuild.buildx.cpu_idle import WINDOW_S, Processors
from multibuild.buildx.slots import CpuGate, Slots


class Builds:
    """Builds that hold slots until the test finishes them."""

    def __init__(self, number: int) -> None:
        self.slots = Slots(number)
        self.running: list[str] = []
        self.order: list[str] = []
        self._release: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def _hold(self, name: str, **options: Any) -> None:
        async with self.slots.take(**options):
            self.running.append(name)
            self.order.append(name)
            try:
                await self._release[name].wait()
            finally:
                self.running.remove(name)

    async def start(self, *names: str, **options: Any) -> None:
        for name in names:
            self._release[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._hold(name, **options))
        await settle()

    async def come(self, *names: str) -> None:
        """Wait until these run."""
        async with asyncio.timeout(PATIENCE_S):
            while self.running != [*names]:  # whatever order the loop takes
                await settle()

    async def finish(self, *names: str) -> None:
        for name in names:
            self._release[name].set()
        await settle()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        await settle()
        assert self._tasks[name].cancelled()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(30):
        await asyncio.sleep(0)


async def test_one_build_runs_in_each_slot():
    builds = Builds(2)
    await builds.start("a", "b", "c", "d")
    assert builds.running == ["a", "b"]
    await builds.finish("a")
    assert builds.running == ["b", "c"]
    await builds.finish("b", "c", "d")
    assert builds.running == []
    assert builds.order == ["a", "b", "c", "d"]


async def test_a_build_alone_waits_for_all_others_and_excludes_them():
    builds = Builds(3)
    await builds.start("a", "b")
    await builds.start("big", alone=True)
    assert builds.running == ["a", "b"]
    await builds.finish("a")
    assert builds.running == ["b"]
    await builds.finish("b")
    assert builds.running == ["big"]
    await builds.start("c", "d")
    assert builds.running == ["big"]
    await builds.finish("big")
    assert builds.running == ["c", "d"]
    await builds.finish("c", "d")


async def test_a_build_alone_goes_before_later_builds():
    builds = Builds(2)
    await builds.start("a")
    await builds.start("big", alone=True)
    await builds.start("late")
    assert builds.running == ["a"]
    await builds.finish("a")
    assert builds.running == ["big"]
    await builds.finish("big")
    assert builds.running == ["late"]
    await builds.finish("late")


async def test_two_builds_alone_run_one_after_the_other():
    builds = Builds(2)
    await builds.start("one", "two", alone=True)
    await builds.start("small")
    assert builds.running == ["one"]
    await builds.finish("one")
    assert builds.running == ["two"]
    await builds.finish("two")
    assert builds.running == ["small"]
    await builds.finish("small")


async def test_a_retry_goes_before_first_attempts():
    builds = Builds(1)
    await builds.start("a", "b", "c")
    await builds.start("retry", is_retry=True)
    assert builds.running == ["a"]
    await builds.finish("a")
    assert builds.running == ["retry"]
    await builds.finish("retry", "b", "c")
    assert builds.order == ["a", "retry", "b", "c"]


async def test_first_attempts_go_by_rank_and_then_first_come_first_served():
    builds = Builds(1)
    await builds.start("a")
    for name, rank in (("late", (1, 0)), ("long", (0, -9.0)), ("short", (0, -1.0)), ("later", (1, 0))):
        await builds.start(name, rank=rank)
    await builds.start("retry", is_retry=True)
    await builds.finish("a", "retry", "long", "short", "late", "later")
    assert builds.order == ["a", "retry", "long", "short", "late", "later"]


async def test_with_one_slot_every_build_is_alone():
    builds = Builds(1)
    await builds.start("a")
    await builds.start("b", alone=True)
    assert builds.running == ["a"]
    await builds.finish("a")
    assert builds.running == ["b"]
    await builds.finish("b")


@pytest.mark.parametrize("alone", [False, True])
async def test_cancelling_the_holder_frees_its_slots(alone):
    builds = Builds(2)
    await builds.start("holder", alone=alone)
    await builds.start("next", alone=True)
    assert builds.running == ["holder"]
    await builds.cancel("holder")
    assert builds.running == ["next"]
    await builds.finish("next")


async def test_an_error_inside_frees_the_slot():
    slots = Slots(1)
    with pytest.raises(ZeroDivisionError):
        async with slots.take():
            raise ZeroDivisionError
    async with asyncio.timeout(PATIENCE_S), slots.take():
        pass


async def test_a_cancelled_waiter_holds_no_slot():
    builds = Builds(1)
    await builds.start("a", "b", "c")
    await builds.cancel("b")
    await builds.finish("a")
    assert builds.running == ["c"]
    await builds.finish("c")


async def test_a_cancelled_build_alone_excludes_no_later_build():
    builds = Builds(2)
    await builds.start("a")
    await builds.start("big", alone=True)
    await builds.cancel("big")
    await builds.start("b")
    assert builds.running == ["a", "b"]
    await builds.finish("a", "b")


async def test_a_cancelled_build_alone_releases_the_builds_behind_it():
    builds = Builds(2)
    await builds.start("a")
    await builds.start("big", alone=True)
    await builds.start("b")
    await builds.cancel("big")
    try:
        assert builds.running == ["a", "b"]
    finally:
        await builds.finish("a", "b")


class FakeProcessors(Processors):
    """Processors with idle time for a number of builds."""

    def __init__(self):
        self.idle_builds = 0

    def has_idle_time(self):
        idle = self.idle_builds
        self.idle_builds = max(0, idle - 1)
        return idle > 0


def gated(jobs, processors):
    builds = Builds(4)
    builds.slots = Slots(4, CpuGate(jobs=jobs, processors=processors))
    return builds


async def test_on_busy_processors_as_many_builds_run_as_the_gate_says():
    builds = gated(2, FakeProcessors())
    await builds.start("a", "b", "c", "d")
    await asyncio.sleep(2 * WINDOW_S)
    assert builds.running == ["a", "b"]
    await builds.finish("a")
    assert builds.running == ["b", "c"]
    await builds.finish("b", "c", "d")
    assert builds.order == ["a", "b", "c", "d"]


async def test_with_idle_time_another_build_starts_within_all_slots():
    processors = FakeProcessors()
    builds = gated(2, processors)
    await builds.start("a", "b", "c", "d", "e")
    processors.idle_builds = 1
    await builds.come("a", "b", "c")
    await asyncio.sleep(2 * WINDOW_S)
    assert builds.running == ["a", "b", "c"]
    processors.idle_builds = 9
    await builds.come("a", "b", "c", "d")
    await asyncio.sleep(2 * WINDOW_S)
    assert builds.running == ["a", "b", "c", "d"]
    await builds.finish("a")
    assert builds.running == ["b", "c", "d", "e"]
    await builds.finish("b", "c", "d", "e")


async def test_the_cpu_gate_does_not_apply_to_requests_for_several_slots():
    builds = gated(1, FakeProcessors())
    await builds.start("a", "b")
    assert builds.running == ["a"]
    async with asyncio.timeout(PATIENCE_S), builds.slots.take(count=2):
        assert builds.running == ["a"]
    await builds.start("big", alone=True)
    await builds.finish("a")
    assert builds.running == ["big"]
    await builds.finish("big")
    assert builds.running == ["b"]
    await builds.finish("b")
