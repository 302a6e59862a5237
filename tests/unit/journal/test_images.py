"""A run of several images, as each of its images sees it."""

from datetime import UTC, datetime

import pytest
from fakes.journals import write_events

from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    Event,
    IndexComposed,
    InputsHeld,
    PlatformEnded,
    RunConfirmed,
    RunEnded,
    RunStarted,
    TagPlanned,
)
from multibuild.journal.journal import Journal
from multibuild.journal.local_children import export_folder
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import State

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DIGEST = "sha256:" + "a" * 64
OF_THE_RUN = (RunStarted(command="publish"), RunConfirmed(command="publish"), RunEnded(status="failed"))
OF_AN_IMAGE = (
    PlatformEnded(platform="linux/amd64", status="succeeded", digest=DIGEST),
    InputsHeld(),
    TagPlanned(ref="r.example/a:1", before=None, after=DIGEST),
    IndexComposed(digest=DIGEST, media_type="m", size=1, entries=1),
)


class Silent:
    def __init__(self):
        self.texts = []
        self.entries = []

    def show(self, entry):
        self.entries.append(entry)

    def say(self, text):
        self.texts.append(text)

    def close(self):
        pass


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


def test_an_image_sees_its_own_events_and_those_of_the_run(state):
    run, display = state.new_run(NOW), Silent()
    with Journal(run.journal_path) as journal:
        recorder = Recorder(journal, display)
        recorder.record(OF_THE_RUN[0])
        for event in OF_AN_IMAGE:
            recorder.of_image("app").record(event)
        recorder.of_image("worker").record(OF_AN_IMAGE[0])
        recorder.record(OF_THE_RUN[2])
        recorder.of_image("app").record(OF_AN_IMAGE[0])  # after the end: dropped
        recorder.of_image("app").say("late")
    assert run.of_image("app").events() == (OF_THE_RUN[0], *OF_AN_IMAGE, OF_THE_RUN[2])
    assert run.of_image("worker").events() == (OF_THE_RUN[0], OF_AN_IMAGE[0], OF_THE_RUN[2])
    assert run.of_image("other").events() == (OF_THE_RUN[0], OF_THE_RUN[2])
    assert run.events() == (OF_THE_RUN[0], OF_THE_RUN[2])
    assert [entry.image for entry in display.entries] == ["", *["app"] * 4, "worker", ""]
    assert display.texts == []


@pytest.mark.parametrize("event", OF_AN_IMAGE)
def test_an_image_sees_nothing_of_a_run_whose_file_described_one(state, event):
    run = state.new_run(NOW)
    write_events(run.journal_path, *OF_THE_RUN[:2], event)
    assert run.events() == (*OF_THE_RUN[:2], event)
    assert run.of_image("app").events() == OF_THE_RUN[:2]


def test_listeners_hear_the_events_of_their_image():
    recorder = Recorder(None, Silent())
    app, worker = recorder.of_image("app"), recorder.of_image("worker")
    heard: list[Event] = []
    with app.listening(heard.append):
        app.record(OF_AN_IMAGE[0])
        worker.record(OF_AN_IMAGE[1])
        recorder.record(OF_THE_RUN[0])
    assert heard == [OF_AN_IMAGE[0]]


def test_a_message_of_an_image_names_it():
    display = Silent()
    Recorder(None, display).of_image("app").say("node n does not answer")
    assert display.texts == ["app: node n does not answer"]


def test_the_files_of_an_image_are_in_a_directory_of_its_own(state):
    run = state.new_run(NOW)
    image = run.of_image("app")
    assert image.log_name("linux-amd64", 2) == "images/app/logs/linux-amd64.2.log"
    assert export_folder("linux-amd64", image) == run.path / "images/app/children/.linux-amd64"
    assert export_folder("linux-amd64", run) == run.path / "children/.linux-amd64"
    run.remove_children()
    assert not image.children.exists()
    assert not run.children.exists()
    assert image.folder.exists()


def test_the_plan_of_an_image_is_a_part_of_the_runs(state):
    run = state.new_run(NOW)
    parts = [{"name": "app", "image": "r.example/app"}, {"name": "worker", "image": "r.example/worker"}]
    run.save_plan({"schema": 2, "images": parts})
    assert run.of_image("worker").load_plan() == parts[1]
    assert run.of_image("other").load_plan() is None
    assert [view.image for view in run.views()] == ["app", "worker"]
    run.save_plan({"schema": 1, "image": "r.example/app"})
    assert run.of_image("app").load_plan() is None
    assert run.views() == (run,)


def test_the_runs_of_an_images_state_are_as_it_sees_them(state):
    state.new_run(NOW)
    newest = state.new_run(NOW)
    assert state.of_image("app").latest() == newest.of_image("app")
    assert {run.image for run in state.of_image("app").runs()} == {"app"}


def test_the_name_of_an_image_in_a_journal_is_no_path():
    entry = JournalEntry(time=NOW, event=OF_AN_IMAGE[0], image="app").to_json()
    assert JournalEntry.from_json(entry).image == "app"
    assert JournalEntry.from_json({**entry, "image": "_App-"}).image == "_App-"
    for name in ("../x", "a/b", ".", "-x", "a" * 200, 1, None, ["a"]):
        with pytest.raises(ValueError, match="no name of an image"):
            JournalEntry.from_json({**entry, "image": name})
