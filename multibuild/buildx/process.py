"""The one way multibuild runs a child process that may take hours: own process group, watched, ended in order.

python-on-whales can neither time out nor cancel, hence this seam for everything buildx does for long.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from multibuild.frozen import frozen
from multibuild.redact import redacted_command

logger = logging.getLogger(__name__)

LINE_LIMIT = 1024 * 1024
"""Longest line handed on, in bytes; the rest of a longer one is cut, so that a hostile log cannot fill memory."""

GRACE = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""How a process group is ended: each signal and how many seconds it gets. buildx needs a moment to tell BuildKit."""

DRAIN = 2.0
"""Seconds in which what a finished process wrote is still read while another holds its pipe."""

_PR_SET_PDEATHSIG = 1

Ending = Literal["exited", "timeout", "stalled"]


class NotStarted(OSError):
    """The program could not be started at all."""


@frozen
class ProcessResult:
    """How a process ended. `code` is as subprocess gives it: negative for a signal; `seconds` is wall time."""

    code: int
    ending: Ending
    seconds: float


@frozen
class Limits:
    """`timeout`: seconds for the whole attempt. `stall`: seconds without a line; `busy` may veto a stall."""

    timeout: float | None = None
    stall: float | None = None
    busy: Callable[[], bool] | None = None


async def run_process(
    argv: Sequence[str],
    *,
    cwd: Path,
    on_line: Callable[[bytes], None],
    limits: Limits = Limits(),
    environ: Mapping[str, str] | None = None,
) -> ProcessResult:
    """Run `argv` in a process group of its own and hand every line of stdout and stderr to `on_line`.

    When the limits are exceeded, or this task is cancelled, the whole group is ended: interrupt, terminate, kill.
    The children die with us even when we are killed with SIGKILL. Raises NotStarted when `argv[0]` cannot be started,
    and what `on_line` raises.
    """
    logger.info("+ %s", redacted_command(argv))
    began = time.monotonic()
    process = await _started(argv, cwd, environ)
    watch = _Watch(limits)
    try:
        ending = await watch.follow(process, on_line)
    finally:
        await _end_group(process)
    return ProcessResult(code=process.returncode or 0, ending=ending, seconds=time.monotonic() - began)


async def _started(
    argv: Sequence[str], cwd: Path, environ: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *argv,
            cwd=cwd,
            env=environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent,
            limit=LINE_LIMIT,
        )
    )
    try:
        # Cancelled in the middle, asyncio kills the process alone and leaves what that has started by then.
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end_group(await starting)
        raise
    except OSError as error:
        raise NotStarted(error.errno, f"{argv[0]} could not be started: {error.strerror or error}") from error


class _Watch:
    """Reads the lines and keeps the two clocks."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._last = time.monotonic()

    async def follow(self, process: asyncio.subprocess.Process, on_line: Callable[[bytes], None]) -> Ending:
        reading = asyncio.ensure_future(self._read(process, on_line))
        leader = asyncio.ensure_future(_exited(process))
        tasks: set[asyncio.Future[Any]] = {reading, leader}
        waiting = tasks.copy()
        deadline = None if self._limits.timeout is None else time.monotonic() + self._limits.timeout
        try:
            while True:
                done, _ = await asyncio.wait(
                    waiting, timeout=self._pause(deadline), return_when=asyncio.FIRST_COMPLETED
                )
                if reading in done:
                    reading.result()
                    # Nobody holds the pipe any more: the exit is told at once. Who only closed it is still timed.
                    waiting = {asyncio.ensure_future(process.wait())}
                    tasks |= waiting
                elif done:
                    # A straggler may hold the pipe for ever: what was written is read, then it is over.
                    await asyncio.wait({reading}, timeout=DRAIN)
                    if reading.done():
                        reading.result()
                    return "exited"
                elif deadline is not None and time.monotonic() >= deadline:
                    return "timeout"
                elif self._stalled():
                    return "stalled"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, process: asyncio.subprocess.Process, on_line: Callable[[bytes], None]) -> None:
        assert process.stdout is not None
        async for line in _lines(process.stdout):
            self._last = time.monotonic()
            on_line(line)

    def _pause(self, deadline: float | None) -> float | None:
        now = time.monotonic()
        pauses = []
        if deadline is not None:
            pauses.append(deadline - now)
        if self._limits.stall is not None:
            pauses.append(self._last + self._limits.stall - now)
        return max(0.01, min(pauses)) if pauses else None

    def _stalled(self) -> bool:
        stall, busy = self._limits.stall, self._limits.busy
        if stall is None or time.monotonic() - self._last < stall:
            return False
        if busy is not None and busy():
            self._last = time.monotonic()
            return False
        return True


async def _exited(process: asyncio.subprocess.Process) -> None:
    """Wait for the process alone: `Process.wait()` also waits until nobody holds its pipe."""
    while process.returncode is None:  # noqa: ASYNC110 - asyncio tells of the exit and the pipe only together
        await asyncio.sleep(0.2)


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Give whole lines; one longer than LINE_LIMIT is cut there and its rest dropped."""
    pending = bytearray()
    dropping = False
    while chunk := await stream.read(64 * 1024):
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            if not dropping:
                yield bytes(pending + part)[:LINE_LIMIT]
            pending.clear()
            dropping = False
        if not dropping:
            pending += rest
        if len(pending) > LINE_LIMIT:
            yield bytes(pending[:LINE_LIMIT])
            pending.clear()
            dropping = True
    if pending:
        yield bytes(pending)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End what is left of the group, asking first; shielded, so a second cancellation does not leave orphans."""
    if process.returncode is not None:
        _signal_group(process.pid, signal.SIGKILL)  # stragglers of a leader that has gone
        return
    await asyncio.shield(_signal_in_order(process))


async def _signal_in_order(process: asyncio.subprocess.Process) -> None:
    for number, seconds in GRACE:
        _signal_group(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # The pipe must be drained, or a child that still writes never ends.
                if process.stdout is not None:
                    while await process.stdout.read(64 * 1024):
                        pass
                await process.wait()
                break
    _signal_group(process.pid, signal.SIGKILL)  # grandchildren that let go of the pipe and ignored the rest


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _die_with_parent() -> None:
    """Between fork and exec: SIGTERM for the child when its parent dies, however it dies (prctl(2))."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _libc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "prctl") else None


_LIBC = _libc()
