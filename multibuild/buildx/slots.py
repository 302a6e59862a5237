"""How many builds run at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import field

from multibuild.buildx.processors import WINDOW, Processors
from multibuild.frozen import frozen

LONG = 5.0
"""Seconds of a build by which it is a long one.

Short ones are mostly waiting for clients and registries, and go best many at a time: with twelve of a second each, two
at a time took a seventh longer than six on two processors. With twelve that compute for seconds under emulation, two
took a sixteenth less than six: processors that are shared by more than they are cost caches and switches.
"""


@frozen
class CpuGate:
    """Lets more builds run at once only while the processors have time: more than `usual`, or than `least` long ones.

    They are long as soon as one of them has run for `after` seconds.
    """

    least: int
    usual: int
    after: float = LONG
    processors: Processors = field(default_factory=Processors)


class Slots:
    """Job slots. A build takes one, or all when it must run alone, a wave several; waiting for a retry holds none."""

    def __init__(self, number: int, brake: CpuGate | None = None) -> None:
        """Make `number` slots; with a `brake` not all of them may be taken."""
        self._number = number
        self._brake = brake
        self._held: dict[object, tuple[int, float]] = {}
        self._waiting: list[object] = []
        self._waiting_many = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, *, alone: bool = False, number: int = 1, again: bool = False) -> AsyncIterator[None]:
        """Hold slots, in the order of asking; who wants several goes before all who want one, not to be starved.

        More than there are is all of them. Who builds `again` goes before those who have not begun: behind them a
        retry would be alone at the end.
        """
        wanted = self._number if alone else min(number, self._number)
        many = alone or wanted > 1
        me = object()
        async with self._changed:
            self._waiting_many += many
            if not many:
                self._waiting.insert(0 if again else len(self._waiting), me)
            try:
                while not (self._fits(wanted) if many else self._is_next(me)):
                    await self._look_again()
                self._held[me] = wanted, time.monotonic()
            finally:
                self._waiting_many -= many
                self._waiting = [other for other in self._waiting if other is not me]
                self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                del self._held[me]
                self._changed.notify_all()

    def _fits(self, wanted: int) -> bool:
        return self._taken + wanted <= self._number

    @property
    def _taken(self) -> int:
        return sum(number for number, _ in self._held.values())

    def _is_next(self, me: object) -> bool:
        return (
            not self._waiting_many
            and self._waiting[0] is me
            and self._fits(1)
            and (self._brake is None or self._lets_in(self._brake))
        )

    def _lets_in(self, brake: CpuGate) -> bool:
        """Whether there are few builds yet, or only young ones, or there is time for one more."""
        if self._taken < brake.least:
            return True
        now = time.monotonic()
        long = any(now - since >= brake.after for _, since in self._held.values())
        return (self._taken < brake.usual and not long) or brake.processors.have_time()

    async def _look_again(self) -> None:
        """Wait until something changes; with a brake, time is something."""
        with suppress(TimeoutError):
            async with asyncio.timeout(WINDOW if self._brake else None):
                await self._changed.wait()
