"""The report for a terminal: widths, one screen, and hostile text."""

import re

import pytest
from unit.report.sample_runs import (
    CHILD,
    INDEX,
    NAMES,
    STARTED,
    TRACE,
    hostile_report,
    older_report,
    partial_run,
    plan,
    retried,
    run_of,
    traced_run,
)
from unit.report.sample_runs import report_of as fold

from multibuild.report.summary import as_text, grouped_tags


def report_of(*events, optional=(), names=NAMES):
    return fold(plan(*names, optional=optional), STARTED, *events)


def test_the_text_of_a_partial_run():
    assert as_text(partial_run()).splitlines() == [
        "PLATFORM        STATUS       TIME  TRIES  TEST  CONTENT  DIGEST",
        "linux/amd64     succeeded    3.0s      1  -     -        aaaaaaaaaaaa",
        "linux/arm/v7    succeeded  1m 03s      1  -     -        aaaaaaaaaaaa",
        "linux/mips64le  failed?      7.0s      1  -     -",
        "? optional: the index is published without it when it fails",
        "",
        f"index {INDEX}",
        "      2 entries, 900 B, vnd.oci.image.index.v1+json",
        "  → r.example/app:latest  moved",
        "",
        "linux/mips64le: attempt 1 failed: step-failed (permanent), logs/linux-mips64le.1.log",
        "    cc: error",
        "    no <b>luck</b> | `here`",
        "  hint: look at the step",
        "",
        "logs: runs/20261124-154501-3f2a/logs in the state directory",
        "partial in 1m 11s, run 20261124-154501-3f2a",
    ]


def test_the_widest_table_fits_80_columns():
    """Every cell has its longest text; the digest, in the last column, is whole."""
    events = []
    for name in ("linux/mips64le", "linux/arm64/v8.9"):
        ended = {"platform": name, "status": "succeeded", "digest": CHILD, "seconds": 3599}
        proof = {"platform": name, "status": "failed"}
        events += [(1, "platform.ended", ended), (2, "test.ended", proof), (2, "content.ended", proof)]
    report = report_of(*events, optional={"linux/arm64/v8.9"}, names=("linux/arm64/v8.9",))
    rows = as_text(report).splitlines()
    assert max(map(len, rows)) <= 80
    assert rows[1].endswith("failed  failed   aaaaaaaaaaaa")


def test_an_interrupted_run_without_platforms():
    report = fold({})
    assert as_text(report) == f"interrupted in 0.0s, run {report['run']}"


def test_an_error_has_its_hint():
    error = {"message": "the <registry> is away", "hint": "try later", "exit_code": 3}
    report = report_of((1, "run.ended", {"status": "failed", "error": error}))
    assert "error: the <registry> is away\nhint:  try later" in as_text(report)


def proofs_of_a_failed_test(**content):
    ended = {"platform": "linux/amd64", "status": "succeeded", "digest": CHILD, "seconds": 1}
    test = {"platform": "linux/amd64", "status": "failed", "detail": "exec /app: no such file or directory"}
    events = (1, "platform.ended", ended), (2, "test.ended", test)
    return as_text(report_of(*events, (2, "content.ended", {"platform": "linux/amd64", **content})))


def test_a_failed_test_is_shown_with_what_the_proof_noted():
    """The kernel's words do not name the loader, and the proof does."""
    text = proofs_of_a_failed_test(
        status="passed", checked=1, detail="/app needs /lib/ld.so, which is not in the image"
    )
    assert (
        "linux/amd64: test failed\n"
        "    exec /app: no such file or directory\n"
        "  noted in its files: /app needs /lib/ld.so, which is not in the image\n"
    ) in text


@pytest.mark.parametrize(
    "content",
    [
        {"status": "passed", "checked": 1},
        {"status": "failed", "detail": "x"},
        {"status": "skipped", "detail": "x"},
    ],
)
def test_a_proof_without_a_note_adds_nothing_to_a_failed_test(content):
    assert "noted in its files" not in proofs_of_a_failed_test(**content)


def test_a_success_after_a_retry_shows_the_failed_attempt():
    failure = {"outcome": "failed", "class": "killed", "retry": "transient"}
    text = as_text(report_of(*retried(NAMES[0], **failure)))
    assert "linux/amd64: attempt 1 failed: killed (transient), logs/linux-amd64.1.log" in text


def test_text_has_no_terminal_control_characters():
    text = as_text(hostile_report())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)
    table = text.split("\n\n")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert "    and 4 more" in text


@pytest.mark.parametrize("tags", [1, 3])
def test_a_dozen_platforms_fit_one_screen(tags):
    """24 lines of 80 columns, including the two after the summary, with the path of the page."""
    report = run_of(12)
    report["published"] = [{"ref": f"r.example/app:{tag}", "status": "moved"} for tag in range(tags)]
    lines = as_text(report).splitlines()
    assert len(lines) <= 22
    assert max(map(len, lines)) <= 80


def test_emulation_overhead_is_one_line():
    lines = as_text(run_of(12)).splitlines()
    assert "emulation cost 1m 06s, most in [stage-1 2/3] on linux/arm64/v12.0, 3.8×" in lines
    assert "emulation" not in as_text(run_of(1))


def test_tags_of_one_repository_are_grouped():
    refs = [("h:5000/app:1", "moved"), ("h:5000/app:2", "moved"), ("m/app:1", "failed"), ("oci:/x/y", "moved"), ("h:5000/app:3", "left")]  # fmt: skip
    assert grouped_tags([{"ref": ref, "status": status} for ref, status in refs]) == [
        ("h:5000/app", ["1", "2"], "moved"),
        ("m/app", ["1"], "failed"),
        ("oci:/x/y", [], "moved"),
        ("h:5000/app", ["3"], "left"),
    ]


def test_a_report_of_an_older_version_is_still_shown():
    assert "step-failed" in as_text(older_report())


def test_a_failed_proof_is_shown_with_the_origin_of_its_files():
    assert (
        f"linux/arm64: content failed\n    what it starts\n    foreign: /app0: amd64\n  from: {TRACE}\n"
    ) in as_text(traced_run())
    assert as_text(traced_run(9)).count("  from: ") == 5
