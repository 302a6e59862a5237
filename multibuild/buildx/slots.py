"""Job slots: the number of builds that run at once."""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import field

from multibuild.buildx.cpu_idle import WINDOW_S, Processors
from multibuild.frozen import frozen

Rank = tuple[float, ...]
"""Where a request stands in the queue: the least goes first."""


@frozen
class CpuGate:
    """Limit on builds while the processors have no idle time: more start only where there is some.

    Builds wait for clients, registries and downloads much of their time, and their lengths are unknown at first: of a
    few real ones, one that waited for a processor ended alone, long after the others, with a processor idle. `jobs` is
    therefore several for each processor, also for builds that compute: that costs twelve of them a sixteenth (cache
    misses and context switches), and leaves no processor idle.
    """

    jobs: int
    processors: Processors = field(default_factory=Processors)


class Slots:
    """Job slots: one for a build, all for one that must run alone, several for a batch; none while a retry waits."""

    def __init__(self, total: int, cpu_gate: CpuGate | None = None) -> None:
        """Create `total` slots, of which a `cpu_gate` may keep some free."""
        self._total = total
        self._cpu_gate = cpu_gate
        self._holders: dict[object, int] = {}
        self._queue: list[tuple[Rank, object]] = []
        self._waiting_for_several = 0
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
                self._holders[me] = count
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
        return sum(self._holders.values())

    def _is_next(self, me: object) -> bool:
        return (
            not self._waiting_for_several
            and self._queue[0][1] is me
            and self._fits(1)
            and (self._cpu_gate is None or self._passes(self._cpu_gate))
        )

    def _passes(self, gate: CpuGate) -> bool:
        return self._used < gate.jobs or gate.processors.has_idle_time()

    async def _wait_for_change(self) -> None:
        """Wait until slots change, or, with a CPU gate, for the next window of idle time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WINDOW_S if self._cpu_gate else None):
                await self._changed.wait()
