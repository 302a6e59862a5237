"""Work beside other work: tasks, a thread that cancellation does not wait for, what several threads need once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import TypeVar

T = TypeVar("T")


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Run tasks as an `asyncio.TaskGroup` does, and raise the first error itself: callers catch it by its class."""
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        first: BaseException = errors
        while isinstance(first, BaseExceptionGroup):
            first = first.exceptions[0]
        raise first from first.__cause__


async def run_in_background(work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own; when cancelled, return at once and abandon the thread.

    asyncio waits for the threads of `to_thread` before it ends, and a registry or an engine may take a minute to say
    nothing. For work that only reads: an abandoned thread ends with the process, wherever it is.
    """
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    finally:
        pool.shutdown(wait=False)


class SingleFlight:
    """Runs the work of each key once; concurrent callers wait, and get the same error when it fails."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[str, Future[None]] = {}

    def do(self, key: str, work: Callable[[], None]) -> None:
        """Run `work`, or wait for the thread that runs it; after a failure the next caller tries again."""
        with self._lock:
            existing = self._futures.get(key)
            if existing is None:
                own = self._futures[key] = Future()
        if existing is not None:
            existing.result()
            return
        try:
            work()
        except BaseException as error:
            with self._lock:
                del self._futures[key]
            own.set_exception(error)
            raise
        own.set_result(None)
