"""Work in a thread that is left behind when nobody wants it any more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


async def aside(work: Callable[[], T]) -> T:
    """Do `work` in a thread of its own; whoever is cancelled here does not wait for its end.

    asyncio waits for the threads of `to_thread` before it ends, and a registry may take a minute to say nothing. For
    what only asks: a thread that is left behind is ended with the process, wherever it is.
    """
    pool = ThreadPoolExecutor(max_workers=1)
    try:
        return await asyncio.get_running_loop().run_in_executor(pool, work)
    finally:
        pool.shutdown(wait=False)
