"""What starts first: native platforms, then those that took longest."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from fakes.journals import write_events

from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.history import BuildHistory, past_seconds, read_history
from multibuild.builds.stage import start_order
from multibuild.journal.events import AttemptEnded
from multibuild.journal.runs import State

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@dataclass
class Item:
    platform: str
    emulated: bool = True


def order(items, past, failed=()):
    ahead = BuildHistory(seconds=past, failed=frozenset(failed))
    return [item.platform for item in start_order(items, ahead)]


def test_native_first_then_the_longest():
    items = [Item("arm64"), Item("s390x"), Item("amd64", emulated=False), Item("riscv64")]
    assert order(items, {"amd64": 1.0, "arm64": 20.0, "s390x": 300.0, "riscv64": 40.0}) == [
        "amd64", "s390x", "riscv64", "arm64",
    ]  # fmt: skip


def test_what_failed_lately_goes_before_what_is_long_but_not_before_what_is_native():
    items = [Item("arm64"), Item("s390x"), Item("amd64", emulated=False), Item("386", emulated=False)]
    past = {"amd64": 1.0, "386": 2.0, "arm64": 300.0, "s390x": 20.0}
    assert order(items, past, {"s390x", "amd64"}) == ["amd64", "386", "s390x", "arm64"]


def test_what_is_not_known_yet_may_be_the_longest():
    items = [Item("arm64"), Item("s390x"), Item("riscv64")]
    assert order(items, {"arm64": 20.0, "riscv64": 40.0}) == ["s390x", "riscv64", "arm64"]
    assert order(items, {}) == ["arm64", "s390x", "riscv64"]


def written(state, day, *told):
    run = state.new_run(NOW + timedelta(days=day))
    write_events(
        run.journal_path,
        *(
            AttemptEnded(platform=platform, number=1, outcome=outcome, seconds=seconds, log="")
            for platform, outcome, seconds in told
        ),
    )
    return run


def test_a_cached_run_does_not_make_a_platform_short(tmp_path):
    state = State(tmp_path / "state")
    written(state, 0, ("arm64", "ok", 90.0), ("s390x", "ok", 50.0))
    written(state, 1, ("arm64", "ok", 1.0), ("s390x", "failed", 900.0))
    current = written(state, 2, ("arm64", "ok", 1000.0))
    assert past_seconds(state.runs_before(current)) == {"arm64": 90.0, "s390x": 50.0}


def test_only_the_last_runs_count(tmp_path):
    state = State(tmp_path / "state")
    written(state, 0, ("arm64", "ok", 90.0))
    for day in range(1, 6):
        written(state, day, ("arm64", "ok", float(day)))
    assert past_seconds(state.runs_before(written(state, 6))) == {"arm64": 5.0}


def test_what_failed_in_one_of_the_last_runs_is_known_what_was_cancelled_is_not(tmp_path):
    state = State(tmp_path / "state")
    written(state, 0, ("arm64", "failed", 9.0), ("arm64", "ok", 9.0), ("s390x", "cancelled", 9.0))
    written(state, 1, ("arm64", "ok", 9.0), ("riscv64", "timeout", 9.0))
    current = written(state, 2, ("amd64", "failed", 9.0))
    assert read_history(state.runs_before(current), PlanFingerprints(platforms={})).failed == {
        "arm64",
        "riscv64",
    }
