"""The order in which platforms start, and the history that it follows."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fakes.journals import write_events

from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.history import BuildHistory, past_seconds, read_history
from multibuild.builds.stage import start_order
from multibuild.journal.events import AttemptEnded

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass
class Planned:
    platform: str
    emulated: bool = True


S390X, ARM64, RISCV64 = map(Planned, ("s390x", "arm64", "riscv64"))
AMD64 = Planned("amd64", emulated=False)
I386 = Planned("386", emulated=False)


def order(platforms, seconds, failed=()):
    history = BuildHistory(seconds=seconds, failed=frozenset(failed))
    return [planned.platform for planned in start_order(platforms, history)]


def test_native_platforms_start_first_then_the_longest():
    seconds = {"amd64": 1.0, "arm64": 20.0, "s390x": 300.0, "riscv64": 40.0}
    assert order([ARM64, S390X, AMD64, RISCV64], seconds) == ["amd64", "s390x", "riscv64", "arm64"]


def test_a_platform_that_failed_lately_starts_before_long_ones_but_after_native_ones():
    seconds = {"amd64": 1.0, "386": 2.0, "arm64": 300.0, "s390x": 20.0}
    platforms = [ARM64, S390X, AMD64, I386]
    assert order(platforms, seconds, {"s390x", "amd64"}) == ["amd64", "386", "s390x", "arm64"]


def test_a_platform_without_history_counts_as_the_longest():
    platforms = [ARM64, S390X, RISCV64]
    assert order(platforms, {"arm64": 20.0, "riscv64": 40.0}) == ["s390x", "riscv64", "arm64"]
    assert order(platforms, {}) == ["arm64", "s390x", "riscv64"]


def run_with(state, day, *attempts):
    run = state.new_run(NOW + timedelta(days=day))
    events = [
        AttemptEnded(platform=platform, number=1, outcome=outcome, seconds=seconds, log="")
        for platform, outcome, seconds in attempts
    ]
    write_events(run.journal_path, *events)
    return run


def test_the_longest_successful_attempt_counts_even_after_a_cached_run(state):
    run_with(state, 0, ("arm64", "ok", 90.0), ("s390x", "ok", 50.0))
    run_with(state, 1, ("arm64", "ok", 1.0), ("s390x", "failed", 900.0))
    current = run_with(state, 2, ("arm64", "ok", 1000.0))
    assert past_seconds(state.runs_before(current)) == {("", "arm64"): 90.0, ("", "s390x"): 50.0}


def test_only_the_newest_runs_count(state):
    run_with(state, 0, ("arm64", "ok", 90.0))
    for day in range(1, 6):
        run_with(state, day, ("arm64", "ok", float(day)))
    assert past_seconds(state.runs_before(run_with(state, 6))) == {("", "arm64"): 5.0}


def test_failed_and_timed_out_attempts_of_earlier_runs_are_in_the_history_cancelled_ones_are_not(state):
    run_with(state, 0, ("arm64", "failed", 9.0), ("arm64", "ok", 9.0), ("s390x", "cancelled", 9.0))
    run_with(state, 1, ("arm64", "ok", 9.0), ("riscv64", "timeout", 9.0))
    current = run_with(state, 2, ("amd64", "failed", 9.0))
    history = read_history(state.runs_before(current), PlanFingerprints(platforms={}))
    assert history.failed == {"arm64", "riscv64"}
