"""Client processes whose images are all pushed, and that only have to end."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Tails:
    """Lets them end beside what comes after the build; what is left of them goes at its own end.

    After the last export BuildKit takes a moment more before it answers (0.25 s for twelve targets). The builds are in
    its history as completed by then, also when the client is ended in that moment; seen with engine 28.5.
    """

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[None], bool] = {}

    def add(self, task: asyncio.Task[None], *, needed: bool) -> None:
        """Take over a task, with what it raises. One that is `needed` exports a cache, and is waited for."""
        self._tasks[task] = needed

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task, needed in self._tasks.items():
            if not needed or isinstance(error, asyncio.CancelledError):
                task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
