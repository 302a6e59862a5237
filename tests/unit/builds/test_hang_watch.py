"""Steps that QEMU crashed in and that do not end, by a clock that the test advances."""

import base64
import json

import pytest

from multibuild.builds.hang_watch import MAX_IDLE_PROCESSORS, UNSEEN_FACTOR, HangWatch
from multibuild.buildx.rawjson_progress import Progress

CRASH = "qemu: uncaught target signal 11 (Segmentation fault) - core dumped"
STARTED = "2026-01-02T00:00:00Z"


class Build:
    """A build whose output, clock and processors a test controls."""

    def __init__(self, *, patience: float | None = 60.0, emulated=True, used: float | None = 0.0):
        self.now = 0.0
        self.used = used
        self.progress = Progress(lambda _line: None, lambda _step: None, clock=lambda: self.now)
        self.watch = HangWatch(
            self.progress, emulated=emulated, patience=patience, activity=self, clock=lambda: self.now
        )
        self.vertex()

    def processors(self, step):
        assert step == "[2/2] RUN make"
        return self.used

    def vertex(self, **more):
        step = {"digest": "v", "name": "[2/2] RUN make", "started": STARTED, **more}
        self.progress.feed(json.dumps({"vertexes": [step]}).encode())

    def print(self, *lines):
        for line in lines:
            data = base64.b64encode(f"{line}\n".encode()).decode()
            self.progress.feed(json.dumps({"logs": [{"vertex": "v", "data": data}]}).encode())

    @property
    def crash(self):
        crash = self.watch.crash
        assert crash is not None
        return crash

    def seconds_until_hung(self, limit=2000):
        """Ask every other second, as the process does; return when the watch called it hung, None if never."""
        end = self.now + limit
        while self.now < end:
            self.now += 2.0
            if self.watch.is_hung():
                return self.now
        return None


def test_a_step_that_is_silent_and_idle_after_a_crash_is_hung():
    build = Build()
    build.print("cc -c a.c", CRASH)
    assert 60 <= build.seconds_until_hung() <= 75
    assert build.crash.line == CRASH
    assert build.crash.failure.kind.name == "qemu-crash"
    assert "no output and no processor time for 1m" in build.watch.silence


def test_the_cause_is_found_however_far_above_the_end():
    build = Build()
    build.print(CRASH, *(f"Setting up package {n} ..." for n in range(500)))
    assert build.seconds_until_hung() is not None
    assert build.crash.line == CRASH
    assert "Setting up package 499" in build.crash.failure.evidence


def test_a_step_without_a_crash_may_be_silent_for_ever():
    build = Build()
    build.print("cc -c a.c", "Segmentation fault is what this test expects")
    assert build.seconds_until_hung() is None
    assert build.watch.crash is None


def test_a_step_that_computes_after_a_crash_goes_on():
    """configure runs programs that crash; what follows may be silent for long."""
    build = Build(used=2 * MAX_IDLE_PROCESSORS)
    build.print(CRASH)
    assert build.seconds_until_hung() is None
    build.used = MAX_IDLE_PROCESSORS / 2
    stopped = build.now
    assert 60 <= build.seconds_until_hung() - stopped <= 80


def test_a_step_that_prints_after_a_crash_goes_on():
    build = Build()
    build.print(CRASH)
    for _ in range(20):
        assert build.seconds_until_hung(40) is None
        build.print("still here")


def test_silence_must_be_longer_where_no_emulator_is_seen():
    build = Build(used=None)
    build.print(CRASH)
    assert 60 * UNSEEN_FACTOR <= build.seconds_until_hung() <= 60 * UNSEEN_FACTOR + 20
    assert build.watch.silence.startswith("no output for 10m")


def test_without_an_activity_nothing_is_seen():
    build = Build()
    build.watch = HangWatch(
        build.progress, emulated=True, patience=60.0, activity=None, clock=lambda: build.now
    )
    build.print(CRASH)
    assert build.seconds_until_hung() >= 60 * UNSEEN_FACTOR


def test_a_watch_without_patience_only_notes_the_crash():
    build = Build(patience=None)
    build.now = 30.0
    build.print(CRASH)
    assert build.seconds_until_hung() is None
    assert build.watch.crashed_after == 30.0


@pytest.mark.parametrize(
    "end", [{"completed": "2026-01-02T00:01:00Z"}, {"completed": STARTED, "error": "exit code: 139"}]
)
def test_a_step_that_ended_by_itself_did_not_hang(end):
    build = Build()
    build.print(CRASH)
    build.vertex(**end)
    assert build.seconds_until_hung() is None
    assert build.watch.crash is None


def test_a_step_that_was_cancelled_after_a_crash_has_crashed():
    build = Build()
    build.print(CRASH)
    build.vertex(completed=STARTED, error="process did not complete: context canceled")
    assert build.crash.line == CRASH
