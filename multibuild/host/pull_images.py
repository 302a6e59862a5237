"""Images that multibuild itself needs: found, or pulled with retries, or else how to do without."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path

from multibuild.engine.docker import Engine
from multibuild.errors import EnvironmentFault
from multibuild.journal.recorder import Say
from multibuild.retrying import Backoff, retry

PULL_ATTEMPTS = 3
PULL_WAIT = 2.0
"""Seconds before the second attempt; twice as many before the third."""

PULL_PATIENCE = 24 * 3600.0
"""Seconds for which a pull that failed is not tried again: behind a firewall each try costs time, every run."""


def fetch(engine: Engine, image: str, say: Say, *, without: str, wait: float = PULL_WAIT) -> None:
    """Make sure the engine has an image; raises EnvironmentFault whose hint is `without`, the way to do without it.

    A pull that fails in a way that may pass (network, an overloaded registry) is tried again.
    """
    if engine.has_image(image):
        return
    say(f"pulling {image}")
    try:
        retry(
            lambda: engine.pull(image),
            pull_backoff(wait, lambda error, _seconds: say(f"{error.message}; trying again")),
        )
    except EnvironmentFault as error:
        raise EnvironmentFault(error.message, hint=without) from error


def pull_backoff(
    initial: float, before_wait: Callable[[EnvironmentFault, float], None]
) -> Backoff[EnvironmentFault]:
    """Return the retries of what pulls an image, with `initial` seconds before the second attempt."""
    return Backoff(
        error=EnvironmentFault,
        is_transient=is_transient,
        attempts=PULL_ATTEMPTS,
        initial=initial,
        before_wait=before_wait,
    )


def is_transient(error: EnvironmentFault) -> bool:
    """Whether docker's words for a failed pull or start are of a kind that another try may help."""
    from multibuild.buildx.classify import classify
    from multibuild.buildx.progress import Evidence

    kind = classify(Evidence(step="", tail=(), message=error.message)).kind
    return kind.retry == "transient" and kind.name != "unknown-transfer"


def fetch_if_worth_it(engine: Engine, image: str, say: Say, *, without: str) -> bool:
    """Try to have an image that can be done without; gives whether it is there now. Never raises for a failed pull."""
    mark = _failure_mark(image)
    if mark.exists() and time.time() - mark.stat().st_mtime < PULL_PATIENCE:
        return False
    try:
        fetch(engine, image, say, without=without)
    except EnvironmentFault as error:
        say(f"{error.message}; going on without")
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
        return False
    return True


def _failure_mark(image: str) -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "multibuild" / f"pull-failed-{hashlib.sha256(image.encode()).hexdigest()[:12]}"
