"""Signals: the first one cancels the run, the second one exits at once."""

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
    """Run `work`; Ctrl-C, SIGTERM or SIGHUP cancels it (child processes are ended) and Interrupted is raised.

    A second signal exits with 130 at once, but for a SIGHUP: the kernel and a shell or systemd send it both.
    """
    with asyncio.Runner() as runner:
        return runner.run(_until_signal(work))


def _exit_at_once() -> None:
    """Show the cursor, which a live table hides, and exit without further cleanup."""
    if os.isatty(2):
        os.write(2, b"\x1b[?25h")
    os._exit(130)


async def _until_signal(work: Coroutine[object, object, T]) -> T:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work)
    signals: list[int] = []

    def on_signal(number: int) -> None:
        if signals and number == signal.SIGHUP:
            return
        if signals:
            _exit_at_once()
        signals.append(number)
        task.cancel()
        with suppress(OSError):  # in `… 2>&1 | tee log`, tee has the same signal and may have gone
            print("interrupted: ending the builds; once more to stop at once", file=sys.stderr)

    # nohup ignores SIGHUP.
    hangup = () if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else (signal.SIGHUP,)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, *hangup)}
    for number in before:
        loop.add_signal_handler(number, on_signal, number)
    try:
        return await task
    except asyncio.CancelledError:
        if signals:
            raise Interrupted(
                "interrupted", hint="`multibuild report` tells what was done; `--resume` goes on from here"
            ) from None
        raise
    finally:
        for number, handler in before.items():
            loop.remove_signal_handler(number)
            signal.signal(number, handler)  # asyncio leaves the default, by which SIGTERM ends without a word
        if signals and hangup:
            signal.signal(signal.SIGHUP, lambda *_: None)
