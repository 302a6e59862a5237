"""Job slots: the number of builds that run at once."""

from __future__ import annotations

import asyncio
import time
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import field

from multibuild.buildx.cpu_idle import WINDOW_S, Processors
from multibuild.frozen import frozen
from multibuild.qemu.activity import EmulatorLoad

LONG_BUILD_S = 5.0
"""Duration from which a build is a long one.

Short builds mostly wait for clients and registries, so many at once are fastest: twelve builds of a second each on two
processors took a seventh longer with two at a time than with six. Twelve that compute for seconds under emulation took
a sixteenth less with two than with six: more builds than processors cost cache misses and context switches.
"""

Rank = tuple[float, ...]
"""Where a request stands in the queue: the least goes first."""

MAX_WAITING_PROCESSORS = 0.1
"""Of all emulators together: what a few sleeping shells use."""


@frozen
class CpuGate:
    """Limit on builds while the processors have no idle time: `default_jobs`, or `min_jobs` if builds are long.

    Builds are long as soon as one of them has run for `long_after` seconds. Where other work keeps the processors
    busy, builds whose emulators use none are waiting for something else, and one more costs nothing.
    """

    min_jobs: int
    default_jobs: int
    long_after: float = LONG_BUILD_S
    processors: Processors = field(default_factory=Processors)
    emulators: EmulatorLoad = field(default_factory=EmulatorLoad)


class Slots:
    """Job slots: one for a build, all for one that must run alone, several for a batch; none while a retry waits."""

    def __init__(self, total: int, cpu_gate: CpuGate | None = None) -> None:
        """Create `total` slots, of which a `cpu_gate` may keep some free."""
        self._total = total
        self._cpu_gate = cpu_gate
        self._holders: dict[object, tuple[int, float]] = {}
        self._queue: list[tuple[Rank, object]] = []
        self._waiting_for_several = 0
        self._looked_at = time.monotonic()
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(
        self, *, alone: bool = False, count: int = 1, is_retry: bool = False, rank: Rank = ()
    ) -> AsyncIterator[None]:
        """Hold slots (at most all); requests for several go first, so they do not starve.

        A retry goes before first attempts: behind them it would run by itself at the end. These go in the order of
        their ranks, and those of one rank first come, first served.
        """
        count = self._total if alone else min(count, self._total)
        several = alone or count > 1
        me = object()
        async with self._changed:
            self._waiting_for_several += several
            if not several:
                queued = ((), me) if is_retry else (rank, me)
                at = 0 if is_retry else bisect_right(self._queue, rank, key=lambda other: other[0])
                self._queue.insert(at, queued)
            try:
                while not (self._fits(count) if several else self._is_next(me)):
                    await self._wait_for_change()
                self._holders[me] = count, time.monotonic()
            finally:
                self._waiting_for_several -= several
                self._queue = [other for other in self._queue if other[1] is not me]
                self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                del self._holders[me]
                self._changed.notify_all()

    def _fits(self, count: int) -> bool:
        return self._used + count <= self._total

    @property
    def _used(self) -> int:
        return sum(count for count, _ in self._holders.values())

    def _is_next(self, me: object) -> bool:
        return (
            not self._waiting_for_several
            and self._queue[0][1] is me
            and self._fits(1)
            and (self._cpu_gate is None or self._passes(self._cpu_gate))
        )

    def _passes(self, gate: CpuGate) -> bool:
        """Whether there are few builds, or no long ones, or idle time for one more."""
        if self._used < gate.min_jobs:
            return True
        now = time.monotonic()
        long = any(now - since >= gate.long_after for _, since in self._holders.values())
        return (self._used < gate.default_jobs and not long) or self._has_processor(gate, now)

    def _has_processor(self, gate: CpuGate, now: float) -> bool:
        """Whether there is idle time for one more build, or the builds leave their processors to others."""
        if gate.processors.has_idle_time():
            return True
        if now - self._looked_at < WINDOW_S:
            return False
        self._looked_at = now
        # Without an emulator for each, a build has not come to its first RUN, or needs none.
        used = gate.emulators.processors()
        return used < MAX_WAITING_PROCESSORS and gate.emulators.processes >= self._used

    async def _wait_for_change(self) -> None:
        """Wait until slots change, or, with a CPU gate, for the next window of idle time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WINDOW_S if self._cpu_gate else None):
                await self._changed.wait()
