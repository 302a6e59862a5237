"""Whether and when a failed attempt is repeated, by the classes of its failures."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from multibuild.failures.classify import Failure
from multibuild.frozen import frozen
from multibuild.retry_calls import Backoff, retry_async

RATE_LIMIT_FACTOR = 6.0
"""Factor of the pauses after a rate limit: it lasts minutes, a dropped connection seconds."""

MAX_WAIT_S = 900.0
"""The longest pause, also when a server asks for more."""


@dataclass(kw_only=True, slots=True)
class Budget:
    """`attempts` of a platform, whatever fails; `initial` and `max` pause in seconds.

    `run_retries` remain for the whole run: while a registry is down, thirty platforms must not each spend a budget.
    """

    attempts: int
    initial: float
    max: float
    run_retries: int = 100


class AttemptFailed(Exception):
    """An attempt that ended without a child."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.kind.name)
        self.failure = failure


@frozen
class Decision:
    """The next attempt after the failed attempt `number`, in `seconds`; None for no other one, because of `reason`.

    `alone`: no other build runs beside the next attempt.
    """

    number: int
    failure: Failure
    seconds: float | None
    alone: bool = False
    reason: str = ""


async def with_retries(
    attempt: Callable[[int, bool], Awaitable[None]],
    *,
    budget: Budget,
    on_decision: Callable[[Decision], None],
) -> None:
    """Call `attempt(number, alone)` until it succeeds or `stop_reason` ends it; raises the last AttemptFailed."""
    failures: list[Failure] = []

    async def action() -> None:
        try:
            await attempt(len(failures) + 1, must_run_alone(failures))
        except AttemptFailed as error:
            failures.append(error.failure)
            raise

    def decide(*, seconds: float | None, alone: bool = False, reason: str = "") -> None:
        number, failure = len(failures), failures[-1]
        on_decision(Decision(number=number, failure=failure, seconds=seconds, alone=alone, reason=reason))

    def can_retry(_error: AttemptFailed) -> bool:
        reason = stop_reason(failures, budget)
        if reason is None:
            budget.run_retries -= 1
        else:
            decide(seconds=None, reason=reason)
        return reason is None

    backoff = Backoff(
        error=AttemptFailed,
        is_transient=can_retry,
        attempts=budget.attempts,
        initial=budget.initial,
        requested_wait=lambda error: pause_after(len(failures), error.failure, budget),
        before_wait=lambda _error, seconds: decide(seconds=seconds, alone=must_run_alone(failures)),
    )
    await retry_async(action, backoff)


def stop_reason(failures: Sequence[Failure], budget: Budget) -> str | None:
    """Return why no attempt follows these failures, by the budget of the class, the platform or the run; else None."""
    last = failures[-1]
    if last.retry == "permanent":
        return "another try does not help"
    count = sum(failure.kind.name == last.kind.name for failure in failures)
    if last.retry != "transient" and count >= last.kind.attempts:
        return f"{last.kind.name} came {count} times"
    if len(failures) >= budget.attempts:
        return f"{len(failures)} of {budget.attempts} attempts are used"
    if budget.run_retries <= 0:
        return "the run has used up its retries"
    return None


def must_run_alone(failures: Sequence[Failure]) -> bool:
    """Whether the next attempt runs without others, by the number of failures of the last one's class."""
    after = failures[-1].kind.alone_after_failures if failures else None
    if after is None:
        return False
    # By name: a hint may be of one attempt.
    return sum(failure.kind.name == failures[-1].kind.name for failure in failures) >= after


def pause_after(number: int, failure: Failure, budget: Budget) -> float:
    """Return the seconds to wait after attempt `number`: exponential with jitter, or as the server asks."""
    if failure.retry_after is not None:
        return min(failure.retry_after, MAX_WAIT_S)
    factor = RATE_LIMIT_FACTOR if failure.kind.waits_minutes else 1.0
    pause = min(budget.initial * factor * 2 ** (number - 1), budget.max * factor)
    return float(pause) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
