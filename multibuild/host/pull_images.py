"""Pulls the images that multibuild itself needs, with retries; a failure names the way to do without."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from multibuild.engine.engine import Engine
from multibuild.errors import EnvironmentFault
from multibuild.failures.classify import classify
from multibuild.failures.evidence import Evidence
from multibuild.files import make_private_directory
from multibuild.journal.recorder import Say
from multibuild.retry_calls import Backoff, retry

MAX_PULL_ATTEMPTS = 3
PULL_WAIT_S = 2.0
"""Before the second attempt; twice as long before the third."""

FAILED_PULL_TTL_S = 24 * 3600.0
"""For which a pull that failed is not tried again: behind a firewall each attempt costs time, every run."""


def pull_if_missing(
    engine: Engine, image: str, say: Say, *, without: str, wait_s: float = PULL_WAIT_S
) -> None:
    """Pull an image if the engine lacks it, retrying transient failures; EnvironmentFault with the hint `without`."""
    if engine.has_image(image):
        return
    say(f"pulling {image}")
    try:
        retry(
            lambda: engine.pull(image),
            pull_backoff(wait_s, lambda error, _seconds: say(f"{error.message}; trying again")),
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
        attempts=MAX_PULL_ATTEMPTS,
        initial=initial,
        before_wait=before_wait,
    )


def is_transient(error: EnvironmentFault) -> bool:
    """Whether docker's message about a failed pull or start is of a kind that a retry may help."""
    kind = classify(Evidence(step="", tail=(), message=error.message)).kind
    return kind.retry == "transient" and kind.name != "unknown-transfer"


def try_pull(engine: Engine, image: str, say: Say, *, without: str) -> bool:
    """Pull an image that can be done without, unless that failed lately; return whether the engine has it now."""
    if _has_failed_lately(image):
        return False
    try:
        pull_if_missing(engine, image, say, without=without)
    except EnvironmentFault as error:
        say(f"{error.message}; going on without")
        _remember_failure(image)
        return False
    return True


def _has_failed_lately(image: str) -> bool:
    with suppress(OSError, RuntimeError):
        return time.time() - _failure_marker(image).stat().st_mtime < FAILED_PULL_TTL_S
    return False


def _remember_failure(image: str) -> None:
    """Write the marker; where there is no place for it, the next run pulls again."""
    with suppress(OSError, RuntimeError):
        marker = _failure_marker(image)
        make_private_directory(marker.parent)
        marker.touch()


def _failure_marker(image: str) -> Path:
    """Return the path of the file that is as old as the failure. RuntimeError for an account without a home."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "multibuild" / f"pull-failed-{hashlib.sha256(image.encode()).hexdigest()[:12]}"
