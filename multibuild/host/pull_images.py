"""Images that multibuild itself needs: found, or pulled with retries, or else how to do without."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from multibuild.engine.docker import Engine
from multibuild.errors import EnvironmentFault
from multibuild.journal.recorder import Say

PULL_ATTEMPTS = 3
PULL_WAIT = 2.0
"""Seconds before the second attempt; twice as many before the third."""

PULL_PATIENCE = 24 * 3600.0
"""Seconds for which a pull that failed is not tried again: behind a firewall each try costs time, every run."""


def fetch(engine: Engine, image: str, say: Say, *, without: str, wait: float = PULL_WAIT) -> None:
    """Make sure the engine has an image; raises EnvironmentFault whose hint is `without`, the way to do without it.

    A pull that fails in a way that may pass (network, an overloaded registry) is tried again.
    """
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_exponential

    if engine.has_image(image):
        return
    say(f"pulling {image}")
    retrying = Retrying(
        retry=retry_if_exception(is_transient),
        stop=stop_after_attempt(PULL_ATTEMPTS),
        wait=wait_exponential(multiplier=wait),
        before_sleep=lambda state: say(f"{_reason(state.outcome)}; trying again"),
        reraise=True,
    )
    try:
        retrying(engine.pull, image)
    except EnvironmentFault as error:
        raise EnvironmentFault(error.message, hint=without) from error


def is_transient(error: BaseException) -> bool:
    """Whether docker's words for a failed pull or start are of a kind that another try may help."""
    from multibuild.buildx.classify import classify
    from multibuild.buildx.progress import Evidence

    if not isinstance(error, EnvironmentFault):
        return False
    kind = classify(Evidence(step="", tail=(), message=error.message)).kind
    return kind.retry == "transient" and kind.name != "unknown-transfer"


def _reason(outcome: object) -> str:
    error = getattr(outcome, "exception", lambda: None)()
    return error.message if isinstance(error, EnvironmentFault) else str(error)


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
