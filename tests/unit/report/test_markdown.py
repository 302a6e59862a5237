"""The report for a CI summary: tables hold, and hostile text is read as neither Markdown nor HTML."""

import re

import pytest
from unit.report.sample_runs import (
    FAILURE,
    INDEX,
    NAMES,
    STARTED,
    TRACE,
    attempt,
    hostile_report,
    partial_run,
    plan,
    report_of,
    retried,
    run_of,
    traced_run,
)

from multibuild.report.markdown import as_markdown


def tables(text):
    """Return tables as rows of cells, split as GitHub does."""
    result: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            result[-1].append(re.split(r"(?<!\\)\|", line)[1:-1])
        elif result[-1]:
            result.append([])
    return [table for table in result if table]


def outside_code(text):
    """Return the text outside of fences and code spans."""
    fence, outside = None, []
    for line in text.splitlines():
        ticks = re.match(r"`{3,}", line)
        if fence is None and ticks:
            fence = ticks.group()
            assert line == f"{fence}text"
        elif fence is not None and ticks and len(ticks.group()) >= len(fence):
            assert line == fence
            fence = None
        elif fence is None:
            outside.append(re.sub(r"(?<!\\)`[^`]*`", "", line))
    assert fence is None
    return outside


def test_a_run_without_events_is_interrupted():
    assert "interrupted" in as_markdown(report_of({}))


def test_the_summary_of_a_partial_run():
    text = as_markdown(partial_run())
    assert text.startswith("## r.example/app: partial in 1m 11s\n\n| platform | status |")
    assert "| linux/mips64le | failed? | 7.0s | 1 | - | - |  |" in text
    assert "? optional: the index is published without it when it fails." in text
    assert f"Index `{INDEX}`, 2 entries, 900 B." in text
    assert "- `r.example/app:latest`: moved" in text


def test_the_summary_ends_with_the_run_and_its_stages():
    assert as_markdown(run_of(1)).endswith("\n\nRun `20261124-154501-3f2a`: setup 1.5s, build 38.5s.\n")


def test_a_long_line_of_a_build_is_cut():
    failed = attempt(NAMES[0], 1, 1, 2, **{**FAILURE, "evidence": "x" * 5000})
    ended = (2, "platform.ended", {"platform": NAMES[0], "status": "failed", "steps": []})
    text = as_markdown(report_of(plan(NAMES[0]), STARTED, *failed, ended))
    assert max(map(len, text.splitlines())) == 400


def test_the_error_comes_before_the_table():
    error = {"message": "the <registry> is away", "hint": "try later", "exit_code": 3}
    text = as_markdown(report_of(plan(*NAMES), (1, "run.ended", {"status": "failed", "error": error})))
    assert text.index("error: the <registry> is away\nhint:  try later") < text.index("| platform")


def test_a_failure_that_a_retry_resolved_is_folded_away():
    report = report_of(plan(NAMES[0]), STARTED, *retried(NAMES[0], **FAILURE))
    folded = as_markdown(report).partition("<details>")[2].partition("</details>")[0]
    assert "linux/amd64: attempt 1 failed: step-failed" in folded


def test_emulation_cost_is_a_table():
    _, cost, _ = tables(as_markdown(run_of(4)))
    assert [cell.strip() for cell in cost[2]] == [
        "`[stage-1 2/3] RUN make linux/amd64`", "4.0s", "7.0s (linux/arm64/v4.0)", "1.8×", "6.0s"
    ]  # fmt: skip


def test_a_small_emulation_cost_is_not_shown():
    assert len(tables(as_markdown(run_of(1)))) == 1


@pytest.mark.parametrize("report", [hostile_report(), run_of(30)], ids=["hostile", "30 platforms"])
def test_tables_and_fences_hold(report):
    text = as_markdown(report)
    for rows in tables(text):
        assert {len(row) for row in rows} == {len(rows[0])}
    for line in outside_code(text):
        assert "<script" not in line
        assert not re.search(r"@\w|#\w|://|www\.|!\[", line)
        assert not re.match(r"# |</?(svg|style)", line)


@pytest.mark.parametrize(
    "hostile",
    [
        r"a \| ![x](http://e/p.png) b", r"a \\| <img src=x> b", r"\\\|", "", "a`b", "WWW.evil.example", "Www.evil.example",
        r"$\href{javascript:alert(1)}{x}$", "HTTPS://evil.example", "\n# head", "\n\n<details>", "|---|", "</details>",
        "\u2028![x](y)", "\r\n| a | b |", "<!-- x", "-->", "&lt;script&gt;", "[x]: http://evil.example", "~~~",
    ],
)  # fmt: skip
def test_hostile_words_are_neither_markup_nor_the_end_of_a_cell(hostile):
    report = run_of(4)
    report |= {
        "image": hostile,
        "run": hostile,
        "status": hostile,
        "error": {"message": hostile, "hint": hostile},
    }
    report["platforms"][0] |= {"platform": hostile, "status": hostile}
    for step in report["steps"]:
        step["name"] = f"[stage-1 2/3] RUN {hostile}"
    text = as_markdown(report)
    for rows in tables(text):
        assert {len(row) for row in rows} == {len(rows[0])}
    # As in cmark-gfm's scanner, a backslash before a bar escapes it, whatever is before the backslash.
    assert "``" not in re.sub("`{3,}", "", text)
    for line in outside_code(text):
        assert not re.search(
            r"(?<!\\)\$|://|www\.|!\[|<(?!!-- -->|/?(?:details|summary)>)", line, re.IGNORECASE
        )
        assert line.count("<details>") + line.count("</details>") <= 1
    assert not re.search(r"\\{2}\|", "".join(re.findall(r"`[^`\n]*`", text)))


def test_the_origin_of_a_foreign_file_is_shown_as_it_is():
    assert (
        f"\n```text\nlinux/arm64: content failed\n    what it starts\n    foreign: /app0: amd64\n  from: {TRACE}\n```"
        in (as_markdown(traced_run()))
    )
