"""Reading of the text files of a project: no more than their kind needs."""

from __future__ import annotations

import errno
from pathlib import Path

from multibuild.errors import ConfigError
from multibuild.regular_file import NotRegular, read_regular


def read_bounded(path: Path, max_bytes: int) -> bytes:
    """Read a regular file; raises OSError when it cannot be read, ConfigError when it is larger."""
    try:
        return read_regular(path, max_bytes)
    except NotRegular as error:
        if error.errno != errno.EFBIG:
            raise
        raise ConfigError(f"{path}: {error.strerror}", hint="is that the file that is meant?") from error
