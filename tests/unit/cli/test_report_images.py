"""`report` takes names of images, of a run or of the newest."""

import json
from datetime import UTC, datetime

import pytest
from fakes.journals import NOON
from unit.report.sample_runs import built, plan

from multibuild.cli.startup import main
from multibuild.journal.entry import JournalEntry, read_event
from multibuild.journal.journal import Journal
from multibuild.journal.runs import State

PLATFORMS = ("linux/amd64", "linux/arm64")


def planned():
    """Return the plan of an image as a run's directory has it."""
    document = plan(*PLATFORMS)
    rows = [
        {**row, "staging": {"kind": "digest", "reference": "r.example/app"}} for row in document["platforms"]
    ]
    return {**document, "platforms": rows}


def new_run(state, *names):
    """Write a run that built an image without a name, or those with names, and return its id."""
    run = state.new_run(datetime(2026, 1, 2, tzinfo=UTC))
    parts = [{"name": name, **planned()} for name in names]
    run.save_plan({"schema": 2, "images": parts} if names else planned())
    rows = [
        (image, name, fields)
        for image in names or ("",)
        for platform in PLATFORMS
        for _, name, fields in built(platform, 1, 2)
    ]
    rows = [("", "run.started", {}), *rows, ("", "run.ended", {"status": "succeeded", "error": None})]
    with Journal(run.journal_path) as journal:
        for image, name, fields in rows:
            journal.append(JournalEntry(time=NOON, event=read_event(name, fields), image=image))
    return run.id


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


@pytest.fixture
def report(state, tmp_path, capsys):
    def run(*words):
        file = str(tmp_path / "multibuild.yaml")
        code = main(["report", *words, "--json", "-f", file, "--state-dir", str(state.path)])
        out, err = capsys.readouterr()
        return code, [image["name"] for image in json.loads(out)["images"]] if out else [], err

    return run


@pytest.mark.parametrize(
    ("words", "names"),
    [
        ((), ["app", "worker", "debug"]),
        (("worker",), ["worker"]),
        (("debug", "app", "debug"), ["debug", "app"]),
        (("latest", "worker"), ["worker"]),
    ],
)
def test_the_named_images_of_the_newest_run(state, report, words, names):
    new_run(state)
    new_run(state, "app", "worker", "debug")
    assert report(*words) == (0, names, "")


def test_the_named_images_of_a_run(state, report):
    first = new_run(state, "app", "worker")
    new_run(state, "app")
    assert report(first, "worker")[1] == ["worker"]
    code, _, err = report("worker")
    assert (code, "has no image 'worker'" in err, "there are app" in err) == (2, True, True)


def test_a_name_in_a_run_of_one_image_is_no_run(state, report):
    run = new_run(state)
    code, _, err = report("app")
    assert (code, "'app' is no run" in err) == (2, True)
    code, _, err = report(run, "app")
    assert (code, "has no image 'app'" in err, "its file has one, without a name" in err) == (2, True, True)
