"""Gates in the report: its rows, the summary, Markdown, the page, GitHub's annotations, and the texts of a run."""

import pytest
from unit.report.sample_runs import HOSTILE, RUN, STARTED, built, events, plan, published
from unit.report.test_html import Page

from multibuild.cli.display.event_text import sentence
from multibuild.cli.display.row import Row
from multibuild.cli.github import annotate
from multibuild.journal.entry import read_event
from multibuild.journal.events import PlatformEvent
from multibuild.journal.shapes import REPORT
from multibuild.json_types import has_shape
from multibuild.report.html.page import as_html
from multibuild.report.markdown import as_markdown
from multibuild.report.report import make_report
from multibuild.report.summary import as_text

AMD64, ARM64 = "linux/amd64", "linux/arm64"
ENDED = (9, "run.ended", {"status": "succeeded", "error": None})
SCAN = {"gate": "scan", "required": True, "seconds": 1.5}
PASSED = {**SCAN, "status": "passed", "log": "logs/x.gate-scan.log"}
FAILED = {**PASSED, "status": "failed", "reason": "exit code 1", "detail": "one <finding>"}
NOT_RUN = {**SCAN, "status": "not-run", "reason": "no end after 1.0s", "hint": "raise `timeout`"}
NOTED = {**FAILED, "gate": "board", "required": False}


def report(*gates, optional=(), configured=True):
    """Return the report of two platforms; `gates` are those of arm64."""
    document = {
        **plan(AMD64, ARM64, optional=optional),
        **({"gates": [{"name": "scan"}]} if configured else {}),
    }
    rows = [(5, "gate.ended", {"platform": AMD64, **PASSED})] if gates else []
    rows += [(5, "gate.ended", {"platform": ARM64, **gate}) for gate in gates]
    built_rows = (*built(AMD64, 1, 2), *built(ARM64, 1, 4))
    return make_report(RUN, document, events(STARTED, *built_rows, *rows, *published(6), ENDED))


def cell(*gates):
    """Return the word under GATES."""
    heading, _, row, *_ = as_text(report(*gates)).splitlines()
    start = heading.index("GATES")
    return row[start:].split("  ")[0]


def test_a_report_has_the_gates_of_each_platform():
    first, second = report(FAILED, NOTED)["platforms"]
    assert first["gates"] == [
        {"name": "scan", "status": "passed", "required": True, "seconds": 1.5, "log": "logs/x.gate-scan.log"}
    ]
    assert [gate["name"] for gate in second["gates"]] == ["scan", "board"]
    assert second["gates"][0]["detail"] == "one <finding>"
    assert has_shape(report(FAILED, NOTED), REPORT)


def test_where_none_is_configured_there_is_no_key_and_no_column():
    plain = report(configured=False)
    assert all("gates" not in row for row in plain["platforms"])
    assert not any("gate" in text.lower() for text in (as_text(plain), as_markdown(plain)))
    assert [row["gates"] for row in report()["platforms"]] == [[], []]


@pytest.mark.parametrize(
    ("gates", "word"),
    [
        ([], "-"),
        ([PASSED], "ok"),
        ([FAILED], "failed"),
        ([NOT_RUN], "not run"),
        ([NOT_RUN, FAILED], "failed"),
        ([PASSED, NOTED], "failed?"),
        ([NOT_RUN, NOTED], "not run"),
        ([{**NOT_RUN, "required": False}], "not run?"),
    ],
)
def test_the_word_for_the_gates_of_a_platform(gates, word):
    assert cell(*gates) == word


def test_a_platform_that_a_gate_held_back_is_missing_in_the_index():
    assert report(FAILED, optional={ARM64})["status"] == "partial"
    assert report(NOT_RUN, optional={ARM64})["status"] == "partial"
    assert report(NOTED)["status"] == "succeeded"


def test_the_summary_shows_the_reason_the_last_lines_and_the_log():
    text = as_text(report(FAILED, NOT_RUN))
    assert (
        "linux/arm64: gate scan failed: exit code 1\n    one <finding>\n  log: logs/x.gate-scan.log\n"
        "linux/arm64: gate scan could not be run: no end after 1.0s\n  hint: raise `timeout`\n"
    ) in text
    assert "gate board failed (optional): exit code 1" in as_text(report(NOTED))
    assert max(map(len, text.splitlines())) <= 80


def test_markdown_shows_a_no_in_the_open():
    text = as_markdown(report(NOTED))
    assert "| test | content | gates | digest |" in text
    assert "gate board failed" in text
    assert "Retried" not in text


def test_the_page_shows_gates_and_links_their_logs():
    page = Page()
    page.feed(as_html(report(FAILED, NOTED)))
    texts = [text for _, text in page.texts]
    assert "Gates" in texts
    assert "Gate scan failed: exit code 1" in texts
    assert "one <finding>" in texts
    assert "./logs/x.gate-scan.log" in page.values("href")
    assert "failure bad" in page.values("class")
    only_noted = Page()
    only_noted.feed(as_html(report(NOTED)))
    assert "failure bad" not in only_noted.values("class")


def test_a_no_is_an_annotation_and_that_of_an_optional_gate_a_warning():
    (line,) = annotate(report(FAILED))
    assert line == "::error title=linux/arm64%3A gate scan failed%3A exit code 1::one <finding>"
    (line,) = annotate(report(NOTED))
    assert line.startswith("::warning title=linux/arm64%3A gate board failed (optional)")
    error = {"message": "no", "hint": None}
    assert len(list(annotate({**report(FAILED), "error": error}))) == 1
    assert len(list(annotate({**report(NOTED), "error": error}))) == 2


def test_what_a_program_prints_is_harmless_everywhere():
    hostile = {**FAILED, "gate": "a", "reason": HOSTILE, "detail": HOSTILE, "hint": HOSTILE, "log": HOSTILE}
    found = report(hostile)
    page = Page()
    page.feed(as_html(found))
    assert "\x1b" not in as_text(found)
    assert "<script" not in as_markdown(found).split("```")[0]
    assert all("\n" not in line and "\x1b" not in line for line in annotate(found))


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("gate.started", {"gate": "scan"}, "gate scan runs"),
        ("gate.ended", PASSED, "gate scan passed"),
        ("gate.ended", FAILED, "gate scan failed: exit code 1"),
        ("gate.ended", NOT_RUN, "gate scan could not be run: no end after 1.0s"),
    ],
)
def test_a_run_shows_its_gates(name, fields, text):
    event = read_event(name, {"platform": ARM64, **fields})
    assert isinstance(event, PlatformEvent)
    row = Row(name=ARM64, last="before")
    row.fold(event, 0.0)
    assert sentence(event) == row.step == text
    assert row.last == fields.get("detail", "")
