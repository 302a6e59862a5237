"""The recorder: events that are journaled, and those that are only shown."""

import os
from datetime import UTC

import pytest
from fakes.journals import read_events

from multibuild.errors import EnvironmentFault
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    AttemptStarted,
    ChildRead,
    ContentEnded,
    InputsHeld,
    LogLine,
    PlatformEnded,
    PlatformInputs,
    RunEnded,
    RunStarted,
    SmokeTestEnded,
    StageEnded,
    StageStarted,
    StepStarted,
    TagEnded,
    TagPlanned,
)
from multibuild.journal.journal import Journal
from multibuild.journal.recorder import Recorder


class DisplaySpy:
    """Records everything that is shown."""

    def __init__(self) -> None:
        self.entries: list[JournalEntry] = []
        self.messages: list[str] = []

    @property
    def shown(self):
        return [entry.event for entry in self.entries]

    def show(self, entry: JournalEntry) -> None:
        self.entries.append(entry)

    def say(self, text: str) -> None:
        self.messages.append(text)

    def close(self) -> None:
        pass


class ClosedPipe:
    """A display without a reader."""

    def show(self, entry: JournalEntry) -> None:
        raise BrokenPipeError

    def say(self, text: str) -> None:
        raise BrokenPipeError

    def close(self) -> None:
        pass


ARM = "linux/arm64"
STARTED = AttemptStarted(platform=ARM, number=1, node="n", log="logs/linux-arm64.1.log")
READ = ChildRead(platform=ARM, manifest="sha256:c", bytes=1)
MOVED = TagEnded(ref="r:1", before=None, after="sha256:d", status="moved")


def test_events_go_to_the_journal_and_the_display(tmp_path):
    events = [STARTED, StepStarted(platform=ARM, step="RUN make"), LogLine(platform=ARM, text="cc")]
    display = DisplaySpy()
    with Journal(tmp_path / "j") as journal:
        recorder = Recorder(journal, display)
        for event in events:
            recorder.record(event)
        recorder.say("hello")
    assert read_events(tmp_path / "j") == (STARTED,)
    assert display.shown == events
    assert {entry.time.tzinfo for entry in display.entries} == {UTC}
    assert display.messages == ["hello"]


def test_a_durable_event_is_on_the_disk_before_the_run_goes_on(tmp_path, monkeypatch):
    path, synced, fsync = tmp_path / "j", [0], os.fsync

    def watched(file):
        fsync(file)
        synced[0] = path.stat().st_size

    with Journal(path) as journal:
        monkeypatch.setattr(os, "fsync", watched)
        recorder = Recorder(journal, DisplaySpy())
        for event in (
            PlatformInputs(platform=ARM, inputs="a", parts={}),
            STARTED,
            READ,
            ContentEnded(platform=ARM, status="passed"),
        ):
            recorder.record(event)
            # Written, so that a kill does not lose it; the disk is not waited for.
            assert read_events(path)[-1] == event
        assert synced == [0]
        for durable in (
            PlatformEnded(platform=ARM, status="succeeded", digest="sha256:c"),
            TagPlanned(ref="r:1", before=None, after="sha256:d"),
            MOVED,
            InputsHeld(),
            StageEnded(stage="build", seconds=1.0),
            RunEnded(status="succeeded"),
        ):
            recorder.record(durable)
            assert synced == [path.stat().st_size]
        recorder = Recorder(journal, DisplaySpy())
        recorder.record(SmokeTestEnded(platform=ARM, status="failed"))
        assert synced[0] < path.stat().st_size
    # `multibuild test` writes nothing after it.
    assert synced == [path.stat().st_size]


def test_the_end_of_a_failed_stage_is_recorded():
    display = DisplaySpy()
    with pytest.raises(KeyError), Recorder(None, display).stage("build"):
        raise KeyError
    started, ended = display.shown
    assert (started, ended.stage) == (StageStarted(stage="build"), "build")
    assert isinstance(ended, StageEnded)
    assert ended.seconds >= 0


def test_a_closed_pipe_does_not_end_the_run(tmp_path):
    with Journal(tmp_path / "j") as journal:
        recorder = Recorder(journal, ClosedPipe())
        recorder.record(RunStarted())
        recorder.say("hello")
    assert len(read_events(tmp_path / "j")) == 1


def test_an_event_that_cannot_be_journaled_is_not_shown(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.close()
    display = DisplaySpy()
    with pytest.raises(EnvironmentFault, match="journal cannot be written"):
        Recorder(journal, display).record(MOVED)
    assert display.shown == []


def test_events_after_the_end_of_a_run_are_dropped(tmp_path):
    """A thread that still runs goes on recording until the process ends."""
    display = DisplaySpy()
    with Journal(tmp_path / "journal.jsonl") as journal:
        recorder = Recorder(journal, display)
        recorder.record(RunEnded(status="interrupted"))
        recorder.record(READ)
        recorder.say("waiting for a registry")
    assert read_events(tmp_path / "journal.jsonl") == (RunEnded(status="interrupted"),)
    assert (display.shown, display.messages) == ([RunEnded(status="interrupted")], [])
