"""Journals as damage, other versions and other machines leave them: what is bad is skipped, and the user is told."""

import json
from datetime import UTC, datetime

import pytest
from fakes.journals import read_events, write_events

from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.history import past_seconds, read_history
from multibuild.builds.resume import read_unfinished_runs
from multibuild.journal.events import AttemptEnded, PlatformEnded, RunStarted
from multibuild.journal.journal import (
    MAX_JOURNAL_BYTES,
    MAX_JOURNAL_VALUES,
    MAX_LINE_BYTES,
    read_journal,
    scan_journal,
)
from multibuild.journal.last_run import is_child, last_run, recorded_children
from multibuild.journal.runs import State
from multibuild.json_types import (
    MAX_JSON_DEPTH,
    has_shape,
    is_count,
    is_number,
    is_text,
    optional,
    parse_json,
)
from multibuild.report.html.page import as_html
from multibuild.report.markdown import as_markdown
from multibuild.report.report import make_report
from multibuild.report.summary import as_text

NOW = datetime(2026, 11, 24, 15, 45, 1, tzinfo=UTC)
GOOD = {"time": "2026-11-24T15:45:01.000+00:00", "name": "attempt.ended"}
FIELDS = {
    "platform": "linux/amd64",
    "number": 1,
    "seconds": 1.5,
    "outcome": "ok",
    "log": "logs/linux-amd64.1.log",
}
ENDED = {
    "platform": "linux/amd64",
    "status": "succeeded",
    "digest": "sha256:" + "a" * 64,
    "repository": "r.example/a",
}


def line(name="attempt.ended", time=GOOD["time"], **fields):
    return json.dumps({"time": time, "name": name, "fields": fields or FIELDS})


def raw(seconds):
    """A line whose `seconds` is written as it stands."""
    return line(**{**FIELDS, "seconds": 777}).replace("777", seconds)


STEP = {"name": "[1/1] RUN x", "seconds": 1, "cached": False}

BAD_LINES = {
    "NaN": raw("NaN"),
    "infinite": raw("Infinity"),
    "infinite after reading": raw("1e999"),
    "negative": raw("-1"),
    "negative and infinite": raw("-Infinity"),
    "a century": raw("3.2e9"),
    "an endless integer": raw("1" * 5000),
    "a large integer": raw("1" + "0" * 30),
    "a negative count": line(**{**FIELDS, "number": -1}),
    "a fraction for a count": line(**{**FIELDS, "number": 1.5}),
    "a bool for a count": line(**{**FIELDS, "number": True}),
    "no platform": line(**{key: value for key, value in FIELDS.items() if key != "platform"}),
    "null for a platform": line(**{**FIELDS, "platform": None}),
    "year 1 in the east": line(time="0001-01-01T00:00:00+23:59"),
    "year 9999 in the west": line(time="9999-12-31T23:59:59-23:59"),
    "year 9999 in Greenwich alone": line(time="9998-12-31T23:59:59-23:00"),
    "year 1969 in Greenwich alone": line(time="1970-01-01T00:00:00+01:00"),
    "year 9999": line(time="9999-06-01T00:00:00+00:00"),
    "before the epoch": line(time="1969-12-31T23:59:59+00:00"),
    "no time zone": line(time="2026-01-01T00:00:00"),
    "a zone of 25 hours": line(time="2026-01-01T00:00:00+25:00"),
    "a number for a time": line(time=1e18),
    "deep": '{"time":"2026-01-01T00:00:00+00:00","name":"n","fields":{"a":' + "[" * 500 + "]" * 500 + "}}",
    "deeper": "[" * 200_000,
    "no object": '["time", "name", "fields"]',
    "no text": '"' + "x" * 1000 + '"',
    "not UTF-8": '{"time":"\udcff"}',
    "UTF-16": "\udcff\udcfe{\x00}\x00",
    "steps without a name": line("platform.ended", **{**ENDED, "steps": [{}]}),
    "a step of no object": line("platform.ended", **{**ENDED, "steps": [7]}),
    "a step of negative time": line("platform.ended", **{**ENDED, "steps": [{**STEP, "seconds": -5}]}),
    "a step named by a list": line("platform.ended", **{**ENDED, "steps": [{**STEP, "name": []}]}),
    "a step of a platform of another type": line(
        "platform.ended", **{**ENDED, "steps": [{**STEP, "platform": []}]}
    ),
    "an error without a message": line("run.ended", status="failed", error={"hint": "h"}),
    "an error whose hint is a list": line(
        "run.ended", status="failed", error={"message": "m", "hint": ["h"]}
    ),
    "an index entry with a text for a platform": line(
        "index.composed", digest="d", mediaType="m", size=1, entries=1, manifests=[{"platform": "linux"}]
    ),
    "an index entry with a list of annotations": line(
        "index.composed", digest="d", mediaType="m", size=1, entries=1, manifests=[{"annotations": [1]}]
    ),
}


