"""Files that others wrote, read with a limit: never a FIFO, a device or a directory, which may have no end."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from multibuild.terminal import human_bytes


class NotRegular(OSError):
    """The path is no regular file, or is larger than the limit; `strerror` says which."""


def open_regular(path: Path) -> io.FileIO:
    """Open a regular file, through links, without a buffer. Raises NotRegular, or OSError as `open` does."""
    # Without O_NONBLOCK, open(2) waits for a writer of a FIFO.
    file = io.FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY))
    mode = os.fstat(file.fileno()).st_mode
    if not stat.S_ISREG(mode):
        file.close()
        raise NotRegular(errno.EINVAL, _kind(mode), str(path))
    return file


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a regular file, through links. Raises NotRegular, or OSError as `open` does."""
    with io.BufferedReader(open_regular(path)) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise NotRegular(errno.EFBIG, f"it has more than {human_bytes(max_bytes)}", str(path))
    return data


def is_file(path: Path) -> bool:
    """Whether a regular file is there; False also for a path that no file system has (too long, a loop)."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a directory is there; False also for a path that no file system has."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_there(path: Path) -> bool:
    """Whether anything is there; False also for a path that no file system has."""
    try:
        return path.exists()
    except OSError:
        return False


def _kind(mode: int) -> str:
    return "it is a directory" if stat.S_ISDIR(mode) else "it is no regular file"
