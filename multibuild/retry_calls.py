"""Retries: which errors are worth another attempt, how many, and after how long. The only importer of tenacity."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, Retrying

from multibuild.frozen import frozen

E = TypeVar("E", bound=Exception)
T = TypeVar("T")


def _nothing(*_: object) -> None:
    return None


@frozen
class Backoff(Generic[E]):
    """Retries of transient errors of one class: `attempts` in all, waits in seconds that double from `initial`.

    `requested_wait` is what an error itself asks for (Retry-After); no wait is longer than `max`. A `time_limit`, in
    seconds since the first failure, holds in place of `attempts`. `before_wait` gets the error and the wait.
    """

    error: type[E]
    is_transient: Callable[[E], bool]
    attempts: int
    initial: float
    max: float = math.inf
    requested_wait: Callable[[E], float | None] = _nothing
    time_limit: Callable[[E], float | None] = _nothing
    before_wait: Callable[[E, float], None] = _nothing


def retry(
    action: Callable[[], T],
    backoff: Backoff[E],
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Return what `action` returns; raise its last error, unchanged."""
    return Retrying(sleep=sleep, **_options(backoff, clock))(action)


async def retry_async(
    action: Callable[[], Awaitable[T]],
    backoff: Backoff[E],
    *,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> T:
    """Return what `action` returns; raise its last error, unchanged."""
    return await AsyncRetrying(sleep=sleep, **_options(backoff, clock))(action)


def _options(backoff: Backoff[E], clock: Callable[[], float]) -> dict[str, Any]:
    """Translate into tenacity's arguments, for one action."""
    failures: list[float] = []

    def error_of(state: RetryCallState) -> Any:
        return state.outcome and state.outcome.exception()

    def should_retry(state: RetryCallState) -> bool:
        error = error_of(state)
        return isinstance(error, backoff.error) and backoff.is_transient(error)

    def wait(state: RetryCallState) -> float:
        requested = backoff.requested_wait(error_of(state))
        own = backoff.initial * 2.0 ** (state.attempt_number - 1) if requested is None else requested
        return min(own, backoff.max)

    def stop(state: RetryCallState) -> bool:
        failures.append(clock())
        limit = backoff.time_limit(error_of(state))
        if limit is None:
            return state.attempt_number >= backoff.attempts
        return failures[-1] - failures[0] + state.upcoming_sleep > limit

    def before_sleep(state: RetryCallState) -> None:
        backoff.before_wait(error_of(state), state.upcoming_sleep)

    return {"retry": should_retry, "wait": wait, "stop": stop, "before_sleep": before_sleep, "reraise": True}
