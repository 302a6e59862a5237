"""`--verbose`: the package's log, a line each on stderr."""

from __future__ import annotations

import logging
import os
import sys

_LOGGER = logging.getLogger("multibuild")


class _StderrHandler(logging.Handler):
    """Writes to what stderr is at the moment; no message reaches the terminal or a CI system as a command."""

    def emit(self, record: logging.LogRecord) -> None:
        from multibuild.cli.ci import inert_in_ci
        from multibuild.terminal import one_line

        sys.stderr.write(inert_in_ci(f"multibuild | {one_line(record.getMessage())}", os.environ) + "\n")


_HANDLER = _StderrHandler()


def set_verbose(wanted: bool) -> bool:
    """Show every docker command and registry request, or, where it is not wanted, no longer."""
    _LOGGER.setLevel(logging.INFO if wanted else logging.NOTSET)
    (_LOGGER.addHandler if wanted else _LOGGER.removeHandler)(_HANDLER)
    return wanted
