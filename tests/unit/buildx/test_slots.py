import asyncio

import pytest

from multibuild.buildx.processors import WINDOW_S, Processors
from multibuild.buildx.slots import CpuGate, Slots


class Builds:
    """Builds that take slots and hold them until they are let go."""

    def __init__(self, number: int) -> None:
        self.slots = Slots(number)
        self.inside: list[str] = []
        self.order: list[str] = []
        self._release: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def _hold(self, name: str, **how: bool) -> None:
        async with self.slots.take(**how):
            self.inside.append(name)
            self.order.append(name)
            try:
                await self._release[name].wait()
            finally:
                self.inside.remove(name)

    async def start(self, *names: str, **how: bool) -> None:
        for name in names:
            self._release[name] = asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._hold(name, **how))
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
    """Let every task go as far as it can."""
    for _ in range(30):
        await asyncio.sleep(0)


async def test_as_many_as_there_are_slots():
    builds = Builds(2)
    await builds.start("a", "b", "c", "d")
    assert builds.inside == ["a", "b"]
    await builds.finish("a")
    assert builds.inside == ["b", "c"]
    await builds.finish("b", "c", "d")
    assert builds.inside == []
    assert builds.order == ["a", "b", "c", "d"]


async def test_alone_waits_until_all_are_gone_and_keeps_all_out():
    builds = Builds(3)
    await builds.start("a", "b")
    await builds.start("big", alone=True)
    assert builds.inside == ["a", "b"]
    await builds.finish("a")
    assert builds.inside == ["b"]
    await builds.finish("b")
    assert builds.inside == ["big"]
    await builds.start("c", "d")
    assert builds.inside == ["big"]
    await builds.finish("big")
    assert builds.inside == ["c", "d"]
    await builds.finish("c", "d")


async def test_alone_goes_before_those_who_come_later_so_that_it_is_not_starved():
    builds = Builds(2)
    await builds.start("a")
    await builds.start("big", alone=True)
    await builds.start("late")
    assert builds.inside == ["a"]
    await builds.finish("a")
    assert builds.inside == ["big"]
    await builds.finish("big")
    assert builds.inside == ["late"]
    await builds.finish("late")


async def test_two_that_want_to_be_alone_go_one_after_the_other():
    builds = Builds(2)
    await builds.start("one", "two", alone=True)
    await builds.start("small")
    assert builds.inside == ["one"]
    await builds.finish("one")
    assert builds.inside == ["two"]
    await builds.finish("two")
    assert builds.inside == ["small"]
    await builds.finish("small")


async def test_who_builds_again_goes_before_those_who_have_not_begun():
    builds = Builds(1)
    await builds.start("a", "b", "c")
    await builds.start("again", is_retry=True)
    assert builds.inside == ["a"]
    await builds.finish("a")
    assert builds.inside == ["again"]
    await builds.finish("again", "b", "c")
    assert builds.order == ["a", "again", "b", "c"]


async def test_with_one_slot_everybody_is_alone():
    builds = Builds(1)
    await builds.start("a")
    await builds.start("b", alone=True)
    assert builds.inside == ["a"]
    await builds.finish("a")
    assert builds.inside == ["b"]
    await builds.finish("b")


@pytest.mark.parametrize("alone", [False, True])
async def test_cancelling_the_holder_frees_its_slots(alone):
    builds = Builds(2)
    await builds.start("holder", alone=alone)
    await builds.start("next", alone=True)
    assert builds.inside == ["holder"]
    await builds.cancel("holder")
    assert builds.inside == ["next"]
    await builds.finish("next")


async def test_an_error_inside_frees_the_slot():
    slots = Slots(1)
    with pytest.raises(ZeroDivisionError):
        async with slots.take():
            raise ZeroDivisionError
    async with asyncio.timeout(1), slots.take():
        pass


