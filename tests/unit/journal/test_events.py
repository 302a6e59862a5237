"""The journal's form of every event: that of version 0.1."""

import json
from pathlib import Path

import pytest
from fakes.journals import NOON

from multibuild.journal.entry import JournalEntry, MalformedEvent, read_event, types_of
from multibuild.journal.events import (
    EVENTS,
    JSON_KEYS,
    Event,
    PlatformEnded,
    PlatformInputs,
    RunEnded,
    UnknownEvent,
)
from multibuild.journal.journal import read_journal, scan_journal
from multibuild.report.report import make_report

HERE = Path(__file__).parent
OLD = HERE / "journal-0.1.jsonl"
LINES = OLD.read_text().splitlines()
RUN = "20261124-154501-3f2a"
ROWS = [
    {"platform": f"linux/{name}", "required": name != "mips64le", "emulated": name != "amd64", "node": "b"}
    for name in ("amd64", "arm64", "mips64le", "s390x", "riscv64")
]
PLAN = {"image": "r.example/app", "tags": ["1", "latest"], "fingerprint": "f" * 64, "platforms": ROWS}
OBJECTS = {
    "steps": [{"name": "RUN make", "seconds": 1.5, "cached": False, "k": "v"}],
    "manifests": [{"digest": "sha256:d", "k": "v"}],
    "origins": [{"path": "/app", "text": "/app is amd64: in layer 1 of 2", "layer": 1}],
    "error": {"message": "m", "k": "v"},
}
SAMPLES = {"str": "x", "int": 3, "float": 1.5, "bool": True, "tuple": ["x"], "Mapping": {"k": "v"}}


def sample(kind, name):
    """Every field of an event with a value of its type, in the journal's form."""
    values = {
        key: SAMPLES[str(text).split("[")[0].split(" ")[0]] for key, text in kind.__annotations__.items()
    }
    values |= {key: value for key, value in OBJECTS.items() if key in values}
    platform = {"platform": "linux/arm64"} if "platform" in types_of(name) else {}
    return platform | {JSON_KEYS.get(key, key): value for key, value in values.items()}


@pytest.mark.parametrize(("name", "kind"), EVENTS.items())
def test_every_event_is_read_as_it_was_written(name, kind):
    event = read_event(name, sample(kind, name))
    assert type(event) is kind
    entry = JournalEntry(time=NOON, event=event)
    written = json.loads(json.dumps(entry.to_json()))
    assert written["fields"] == sample(kind, name)
    assert JournalEntry.from_json(written) == entry


@pytest.mark.parametrize(("name", "kind"), EVENTS.items())
def test_no_field_may_be_of_another_type(name, kind):
    for key in sample(kind, name):
        with pytest.raises(MalformedEvent, match=name):
            read_event(name, {**sample(kind, name), key: b"?"})


SINCE = {"child.handed_over", "gate.started", "gate.ended", "image.signed"}
"""Events that came later."""


def test_every_event_of_version_0_1_has_a_class():
    assert {json.loads(line)["name"] for line in LINES} | {"step", "log"} == set(EVENTS) - SINCE


@pytest.mark.parametrize("line", LINES)
def test_a_line_of_version_0_1_is_written_as_it_was(line):
    written = JournalEntry.from_json(json.loads(line)).to_json()
    assert json.dumps(written, ensure_ascii=False, separators=(",", ":")) == line


def test_a_journal_of_version_0_1_gives_the_same_report():
    report = make_report(RUN, PLAN, read_journal(OLD))
    assert json.dumps(report) == json.dumps(json.loads((HERE / "report-0.1.json").read_text()))


@pytest.mark.parametrize("damage", ['{"time"', "\x00\x00", None])
def test_a_damaged_journal_still_gives_a_report(tmp_path, damage):
    bad = {"status": 7, "stage": [], "stamp": 1, "ref": {}}
    for number, line in enumerate(LINES):
        cut = json.dumps({**json.loads(line), "fields": bad})
        (tmp_path / "j").write_text("\n".join([*LINES[:number], damage or cut, *LINES[number + 1 :], ""]))
        reading = scan_journal(tmp_path / "j")
        assert reading.damaged == ((number + 1,) if len(reading.entries) < len(LINES) else ())
        rows = make_report(RUN, PLAN, reading.entries)["platforms"]
        assert [row["platform"] for row in rows] == [row["platform"] for row in ROWS]


def test_a_missing_field_has_its_default_or_is_null():
    old = read_event("platform.ended", {"platform": "linux/arm64", "status": "failed", "later": [1]})
    assert old == PlatformEnded(platform="linux/arm64", status="failed", digest=None)
    assert "steps" not in old.to_json()
    assert old.to_json()["digest"] is None
    assert read_event("platform.inputs", {"platform": "p", "parts": {}}) == PlatformInputs(
        platform="p", inputs=None, parts={}
    )
    assert read_event("run.ended", {"status": "succeeded"}) == RunEnded(status="succeeded")


@pytest.mark.parametrize(
    "fields", [{}, {"status": None}, {"status": True}, {"status": "failed", "error": []}]
)
def test_a_known_event_without_its_fields_is_malformed(fields):
    with pytest.raises(MalformedEvent, match=r"run\.ended"):
        read_event("run.ended", fields)


@pytest.mark.parametrize("seconds", [1, 1.5, True, "1"])
def test_a_number_is_no_bool_and_no_text(seconds):
    fields = {"stage": "build", "seconds": seconds}
    if type(seconds) in {int, float}:
        assert read_event("stage.ended", fields).to_json() == fields
    else:
        with pytest.raises(MalformedEvent):
            read_event("stage.ended", fields)


def test_an_event_of_another_version_is_kept():
    event = read_event("new.thing", {"name": "x", "list": [1]})
    assert event == UnknownEvent(name="new.thing", fields={"name": "x", "list": [1]})
    assert event.to_json() == {"name": "x", "list": [1]}


def test_the_display_alone_has_steps_and_their_output():
    shown: set[type[Event]] = {kind for kind in EVENTS.values() if not kind.journaled}
    assert {kind.name for kind in shown} == {"step", "log", "gate.started"}
