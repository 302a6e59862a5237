"""One policy for actions that wait and for actions that block."""

import asyncio

import pytest

from multibuild.retry_calls import Backoff, retry, retry_async


class Refusal(Exception):
    """An error that may ask for a wait of its own, and may be bounded by time."""

    def __init__(self, requested=None, limit=None):
        super().__init__()
        self.requested, self.limit = requested, limit


class Clock:
    """A time that passes only in waits."""

    def __init__(self):
        self.now, self.waits = 0.0, []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.now += seconds
        self.waits.append(seconds)

    async def sleep_async(self, seconds):
        self.sleep(seconds)


def run_sync(action, backoff, clock):
    return retry(action, backoff, sleep=clock.sleep, clock=clock)


def run_async(action, backoff, clock):
    async def awaited():
        return action()

    return asyncio.run(retry_async(awaited, backoff, sleep=clock.sleep_async, clock=clock))


@pytest.fixture(params=[run_sync, run_async])
def play(request):
    """Play errors, then success; return the announced waits and the result."""

    def play(*errors, attempts=4):
        clock, remaining, announced = Clock(), list(errors), []

        def action():
            if remaining:
                raise remaining.pop(0)
            return "done"

        backoff = Backoff(
            error=Refusal,
            is_transient=lambda error: error.requested != "never",
            attempts=attempts,
            initial=1.0,
            max=3.0,
            requested_wait=lambda error: error.requested,
            time_limit=lambda error: error.limit,
            before_wait=lambda _error, seconds: announced.append(seconds),
        )
        try:
            result = request.param(action, backoff, clock)
        except (Refusal, ValueError) as error:
            result = error
        assert announced == clock.waits
        return clock.waits, result

    return play


def test_waits_double_up_to_the_longest(play):
    assert play(Refusal(), Refusal(), Refusal()) == ([1.0, 2.0, 3.0], "done")


def test_the_last_error_is_raised_after_all_attempts(play):
    first, last = Refusal(), Refusal()
    assert play(first, last, attempts=2) == ([1.0], last)


def test_the_wait_an_error_asks_for_is_obeyed_up_to_the_longest(play):
    assert play(Refusal(0.5), Refusal(60.0)) == ([0.5, 3.0], "done")


@pytest.mark.parametrize("error", [ValueError(), Refusal("never")])
def test_other_errors_are_not_retried(play, error):
    assert play(error) == ([], error)


def test_a_time_limit_holds_in_place_of_attempts(play):
    last = Refusal(limit=4.0)
    assert play(Refusal(limit=4.0), Refusal(limit=4.0), last, attempts=1) == ([1.0, 2.0], last)
