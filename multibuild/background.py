"""Work in a thread that cancellation does not wait for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


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
