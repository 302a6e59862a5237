"""`--verbose`: what is done below the surface, a line each on stderr."""

from __future__ import annotations

import os
import sys

from multibuild import detail


def say_more(wanted: bool) -> bool:
    """Tell everything, or, where it is not wanted, no longer."""
    detail.listen(_write if wanted else None)
    return wanted


def _write(text: str) -> None:
    """Write one line on what stderr is at the moment; it cannot reach the terminal or command a CI system."""
    from multibuild.cli.ci import inert_in_ci
    from multibuild.terminal import one_line

    # In one piece: several threads tell.
    sys.stderr.write(inert_in_ci(f"multibuild | {one_line(text)}", os.environ) + "\n")
