"""How many builds run at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """Job slots. A build takes one, or all when it must run alone, a wave several; waiting for a retry holds none."""

    def __init__(self, number: int) -> None:
        """Make `number` slots."""
        self._number = number
        self._taken = 0
        self._waiting_many = 0
        self._changed = asyncio.Condition()

    @asynccontextmanager
    async def take(self, *, alone: bool = False, number: int = 1) -> AsyncIterator[None]:
        """Hold slots; who wants several goes before those who come later, so that it is not starved.

        More than there are is all of them.
        """
        wanted = self._number if alone else min(number, self._number)
        many = alone or wanted > 1
        async with self._changed:
            self._waiting_many += many
            try:
                await self._changed.wait_for(
                    lambda: self._taken + wanted <= self._number and (many or not self._waiting_many)
                )
                self._taken += wanted
            finally:
                self._waiting_many -= many
                self._changed.notify_all()
        try:
            yield
        finally:
            async with self._changed:
                self._taken -= wanted
                self._changed.notify_all()
