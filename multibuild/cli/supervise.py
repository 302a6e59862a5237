"""Signals: the first one ends the run in order, the second one at once."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar

from multibuild.errors import Interrupted

T = TypeVar("T")


def supervise(work: Coroutine[object, object, T]) -> T:
    """Run `work`; Ctrl-C or SIGTERM cancels it (children are ended in order) and Interrupted is raised.

    A second signal exits with 130 at once: the children die with us.
    """
    with asyncio.Runner() as runner:
        return runner.run(_until_signal(work))


def _leave_at_once() -> None:
    """End without any clearing up but this: a live table hides the cursor, and nobody else would show it again."""
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")
    os._exit(130)


async def _until_signal(work: Coroutine[object, object, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    seen: list[int] = []

    def on_signal(number: int) -> None:
        if seen:
            _leave_at_once()
        seen.append(number)
        task.cancel()
        with suppress(OSError):  # in `… 2>&1 | tee log`, tee has the same signal and may have gone
            print("interrupted: ending the builds; once more to stop at once", file=sys.stderr)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await task
    except asyncio.CancelledError:
        if seen:
            raise Interrupted(
                "interrupted", hint="`multibuild report` tells what was done; `--resume` goes on from here"
            ) from None
        raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
