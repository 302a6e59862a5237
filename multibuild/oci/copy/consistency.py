"""Wait until a registry shows what was pushed: some are eventually consistent."""

from __future__ import annotations

import time
from collections.abc import Callable

from multibuild.oci.errors import RegistryError

VISIBILITY_TIMEOUT_S = 20.0
"""How long a registry may take to show what was pushed."""


def wait_until_visible(check: Callable[[], RegistryError | None], *, timeout_s: float) -> None:
    """Call `check` until it returns None; an error it returns, or a `not-found` it raises, is checked again.

    Raises the last of these after `timeout_s` seconds, and any other error of `check` at once.
    """
    deadline = time.monotonic() + timeout_s
    pause = 0.1
    while True:
        try:
            problem = check()
        except RegistryError as error:
            if error.kind != "not-found":
                raise
            problem = error
        if problem is None:
            return
        if time.monotonic() > deadline:
            raise problem
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