@pytest.fixture
def state(tmp_path):
    return State(tmp_path / "state")


def write(path, *lines):
    path.write_bytes("".join(f"{text}\n" for text in lines).encode("utf-8", "surrogateescape"))


@pytest.mark.parametrize("bad", BAD_LINES.values(), ids=BAD_LINES)
def test_a_bad_line_is_skipped_and_named_and_every_reader_goes_on(state, caplog, bad):
    run = state.new_run(NOW)
    run.save_plan({"image": "r.example/a", "platforms": []})
    write(run.journal_path, line(), bad, line("platform.ended", **ENDED))
    assert [event.name for event in run.events()] == ["attempt.ended", "platform.ended"]
    assert "1 unreadable line left out (line 2)" in caplog.text
    report = make_report(run.id, {}, read_journal(run.journal_path))
    for text in (as_text(report), as_markdown(report), as_html(report), json.dumps(report, allow_nan=False)):
        assert "linux/amd64" in text
    assert last_run(state.runs()) is not None
    assert past_seconds(state.runs()) == {("", "linux/amd64"): 1.5}
    assert read_history(state.runs(), PlanFingerprints(platforms={})).seconds == {"linux/amd64": 1.5}
    assert read_unfinished_runs(state, state.new_run(NOW)).ids == (run.id,)


def test_the_first_lines_that_were_left_out_are_named(tmp_path, caplog):
    write(tmp_path / "j", *["?"] * 7, line())
    assert len(read_events(tmp_path / "j")) == 1
    assert "7 unreadable lines left out (line 1, 2, 3, 4, 5, …)" in caplog.text


def test_a_journal_that_cannot_be_read_has_no_events_and_says_so(tmp_path, caplog):
    (tmp_path / "j").mkdir()
    assert read_events(tmp_path / "j") == ()
    assert "is no plain file: it is not read" in caplog.text


def test_a_line_of_excessive_length_is_skipped(tmp_path):
    long = line("n", text="x" * (3 * MAX_LINE_BYTES))
    write(tmp_path / "j", line(), long, line())
    reading = scan_journal(tmp_path / "j")
    assert (len(reading.entries), reading.damaged, reading.torn) == (2, (2,), False)


def test_a_journal_of_excessive_size_is_read_up_to_the_limit_and_this_is_said(tmp_path, caplog):
    with (tmp_path / "j").open("wb") as file:
        file.write(f"{line()}\n".encode())
        file.truncate(1 << 40)
    reading = scan_journal(tmp_path / "j")
    assert (len(reading.entries), reading.cut) == (1, True)
    assert len(read_journal(tmp_path / "j")) == 1
    assert "only its beginning is read" in caplog.text
    with (tmp_path / "j").open("r+b") as file:
        file.truncate(MAX_JOURNAL_BYTES)
    assert not scan_journal(tmp_path / "j").cut


