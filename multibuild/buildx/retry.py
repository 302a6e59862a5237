"""When a failed attempt is tried again, and after how long: by the classes of its failures."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from multibuild.buildx.classify import Failure
from multibuild.frozen import frozen
from multibuild.retrying import Backoff, retry_async

PATIENT_FACTOR = 6.0
"""A rate limit wants minutes where a dropped connection wants seconds."""

LONGEST_WAIT = 900.0
"""Seconds; a server that asks for more is asked again after these."""


@dataclass(kw_only=True, slots=True)
class Budget:
    """`attempts` in all for a platform, whatever fails; `initial` and `max` wait in seconds.

    `left` is how many retries the whole run may still spend: a registry that is down for everybody must not be
    asked again by each of thirty platforms to the end of its own budget.
    """

    attempts: int
    initial: float
    max: float
    left: int = 100


class AttemptFailed(Exception):
    """An attempt ended without a child."""

    def __init__(self, failure: Failure) -> None:
        """Carry the failure to the retry decision."""
        super().__init__(failure.kind.name)
        self.failure = failure


@frozen
class Decision:
    """What follows the failed attempt `number`: the next one after `seconds`, or (None) no other one, and why.

    `alone`: the next attempt gets the machine for itself.
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
    decided: Callable[[Decision], None],
) -> None:
    """Call `attempt(number, alone)` until it succeeds or its failure says that no further try helps.

    `decided` gets what follows each failed attempt. Raises the last AttemptFailed.
    """
    failures: list[Failure] = []

    async def action() -> None:
        try:
            await attempt(len(failures) + 1, must_run_alone(failures))
        except AttemptFailed as error:
            failures.append(error.failure)
            raise

    def decide(*, seconds: float | None, alone: bool = False, reason: str = "") -> None:
        number, failure = len(failures), failures[-1]
        decided(Decision(number=number, failure=failure, seconds=seconds, alone=alone, reason=reason))

    def is_worth_another(_error: AttemptFailed) -> bool:
        reason = why_enough(failures, budget)
        if reason is None:
            budget.left -= 1
        else:
            decide(seconds=None, reason=reason)
        return reason is None

    backoff = Backoff(
        error=AttemptFailed,
        is_transient=is_worth_another,
        attempts=budget.attempts,
        initial=budget.initial,
        requested_wait=lambda error: pause_before(len(failures), error.failure, budget),
        before_wait=lambda _error, seconds: decide(seconds=seconds, alone=must_run_alone(failures)),
    )
    await retry_async(action, backoff)


def why_enough(failed: Sequence[Failure], budget: Budget) -> str | None:
    """Say why no other attempt follows these failures; None when one does.

    Three budgets hold at once: the class's own, the platform's, the run's.
    """
    last = failed[-1]
    if last.retry == "permanent":
        return "another try does not help"
    of_its_class = sum(failure.kind.name == last.kind.name for failure in failed)
    if last.retry != "transient" and of_its_class >= last.kind.attempts:
        return f"{last.kind.name} came {of_its_class} times"
    if len(failed) >= budget.attempts:
        return f"{len(failed)} of {budget.attempts} attempts are used"
    if budget.left <= 0:
        return "the run has used up its retries"
    return None


def must_run_alone(failed: Sequence[Failure]) -> bool:
    """Whether the next attempt gets the machine for itself, by how often its class has come already."""
    after = failed[-1].kind.alone_after_failures if failed else None
    return after is not None and sum(failure.kind == failed[-1].kind for failure in failed) >= after


def pause_before(failed: int, failure: Failure, budget: Budget) -> float:
    """Seconds to wait after attempt number `failed`: exponential with jitter, or what the server asked for."""
    if failure.retry_after is not None:
        return min(failure.retry_after, LONGEST_WAIT)
    factor = PATIENT_FACTOR if failure.kind.waits_minutes else 1.0
    pause = min(budget.initial * factor * 2 ** (failed - 1), budget.max * factor)
    return float(pause) * random.uniform(0.75, 1.25)  # noqa: S311 - spreads load, guards nothing
