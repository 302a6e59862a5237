"""The recorder: what is journaled, what is only shown."""

import os
from datetime import UTC

import pytest

from multibuild.errors import EnvironmentFault
from multibuild.journal.events import Event
from multibuild.journal.journal import Journal, read_journal
from multibuild.journal.recorder import Recorder


class KeepingDisplay:
    """Keeps everything."""

    def __init__(self) -> None:
        self.shown: list[Event] = []
        self.said: list[str] = []

    def show(self, event: Event) -> None:
        self.shown.append(event)

    def say(self, text: str) -> None:
        self.said.append(text)

    def close(self) -> None:
        pass


class ClosedPipe:
    """What a display is whose reader has gone."""

    def show(self, event: Event) -> None:
        raise BrokenPipeError

    def say(self, text: str) -> None:
        raise BrokenPipeError

    def close(self) -> None:
        pass


def test_events_go_to_the_journal_and_the_display(tmp_path):
    display = KeepingDisplay()
    with Journal(tmp_path / "j") as journal:
        recorder = Recorder(journal, display)
        recorder.record("attempt.started", platform="linux/arm64", number=1)
        recorder.record("step", platform="linux/arm64", name="RUN make")
        recorder.record("log", platform="linux/arm64", text="cc")
        recorder.say("hello")
    (kept,) = read_journal(tmp_path / "j")
    assert (kept.name, kept.fields) == ("attempt.started", {"platform": "linux/arm64", "number": 1})
    assert [event.name for event in display.shown] == ["attempt.started", "step", "log"]
    assert display.shown[1].fields["name"] == "RUN make"
    assert {event.time.tzinfo for event in display.shown} == {UTC}
    assert display.said == ["hello"]


def test_what_a_run_must_not_lose_is_on_the_disk_before_it_goes_on(tmp_path, monkeypatch):
    path, synced, fsync = tmp_path / "j", [0], os.fsync

    def watched(file):
        fsync(file)
        synced[0] = path.stat().st_size

    with Journal(path) as journal:
        monkeypatch.setattr(os, "fsync", watched)
        recorder = Recorder(journal, KeepingDisplay())
        for name in ("platform.inputs", "attempt.started", "content.ended"):
            recorder.record(name, platform="linux/arm64")
            # Written, so that a kill does not lose it; the disk is not waited for.
            assert read_journal(path)[-1].name == name
        assert synced == [0]
        for name in ("platform.ended", "tag.planned", "tag.ended", "inputs.held", "stage.ended", "run.ended"):
            recorder.record(name)
            assert synced == [path.stat().st_size]
        recorder = Recorder(journal, KeepingDisplay())
        recorder.record("test.ended", platform="linux/arm64", status="failed")
        assert synced[0] < path.stat().st_size
    # `multibuild test` writes nothing after it.
    assert synced == [path.stat().st_size]


def test_a_stage_ends_also_when_it_fails():
    display = KeepingDisplay()
    with pytest.raises(KeyError), Recorder(None, display).stage("build"):
        raise KeyError
    assert [event.name for event in display.shown] == ["stage.started", "stage.ended"]
    assert display.shown[1].fields["stage"] == "build"
    assert display.shown[1].fields["seconds"] >= 0


def test_a_reader_that_left_does_not_end_the_run(tmp_path):
    with Journal(tmp_path / "j") as journal:
        recorder = Recorder(journal, ClosedPipe())
        recorder.record("run.started")
        recorder.say("hello")
    assert len(read_journal(tmp_path / "j")) == 1


def test_what_cannot_be_journaled_is_not_shown_as_done(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.close()
    display = KeepingDisplay()
    with pytest.raises(EnvironmentFault, match="journal cannot be written"):
        Recorder(journal, display).record("tag.ended")
    assert display.shown == []


def test_nothing_comes_after_the_end_of_a_run(tmp_path):
    """A thread that was left behind goes on telling until the process ends."""
    display = KeepingDisplay()
    with Journal(tmp_path / "journal.jsonl") as journal:
        recorder = Recorder(journal, display)
        recorder.record("run.ended", status="interrupted")
        recorder.record("child.read", platform="linux/arm64")
        recorder.say("waiting for a registry")
    assert [event.name for event in read_journal(tmp_path / "journal.jsonl")] == ["run.ended"]
    assert ([event.name for event in display.shown], display.said) == (["run.ended"], [])