def test_a_journal_of_very_many_values_is_read_up_to_the_limit(tmp_path):
    wide = line("n", list=[0] * 500_000)
    write(tmp_path / "j", *[wide] * (MAX_JOURNAL_VALUES // 500_000 + 1))
    reading = scan_journal(tmp_path / "j")
    assert reading.cut
    assert len(reading.entries) < MAX_JOURNAL_VALUES // 500_000 + 1


def test_a_line_of_very_many_values_is_skipped(tmp_path):
    write(tmp_path / "j", line("n", list=[0] * 1_100_000), line())
    assert scan_journal(tmp_path / "j").damaged == (1,)


@pytest.mark.parametrize(
    "time", ["1970-01-01T00:00:00+00:00", "9998-12-31T23:59:59+00:00", "2026-02-29T00:00:00Z"]
)
def test_times_of_machines_without_a_clock_are_read(tmp_path, time):
    write(tmp_path / "j", line(time=time), line())
    expected = 1 if time.startswith("2026-02-29") else 2
    entries = read_journal(tmp_path / "j")
    assert len(entries) == expected
    as_html(make_report("r", {}, entries))


def test_an_order_of_times_backwards_still_gives_a_report(tmp_path):
    times = ("9998-01-01T00:00:00Z", "1970-01-01T00:00:00Z", GOOD["time"])
    write(tmp_path / "j", *(line(time=time) for time in times), line("stage.started", stage="build"))
    report = make_report("r", {}, read_journal(tmp_path / "j"))
    assert report["seconds"] >= 0
    assert as_text(report)
    assert as_html(report)


def test_an_event_twice_and_of_another_version_is_read(tmp_path):
    write(tmp_path / "j", line(), line(), line("of.tomorrow", deep={"a": [1]}))
    assert [event.name for event in read_events(tmp_path / "j")] == ["attempt.ended"] * 2 + ["of.tomorrow"]


@pytest.mark.parametrize(
    ("repository", "digest", "valid"),
    [
        ("r.example/a", "sha256:" + "a" * 64, True),
        ("oci:children/linux-amd64", "sha256:" + "a" * 64, True),
        ("oci:children/../../x", "sha256:" + "a" * 64, False),
        ("oci:children/", "sha256:" + "a" * 64, False),
        ("oci:children/.hidden", "sha256:" + "a" * 64, False),
        ("r.example/A B", "sha256:" + "a" * 64, False),
        ("", "sha256:" + "a" * 64, False),
        ("r.example/a", "sha256:../../x", False),
        ("r.example/a", "latest", False),
        ("r.example/a\n", "sha256:" + "a" * 64, False),
    ],
)
def test_what_a_child_can_be(repository, digest, valid):
    assert is_child(repository, digest) is valid


def test_a_plan_without_platforms_has_children_all_the_same():
    events = [PlatformEnded(platform="linux/amd64", status="succeeded", digest="d", repository="r")]
    assert recorded_children({}, events)["linux/amd64"].repository == "r"


BAD_PLANS = [
    {"platforms": 7}, {"platforms": [7]}, {"platforms": [{}]}, {"platforms": [{"platform": "x", "staging": "y"}]},
    {"platforms": [{"platform": ["x"], "staging": {"reference": "y"}}]}, {"tags": 7}, {"tags": [7]}, {"image": {}},
    {"platforms": {"a": 1}}, {"fingerprint": 1.5},
]  # fmt: skip


@pytest.mark.parametrize("plan", BAD_PLANS)
def test_a_plan_of_another_shape_is_none(state, plan):
    run = state.new_run(NOW)
    run.save_plan(plan)
    write_events(run.journal_path, RunStarted(), PlatformEnded(platform="p", status="failed", digest=None))
    assert run.load_plan() is None
    assert last_run(state.runs()) is None


def test_a_good_run_before_a_bad_one_is_the_last_run(state):
    good = state.new_run(NOW)
    good.save_plan({"platforms": []})
    write_events(good.journal_path, PlatformEnded(platform="p", status="failed", digest=None))
    bad = state.new_run(NOW)
    bad.plan_path.write_text("[" * 100_000)
    bad.journal_path.mkdir()
    last = last_run(state.runs())
    assert last is not None
    assert last.run == good.id


def test_seconds_of_the_longest_attempt_are_in_the_history(state):
    run = state.new_run(NOW)
    for seconds in (2.0, 1.0):
        ended = AttemptEnded(platform="p", number=1, outcome="ok", log="", seconds=seconds)
        write_events(run.journal_path, ended)
    assert read_history(state.runs(), PlanFingerprints(platforms={})).seconds == {"p": 2.0}


# JSON.


@pytest.mark.parametrize(
    "text",
    ["NaN", "[Infinity]", "1e999", "-1e999", "1" * 19, "-" + "1" * 19, "[" * 101 + "]" * 101, "[" * 99999, "", "{", b"\xff",
     "{} x", "[" + "0," * 1_100_000 + "0]", "\ufeff{}", '{"a": 1e400}'],
)  # fmt: skip
def test_json_that_is_not_parsed(text):
    with pytest.raises(ValueError, match=r"."):
        parse_json(text)


@pytest.mark.parametrize(
    "value", [None, True, 0, -5, 10**17, 1.5, "x\u2028", [], {"a": [{}] * 300}, [[[1]], {}]]
)
def test_json_that_is_parsed(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (r'"a\ud800"', "a?"),
        (r'{"\uDFFF": ["\udc00"]}', {"?": ["?"]}),
        (r'"\ud83d\ude00"', "\U0001f600"),
        (r'"\\ud800"', r"\ud800"),
        (r'["\ud800", 1.5, null, 99]', ["?", 1.5, None, 99]),
    ],
)
def test_halves_of_surrogate_pairs_are_replaced(text, value):
    assert parse_json(text) == value


def test_json_of_the_allowed_depth_is_parsed():
    assert parse_json("[" * MAX_JSON_DEPTH + "]" * MAX_JSON_DEPTH)


@pytest.mark.parametrize(
    ("value", "shape", "matches"),
    [
        ({"a": 1}, {"a": is_count}, True),
        ({"a": 1, "b": 2}, {"a": is_count}, True),
        ({}, {"a": is_count}, False),
        ({}, {"a?": is_count}, True),
        ({"a": None}, {"a?": is_count}, False),
        ({"a": None}, {"a?": optional(is_count)}, True),
        ([], {"a?": is_count}, False),
        ([1, 2], [is_count], True),
        ([1, "2"], [is_count], False),
        ({"0": 1}, [is_count], False),
        (True, is_count, False),
        (True, is_number, False),
        (-1, is_count, False),
        (-1.5, is_number, True),
        (float("nan"), is_number, False),
        ("x", is_text, True),
    ],
)
def test_shapes(value, shape, matches):
    assert has_shape(value, shape) is matches
