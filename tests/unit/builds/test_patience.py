import pytest

from multibuild.builds.patience import patience_after
from multibuild.builds.result import Attempt

HOUR = 3600.0


@pytest.fixture
def planned(plan_of):
    return plan_of("image: localhost:5000/app\nplatforms: [linux/arm64]\ntimeout: 6h").platforms[0]


def attempt(outcome, crashed_after=None):
    return Attempt(number=1, seconds=6 * HOUR, outcome=outcome, log="", crashed_after=crashed_after)


def test_a_first_attempt_has_the_timeout_of_the_config(planned):
    patience = patience_after((), planned, 60.0)
    assert (patience.timeout, patience.after_crash) == (6 * HOUR, 60.0)
    assert patience.shortened_text(patience) is None


def test_hours_are_not_spent_twice_on_a_crash(planned):
    usual = patience_after((), planned, 60.0)
    after = patience_after([attempt("timeout", 600.0)], planned, 60.0)
    assert after.timeout == 3 * 600 + 600
    assert after.shortened_text(usual) == "waits at most 40m 00s"
    twice = patience_after([attempt("timeout", 600.0), attempt("timeout", 900.0)], planned, 60.0)
    assert twice.timeout == 3 * 900 + 600


def test_an_attempt_that_was_ended_in_time_costs_silence_only(planned):
    usual = patience_after((), planned, 60.0)
    after = patience_after([attempt("stalled", 600.0)], planned, 60.0)
    assert (after.timeout, after.after_crash) == (6 * HOUR, 30.0)
    assert after.shortened_text(usual) == "waits at most 30.0s after a crash"


@pytest.mark.parametrize(
    "previous", [attempt("timeout"), attempt("stalled"), attempt("failed"), attempt("cancelled")]
)
def test_other_attempts_shorten_nothing(planned, previous):
    assert patience_after([previous], planned, 60.0) == patience_after((), planned, 60.0)


def test_the_timeout_is_never_longer_than_the_configs(planned):
    assert patience_after([attempt("timeout", 5 * HOUR)], planned, None).timeout == 6 * HOUR


def test_without_a_crash_timeout_there_is_none_later(planned):
    assert patience_after([attempt("stalled", 5.0)], planned, None).after_crash is None