async def test_a_waiter_that_is_cancelled_takes_nothing_with_it():
    builds = Builds(1)
    await builds.start("a", "b", "c")
    await builds.cancel("b")
    await builds.finish("a")
    assert builds.inside == ["c"]
    await builds.finish("c")


async def test_one_who_gave_up_being_alone_keeps_nobody_out_later():
    builds = Builds(2)
    await builds.start("a")
    await builds.start("big", alone=True)
    await builds.cancel("big")
    await builds.start("b")
    assert builds.inside == ["a", "b"]
    await builds.finish("a", "b")


async def test_one_who_gave_up_being_alone_lets_those_in_who_waited_behind():
    builds = Builds(2)
    await builds.start("a")
    await builds.start("big", alone=True)
    await builds.start("b")
    await builds.cancel("big")
    try:
        assert builds.inside == ["a", "b"]
    finally:
        await builds.finish("a", "b")


class Told(Processors):
    """Processors that have the time they are told."""

    def __init__(self):
        self.time = 0

    def has_idle_time(self):
        self.time, had = max(0, self.time - 1), self.time
        return had > 0


async def test_long_builds_do_not_take_more_than_the_least_while_processors_have_no_time():
    builds, processors = Builds(4), Told()
    builds.slots = Slots(4, CpuGate(min_jobs=2, default_jobs=4, long_after=0.0, processors=processors))
    await builds.start("a", "b", "c", "d")
    assert builds.inside == ["a", "b"]
    await builds.finish("a")
    assert builds.inside == ["b", "c"]
    await builds.finish("b", "c", "d")
    assert builds.order == ["a", "b", "c", "d"]


async def test_where_there_is_time_another_is_let_in_before_any_has_ended():
    builds, processors = Builds(4), Told()
    builds.slots = Slots(4, CpuGate(min_jobs=2, default_jobs=4, long_after=0.0, processors=processors))
    await builds.start("a", "b", "c", "d", "e")
    processors.time = 1
    await asyncio.sleep(2 * WINDOW_S)
    assert builds.inside == ["a", "b", "c"]
    processors.time = 9
    await asyncio.sleep(2 * WINDOW_S)
    assert builds.inside == ["a", "b", "c", "d"]
    await builds.finish("a", "b", "c", "d", "e")


async def test_short_builds_take_all_slots_until_one_has_shown_to_be_long():
    builds, processors = Builds(3), Told()
    builds.slots = Slots(3, CpuGate(min_jobs=1, default_jobs=3, long_after=0.2, processors=processors))
    await builds.start("a", "b", "c", "d")
    assert builds.inside == ["a", "b", "c"]
    await asyncio.sleep(0.2)
    await builds.finish("a")
    assert builds.inside == ["b", "c"]
    await builds.finish("b", "c")
    assert builds.inside == ["d"]
    await builds.finish("d")


async def test_a_brake_keeps_out_nobody_who_takes_several():
    builds = Builds(3)
    builds.slots = Slots(3, CpuGate(min_jobs=1, default_jobs=3, long_after=0.0, processors=Told()))
    await builds.start("a", "b")
    assert builds.inside == ["a"]
    async with asyncio.timeout(1), builds.slots.take(count=2):
        assert builds.inside == ["a"]
    await builds.start("big", alone=True)
    await builds.finish("a")
    assert builds.inside == ["big"]
    await builds.finish("big")
    assert builds.inside == ["b"]
    await builds.finish("b")


async def test_more_than_usual_run_only_while_there_is_time():
    builds, processors = Builds(4), Told()
    builds.slots = Slots(4, CpuGate(min_jobs=1, default_jobs=2, processors=processors))
    await builds.start("a", "b", "c", "d")
    assert builds.inside == ["a", "b"]
    processors.time = 1
    await asyncio.sleep(2 * WINDOW_S)
    assert builds.inside == ["a", "b", "c"]
    await builds.finish("a")
    assert builds.inside == ["b", "c"]
    await builds.finish("b")
    assert builds.inside == ["c", "d"]
    await builds.finish("c", "d")
