"""The lock that keeps two runs of a project apart; the kernel frees it when its holder ends."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from multibuild.errors import EnvironmentFault
from multibuild.files import UnsafeFile, open_private, read_plain
from multibuild.journal.own_files import MAX_LOCK_BYTES
from multibuild.terminal import one_line

MAX_TRIES = 100
"""Times that a file may be replaced between its opening and its locking."""

_UNSUPPORTED = {errno.EBADF, errno.EINVAL, errno.ENOLCK, errno.ENOTSUP}
"""Errors of file systems that lock no directories."""

_HOLDER = re.compile(r"pid (?P<pid>[0-9]{1,10}) on (?P<host>\S+) since .{23} \((?P<command>[^()]*)\)\Z")


@contextmanager
def hold_project_lock(folder: Path) -> Iterator[None]:
    """Lock a state directory; EnvironmentFault naming the holder of the lock, OSError when it cannot be locked.

    Both the directory and the file `lock` in it are locked: a file that is removed or replaced while it is held gives
    no second holder, and some file systems (NFS, flock(2)) lock no directories.
    """
    with ExitStack() as handles:
        try:
            _lock_folder(folder, handles)
            file = _lock(folder / "lock", partial(open_private, flags=os.O_RDWR), handles)
        except BlockingIOError as error:
            raise EnvironmentFault(
                f"another run of this project is at work: {_recorded_holder(folder)}",
                hint="wait for it, end it, or use another --state-dir",
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, _holder().encode("utf-8", "replace"), 0)
        try:
            yield
        finally:
            os.ftruncate(file, 0)


def _lock_folder(folder: Path, handles: ExitStack) -> None:
    try:
        _lock(folder, partial(os.open, flags=os.O_RDONLY | os.O_DIRECTORY), handles)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def _lock(path: Path, open_path: Callable[[Path], int], handles: ExitStack) -> int:
    """Open and lock what a path names, also after it was locked; BlockingIOError when another process has the lock."""
    for _ in range(MAX_TRIES):
        handle = open_path(path)
        handles.callback(os.close, handle)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), path.stat()):
                return handle
    raise UnsafeFile(path, "is replaced all the time")


def holding_command(folder: Path) -> str:
    """Return the command of the living process on this machine that holds the lock; empty if there is none.

    The lock is not tried for: whoever held it for that moment would keep a run from starting.
    """
    match = _HOLDER.match(_recorded_holder(folder))
    if match is None or match["host"] != os.uname().nodename:
        return ""
    try:
        os.kill(int(match["pid"]), 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass  # it lives, and is another user's
    return match["command"]


def _recorded_holder(folder: Path) -> str:
    try:
        text = read_plain(folder / "lock", max_bytes=MAX_LOCK_BYTES).decode("utf-8", "replace")
    except OSError:
        text = ""
    return one_line(text.strip()) or "another process"


def _holder() -> str:
    """Describe this process, by its command without options: those may hold secrets."""
    command = next((word for word in sys.argv[1:2] if not word.startswith("-")), "multibuild")
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    text = f"pid {os.getpid()} on {os.uname().nodename} since {since} ({one_line(command)})"
    return text[: MAX_LOCK_BYTES // 4]
