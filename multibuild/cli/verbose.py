"""`--verbose`: what is done below the surface, a line each on stderr."""

from __future__ import annotations

import logging
import os
import sys


class Lines(logging.Handler):
    """Writes each word of detail as a line on stderr, whatever stderr is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; what others wrote in it cannot reach the terminal or command a CI system."""
        from multibuild.cli.ci import inert_in_ci
        from multibuild.record.text import one_line

        print(inert_in_ci(f"multibuild | {one_line(record.getMessage())}", os.environ), file=sys.stderr)


def say_more(wanted: bool) -> bool:
    """Tell everything, or, where it is not wanted, no longer."""
    from multibuild.detail import LOG

    LOG.handlers = [Lines()] if wanted else []
    LOG.setLevel(logging.DEBUG if wanted else logging.NOTSET)
    LOG.propagate = False
    return wanted
