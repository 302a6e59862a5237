"""Long-running child processes: an own process group, timeouts, and an orderly end.

python-on-whales can neither time out nor cancel, so every long buildx call runs through here.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import shlex
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from multibuild.frozen import frozen
from multibuild.redact import redacted_command, redacted_words
from multibuild.ssh.environment import docker_environment

logger = logging.getLogger(__name__)

MAX_LINE_BYTES = 1024 * 1024
"""Longer lines are cut, so that a hostile log cannot fill memory."""

CHUNK_BYTES = 64 * 1024
"""As much as a pipe holds (pipe(7)): more is never there at once."""

END_SIGNALS = ((signal.SIGINT, 10.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0))
"""The signals that end a process group, each with its timeout in seconds. buildx needs time to cancel in BuildKit."""

DRAIN_TIMEOUT_S = 2.0
"""How long the output of a finished process is still read while another process holds its pipe."""

_PR_SET_PDEATHSIG = 1

HANG_POLL_S = 2.0
"""How often `is_hung` is asked: it looks at a build, not at its output."""

EndReason = Literal["exited", "timeout", "stalled", "hung"]


class StartFailed(OSError):
    """The program could not be started at all."""


@frozen
class ProcessResult:
    """How a process ended. `code` is the exit code, negative for a signal; `seconds` is wall time."""

    code: int
    end_reason: EndReason
    seconds: float


@frozen
class ProcessLimits:
    """`timeout`: seconds for the whole process. `stall`: seconds without output; `is_busy` may veto a stall.

    `is_hung` is asked every HANG_POLL_S whether what the process does will never end.
    """

    timeout: float | None = None
    stall: float | None = None
    is_busy: Callable[[], bool] | None = None
    is_hung: Callable[[], bool] | None = None


async def run_process(
    argv: Sequence[str],
    *,
    cwd: Path,
    on_line: Callable[[bytes], None],
    limits: ProcessLimits = ProcessLimits(),
    environ: Mapping[str, str] | None = None,
    by_line: bool = True,
    is_docker: bool = True,
) -> ProcessResult:
    """Run `argv` in a process group of its own and pass every line of stdout and stderr to `on_line`.

    Without `by_line` it gets the output as it comes, up to 64 KiB at once: a gigabyte of short lines takes minutes.
    Without `is_docker` the environment is this process's own, without what makes docker's ssh neither ask nor hang.

    When a limit is exceeded, or this task is cancelled, the whole group is ended: interrupt, terminate, kill. The child
    ends with this process even if that is killed with SIGKILL. Raises StartFailed when `argv[0]` cannot be started, and
    what `on_line` raises.
    """
    logger.info("+ %s", redacted_command(argv) if is_docker else shlex.join(redacted_words(argv)))
    start = time.monotonic()
    process = await _start(argv, cwd, docker_environment(environ) if is_docker else environ)
    watch = _Watch(limits, _lines if by_line else _chunks)
    try:
        reason = await watch.follow(process, on_line)
    finally:
        await _end_group(process)
    return ProcessResult(code=process.returncode or 0, end_reason=reason, seconds=time.monotonic() - start)


async def _start(
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
            limit=MAX_LINE_BYTES,
        )
    )
    try:
        # When cancelled here, asyncio would kill the process alone and leave the children it has started by then.
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end_group(await starting)
        raise
    except OSError as error:
        message = f"{argv[0]} could not be started: {error.strerror or error}"
        raise StartFailed(error.errno, message) from error


class _Watch:
    """Reader of a process's lines that enforces the limits."""

    def __init__(
        self, limits: ProcessLimits, parts: Callable[[asyncio.StreamReader], AsyncIterator[bytes]]
    ) -> None:
        self._limits = limits
        self._parts = parts
        self._last_output = self._last_poll = time.monotonic()

    async def follow(
        self, process: asyncio.subprocess.Process, on_line: Callable[[bytes], None]
    ) -> EndReason:
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
                    # The pipe is closed, so wait() returns at the exit. A process that only closed it is still timed.
                    waiting = {asyncio.ensure_future(process.wait())}
                    tasks |= waiting
                elif done:
                    # Another process may hold the pipe forever: read what was written, then stop.
                    await asyncio.wait({reading}, timeout=DRAIN_TIMEOUT_S)
                    if reading.done():
                        reading.result()
                    return "exited"
                elif deadline is not None and time.monotonic() >= deadline:
                    return "timeout"
                elif self._stalled():
                    return "stalled"
                elif self._hung():
                    return "hung"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, process: asyncio.subprocess.Process, on_line: Callable[[bytes], None]) -> None:
        assert process.stdout is not None
        async for part in self._parts(process.stdout):
            self._last_output = time.monotonic()
            on_line(part)

    def _pause(self, deadline: float | None) -> float | None:
        now = time.monotonic()
        pauses = []
        if deadline is not None:
            pauses.append(deadline - now)
        if self._limits.stall is not None:
            pauses.append(self._last_output + self._limits.stall - now)
        if self._limits.is_hung is not None:
            pauses.append(self._last_poll + HANG_POLL_S - now)
        return max(0.01, min(pauses)) if pauses else None

    def _stalled(self) -> bool:
        stall, is_busy = self._limits.stall, self._limits.is_busy
        if stall is None or time.monotonic() - self._last_output < stall:
            return False
        if is_busy is not None and is_busy():
            self._last_output = time.monotonic()
            return False
        return True

    def _hung(self) -> bool:
        is_hung, now = self._limits.is_hung, time.monotonic()
        if is_hung is None or now - self._last_poll < HANG_POLL_S:
            return False
        self._last_poll = now
        return is_hung()


