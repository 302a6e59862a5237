import asyncio
import time
from dataclasses import replace

import pytest
from waiting import NEVER_S, PATIENCE_S

from multibuild.buildx.attempt_retries import (
    MAX_WAIT_S,
    RATE_LIMIT_FACTOR,
    AttemptFailed,
    Budget,
    Decision,
    pause_after,
    stop_reason,
    with_retries,
)
from multibuild.failures.classify import Failure, failure_of

BUDGET = Budget(attempts=4, initial=5.0, max=30.0)
QUICK = Budget(attempts=4, initial=0.001, max=0.002)


def failure(name: str, retry_after: float | None = None) -> Failure:
    return replace(failure_of(name, "evidence"), retry_after=retry_after)


class Attempts:
    """Fails by the classes named, then succeeds; records its calls."""

    def __init__(self, *names: str) -> None:
        self._names = list(names)
        self.calls: list[tuple[int, bool]] = []
        self.waits: list[tuple[int, float, str]] = []
        self.announced = asyncio.Event()
        self.given_up = ""
        self.decisions: list[Decision] = []

    async def attempt(self, number: int, alone: bool) -> None:
        self.calls.append((number, alone))
        if self._names:
            raise AttemptFailed(failure(self._names.pop(0)))

    def on_decision(self, decision: Decision) -> None:
        self.decisions.append(decision)
        if decision.seconds is None:
            self.given_up = decision.reason
            return
        self.waits.append((decision.number, decision.seconds, decision.failure.kind.name))
        self.announced.set()

    async def run(self, budget: Budget = QUICK) -> None:
        await with_retries(self.attempt, budget=budget, on_decision=self.on_decision)


async def test_success_at_once():
    play = Attempts()
    await play.run()
    assert play.calls == [(1, False)]
    assert play.waits == []


async def test_transient_failures_use_the_budget():
    names = ("network", "dns", "registry-unavailable")
    play = Attempts(*names)
    await play.run()
    assert play.calls == [(1, False), (2, False), (3, False), (4, False)]
    assert [(number, name) for number, _, name in play.waits] == list(enumerate(names, 1))


async def test_the_last_failure_is_raised_when_the_budget_is_used_up():
    play = Attempts("network", "network", "network", "dns", "tls")
    with pytest.raises(AttemptFailed) as caught:
        await play.run()
    assert caught.value.failure.kind.name == "dns"
    assert len(play.calls) == 4


@pytest.mark.parametrize(("name", "calls"), [("step-failed", 1), ("qemu-crash", 3), ("unauthorized", 2)])
async def test_each_class_has_a_number_of_attempts(name, calls):
    play = Attempts(*[name] * 9)
    with pytest.raises(AttemptFailed):
        await play.run()
    assert len(play.calls) == calls


async def test_a_permanent_failure_ends_it_after_transient_ones():
    play = Attempts("network", "step-failed", "network")
    with pytest.raises(AttemptFailed) as caught:
        await play.run()
    assert play.given_up == "another try does not help"
    assert caught.value.failure.kind.name == "step-failed"
    assert len(play.calls) == 2


@pytest.mark.parametrize("name", ["network", "qemu-crash", "unauthorized"])
async def test_a_budget_of_one_attempt_is_one(name):
    play = Attempts(name, name)
    with pytest.raises(AttemptFailed):
        await play.run(replace(QUICK, attempts=1))
    assert len(play.calls) == 1


async def test_a_build_out_of_memory_is_repeated_alone():
    play = Attempts("network", "out-of-memory")
    await play.run()
    assert play.calls == [(1, False), (2, False), (3, True)]
    assert [decision.alone for decision in play.decisions] == [False, True]


async def test_another_error_is_not_retried():
    calls = []

    async def attempt(number: int, alone: bool) -> None:
        calls.append(number)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await with_retries(attempt, budget=QUICK, on_decision=Attempts().on_decision)
    assert calls == [1]


async def test_cancelling_ends_the_wait():
    play = Attempts("network")
    task = asyncio.create_task(play.run(Budget(attempts=2, initial=NEVER_S, max=NEVER_S)))
    await play.announced.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, PATIENCE_S)
    assert len(play.calls) == 1


async def test_the_announced_pause_is_waited():
    play = Attempts("network")
    began = time.monotonic()
    await play.run(Budget(attempts=2, initial=0.2, max=1))
    ((_, seconds, _),) = play.waits
    assert 0.15 <= seconds <= 0.25
    assert time.monotonic() - began >= seconds - 0.01


@pytest.mark.parametrize(("failed", "seconds"), [(1, 5), (2, 10), (3, 20), (4, 30), (40, 30)])
def test_pauses_double_up_to_the_maximum(failed, seconds):
    pauses = [pause_after(failed, failure("network"), BUDGET) for _ in range(50)]
    assert all(0.75 * seconds <= pause <= 1.25 * seconds for pause in pauses)


def test_pauses_differ_so_that_builds_do_not_return_together():
    assert len({pause_after(1, failure("network"), BUDGET) for _ in range(20)}) > 10


def test_the_pause_after_a_rate_limit_is_longer():
    pauses = [pause_after(1, failure("rate-limited"), BUDGET) for _ in range(20)]
    assert min(pauses) >= 0.75 * RATE_LIMIT_FACTOR * BUDGET.initial


def test_retry_after_decides_the_pause():
    assert pause_after(1, failure("rate-limited", 37.0), BUDGET) == 37.0
    assert pause_after(9, failure("registry-unavailable", 1.0), BUDGET) == 1.0


def test_retry_after_is_limited():
    assert pause_after(1, failure("rate-limited", 86_400.0), BUDGET) <= MAX_WAIT_S


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (["network"] * 3, None),
        (["network"] * 4, "4 of 4 attempts are used"),
        (["step-failed"], "another try does not help"),
        (["no-such-host"], None),
        (["no-such-host"] * 2, "no-such-host came 2 times"),
        (["token"] * 2, "token came 2 times"),
        (["network", "network", "lost-blob"], None),
        (["network", "lost-blob", "network", "lost-blob"], "lost-blob came 2 times"),
    ],
)
def test_each_class_has_a_budget_within_the_platforms(names, reason):
    assert stop_reason([failure(name) for name in names], BUDGET) == reason


def test_the_retries_of_a_run_are_limited():
    assert (
        stop_reason([failure("network")], replace(BUDGET, run_retries=0)) == "the run has used up its retries"
    )
