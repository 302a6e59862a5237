"""Waiting until a registry shows what was pushed: some are eventually consistent."""

from __future__ import annotations

import time
from collections.abc import Callable

from multibuild.oci.errors import RegistryError

PATIENCE = 20.0
"""Seconds a registry may take to show what was pushed."""


def until_it_shows(look: Callable[[], RegistryError | None], *, patience: float) -> None:
    """Look until nothing is wrong: `look` gives what is, or raises that it is not there.

    Raises what was wrong last after `patience` seconds, and at once whatever else `look` raises.
    """
    deadline = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            trouble = look()
        except RegistryError as error:
            if error.kind != "not-found":
                raise
            trouble = error
        if trouble is None:
            return
        if time.monotonic() > deadline:
            raise trouble
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
