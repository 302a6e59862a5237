"""Reading of text files that a project brings: no device, no pipe, and no more than their kind needs."""

from __future__ import annotations

import errno
import io
import os
import stat
from pathlib import Path

from multibuild.errors import ConfigError


def open_regular(path: Path) -> io.FileIO:
    """Open a file for reading, without a buffer; raises OSError for anything but a regular file.

    Nothing waits: without O_NONBLOCK, opening a pipe blocks until another process writes to it.
    """
    file = io.FileIO(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC))
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read a regular file; raises OSError when it cannot be read, ConfigError when it is larger."""
    with io.BufferedReader(open_regular(path)) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise ConfigError(
            f"{path} is larger than {max_bytes >> 20} MiB", hint="is that the file that is meant?"
        )
    return content
