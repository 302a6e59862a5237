"""Twenty images of six platforms as a table: for terminals of any width, and for CI summaries."""

import re

from unit.report.sample_runs import SIX, hostile_report, many_images

from multibuild.cli.github import MAX_SUMMARY_BYTES
from multibuild.report.images import as_rows
from multibuild.report.markdown import as_markdown
from multibuild.report.matrix import matrix_lines, short_names, status_line
from multibuild.report.summary import as_text

REPORT = as_rows(many_images())


def test_images_are_rows_and_platforms_columns():
    lines = as_text(REPORT).splitlines()
    assert lines[0] == "IMAGE       amd64    arm64    arm/v7   mips64le  ppc64le  s390x"
    assert lines[7] == "service-07  ok       ok       ok       ok?       failed   ok"
    assert lines[8] == "service-08  skipped  skipped  skipped  skipped?  skipped  skipped"
    assert lines[21] == "images: 17 succeeded, 2 failed (service-07, service-08), 1 partial (service-12)"
    assert max(map(len, lines)) <= 95  # the address of a log, which is not cut
    assert max(map(len, lines[:40])) <= 80


def test_platforms_that_do_not_fit_are_a_block_of_their_own():
    rows = [("app", dict.fromkeys(SIX, "succeeded")), ("worker", {SIX[0]: "failed"})]
    assert matrix_lines(rows, width=40) == [
        "IMAGE   amd64      arm64      arm/v7",
        "app     succeeded  succeeded  succeeded",
        "worker  failed     -          -",
        "",
        "IMAGE   mips64le   ppc64le    s390x",
        "app     succeeded  succeeded  succeeded",
        "worker  -          -          -",
    ]
    assert all(len(line) <= 12 for line in matrix_lines(rows, width=12))
    assert len(matrix_lines(rows, width=12)) == 6 * 4 - 1


def test_platforms_keep_their_system_where_they_have_several():
    assert short_names(["linux/amd64", "windows/amd64"]) == {
        "linux/amd64": "linux/amd64",
        "windows/amd64": "windows/amd64",
    }


def test_a_failed_proof_is_a_failure_of_its_platform():
    report = many_images(1)
    report["images"][0]["platforms"][1]["test"]["status"] = "failed"
    assert as_text(as_rows(report)).splitlines()[1].split()[:3] == ["service-01", "ok", "failed"]


def test_an_image_that_was_skipped_has_one_line():
    for text in (as_text(REPORT), as_markdown(REPORT)):
        assert text.count("service-07 failed") == 1
        assert "service-08: skipped: service-07 failed" in text


def test_statuses_name_a_few_images():
    groups = [{"name": f"i{number}", "status": "failed"} for number in range(7)]
    assert status_line(groups) == "images: 7 failed (i0, i1, i2, i3, i4 and 2 more)"


def test_markdown_has_the_matrix_first_and_every_platform_folded_away():
    text = as_markdown(REPORT)
    assert "| image | status | amd64 | arm64 | arm/v7 | mips64le | ppc64le | s390x |" in text
    assert "| **service-07** | failed | ok | ok | ok | ok? | **failed** | ok |" in text
    assert text.index("| image |") < text.index("service-07 linux/ppc64le") < text.index("Every platform")
    assert len(text.encode()) < MAX_SUMMARY_BYTES / 20
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert all(len({line.count("|") for line in table.splitlines()}) == 1 for table in tables)


def hostile():
    report = hostile_report()
    image = {key: report[key] for key in ("image", "index", "published", "platforms", "steps")}
    return as_rows({**report, "images": [{**image, "name": report["image"], "status": "failed"}]})


def test_hostile_names_break_no_table():
    assert "\x1b" not in as_text(hostile())
    text = as_markdown(hostile())
    table = re.search(r"^\| image .*(?:\n\|.*)+", text, re.MULTILINE)
    assert table
    assert "alert(1)" in table[0]
    assert "<script>" not in table[0]
    assert len({re.sub(r"\\.", "", line).count("|") for line in table[0].splitlines()}) == 1
