"""How many builds run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """Job slots. A build takes one, or all of them when it must run alone; waiting for a retry holds none."""

    def __init__(self, number: int) -> None:
        """Make `number` slots."""
        self._number = number
        self._taken = 0
        self._waiting_alone = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, *, alone: bool = False) -> AsyncIterator[None]:
        """Hold a slot, or all; who wants all goes before those who come later, so that it is not starved."""
        wanted = self._number if alone else 1
        async with self._changed:
            self._waiting_alone += alone
            try:
                await self._changed.wait_for(
                    lambda: self._taken + wanted <= self._number and (alone or not self._waiting_alone)
                )
                self._taken += wanted
            finally:
                self._waiting_alone -= alone
                self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                self._taken -= wanted
                self._changed.notify_all()
