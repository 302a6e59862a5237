"""Client processes whose images are all pushed, and that only have to end."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self

from multibuild.journal.recorder import Say

SOON = 1.0
"""Seconds of waiting that need no explanation."""


class Tails:
    """Lets them end beside what comes after the build; what is left of them goes at its own end.

    After the last export BuildKit takes a moment more before it answers (0.25 s for twelve targets). The builds are in
    its history as completed by then, also when the client is ended in that moment; seen with engine 28.5.
    """

    def __init__(self, say: Say) -> None:
        """Take who hears of it when there is still something to wait for."""
        self._say = say
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
        telling = asyncio.get_running_loop().call_later(SOON, self._tell)
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            telling.cancel()

    def _tell(self) -> None:
        """Say what is still waited for; what is being ended is not worth a word."""
        if any(needed and not task.done() and not task.cancelling() for task, needed in self._tasks.items()):
            self._say("everything is pushed; waiting for the builder to write its cache")
