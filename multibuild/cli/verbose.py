"""`--verbose`: the package's log, a line each on stderr."""

from __future__ import annotations

import logging
import sys

_LOGGER = logging.getLogger("multibuild")


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`."""

    def emit(self, record: logging.LogRecord) -> None:
        from multibuild.terminal import one_line

        sys.stderr.write(f"multibuild | {one_line(record.getMessage())}\n")


_HANDLER = _StderrHandler()


def set_verbose(verbose: bool) -> None:
    """Start or stop logging docker commands and registry requests to stderr."""
    _LOGGER.setLevel(logging.INFO if verbose else logging.NOTSET)
    (_LOGGER.addHandler if verbose else _LOGGER.removeHandler)(_HANDLER)