async def _exited(process: asyncio.subprocess.Process) -> None:
    """Wait for the exit only: `Process.wait()` also waits until every holder of the pipe has closed it."""
    while process.returncode is None:  # noqa: ASYNC110 - asyncio has one event for the exit and the pipe together
        await asyncio.sleep(0.2)


async def _chunks(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Return the output as it comes."""
    while chunk := await stream.read(CHUNK_BYTES):
        yield chunk


async def _lines(stream: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Return whole lines; longer ones are cut at MAX_LINE_BYTES."""
    pending = bytearray()
    dropping = False
    while chunk := await stream.read(CHUNK_BYTES):
        *whole, rest = chunk.split(b"\n")
        for part in whole:
            if not dropping:
                yield bytes(pending + part)[:MAX_LINE_BYTES]
            pending.clear()
            dropping = False
        if not dropping:
            pending += rest
        if len(pending) > MAX_LINE_BYTES:
            yield bytes(pending[:MAX_LINE_BYTES])
            pending.clear()
            dropping = True
    if pending:
        yield bytes(pending)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End the rest of the group in order; shielded, so that a second cancellation does not leave orphans."""
    if process.returncode is not None:
        _signal_group(process.pid, signal.SIGKILL)  # members that outlived the group's leader
        return
    await asyncio.shield(_signal_in_order(process))


async def _signal_in_order(process: asyncio.subprocess.Process) -> None:
    for number, seconds in END_SIGNALS:
        _signal_group(process.pid, number)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # The pipe must be drained, or a child that still writes blocks forever.
                if process.stdout is not None:
                    while await process.stdout.read(CHUNK_BYTES):
                        pass
                await process.wait()
                break
    _signal_group(process.pid, signal.SIGKILL)  # grandchildren that closed the pipe and ignored the others


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _die_with_parent() -> None:
    """Let the kernel send the child SIGTERM when its parent dies (prctl(2)); called between fork and exec."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _libc() -> ctypes.CDLL | None:
    library = ctypes.CDLL(None, use_errno=True)
    return library if hasattr(library, "prctl") else None


_LIBC = _libc()
