"""Programs of others that answer a question: bounded in time and output, ended with everything they started."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from multibuild.frozen import frozen
from multibuild.terminal import human_bytes, human_seconds

CHUNK_BYTES = 65536
"""As much as a pipe holds (pipe(7)): more is never there at once."""

POLL_S = 0.1
"""How often a program is looked at whose pipes are silent: one that it started may keep them open."""


@frozen
class ChildResult:
    """How a program ended; `returncode` is negative for the signal that ended it."""

    returncode: int
    stdout: bytes
    stderr: bytes


class ChildLimit(Exception):
    """The program took too long or printed too much, and was ended. The message follows its name."""


class ChildStopped(Exception):
    """The program was ended because its result is not wanted any more."""


def never() -> bool:
    """Return False: the program is not stopped."""
    return False


def run_child(
    argv: Sequence[str],
    *,
    stdin: bytes = b"",
    cwd: Path | None = None,
    environ: Mapping[str, str] | None = None,
    timeout_s: float,
    max_bytes: int,
    own_group: bool = True,
    is_stopped: Callable[[], bool] = never,
) -> ChildResult:
    """Run a program in a process group of its own and return what it printed, `max_bytes` on both streams together.

    `stdin` is a short text that a pipe holds. Without `own_group` the program can use the terminal, and it alone is
    ended. Raises ChildLimit after that, OSError for a program that cannot be started, ChildStopped soon after
    `is_stopped` says so.
    """
    deadline = time.monotonic() + timeout_s
    with subprocess.Popen(
        argv,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=environ,
        start_new_session=own_group,
    ) as process:
        try:
            _send(process.stdin, stdin)
            stdout, stderr = _read(process, deadline, max_bytes, is_stopped)
            code = _wait(process, deadline, is_stopped)
            return ChildResult(returncode=code, stdout=stdout, stderr=stderr)
        except subprocess.TimeoutExpired:
            raise ChildLimit(f"does not answer within {human_seconds(timeout_s)}") from None
        finally:
            if process.returncode is None:
                _end(process, group=own_group)


def _send(pipe: IO[bytes] | None, data: bytes) -> None:
    """Write all of stdin and close it; a program need not read it."""
    assert pipe is not None
    with suppress(BrokenPipeError), pipe:
        pipe.write(data)


def _read(
    process: subprocess.Popen[bytes], deadline: float, max_bytes: int, is_stopped: Callable[[], bool]
) -> tuple[bytes, bytes]:
    """Read stdout and stderr to their end, or until the program has ended and nothing more is there."""
    assert process.stdout is not None
    assert process.stderr is not None
    texts = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for pipe in texts:
            selector.register(pipe, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(POLL_S)
            if not ready and process.poll() is not None:
                # Between the two it may have printed and ended: on a busy machine answers were lost here.
                ready = selector.select(0)
                if not ready:
                    break
            if is_stopped():
                raise ChildStopped
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in ready:
                data = os.read(key.fd, CHUNK_BYTES)
                texts[key.fileobj] += data  # type: ignore[index]
                if not data:
                    selector.unregister(key.fileobj)
            if sum(map(len, texts.values())) > max_bytes:
                raise ChildLimit(f"prints more than {human_bytes(max_bytes)}")
    return bytes(texts[process.stdout]), bytes(texts[process.stderr])


def _wait(process: subprocess.Popen[bytes], deadline: float, is_stopped: Callable[[], bool]) -> int:
    """Return the exit code of a program that has closed its pipes, perhaps long before its end."""
    while True:
        try:
            return process.wait(POLL_S)
        except subprocess.TimeoutExpired:
            if is_stopped():
                raise ChildStopped from None
            if time.monotonic() > deadline:
                raise


def _end(process: subprocess.Popen[bytes], *, group: bool) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL) if group else process.kill()
