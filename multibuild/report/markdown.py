"""The report as Markdown for a CI summary, in GitHub's flavour; what others wrote is escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multibuild.report.emulation_cost import emulation_cost
from multibuild.report.failure_lines import QUOTED, error_lines, trouble_lines
from multibuild.report.node_lines import nodes_in_words
from multibuild.report.summary import HEADINGS, WORTH_SAYING, grouped_tags, platform_cells
from multibuild.terminal import human_bytes, human_seconds, one_line, shorten

MOST_STEPS = 5
"""Rows of the table of what emulation cost."""

NAME_LENGTH = 80
"""Characters of a step's name."""

LINE_LENGTH = 400
"""Characters of a line that a build printed: a summary has room for a megabyte in all, the log has it whole."""


def as_markdown(report: Mapping[str, Any]) -> str:
    """Give the summary: what came of each platform, what was published, what failed and why, what emulation cost."""
    lines = [
        f"## {_cell(report['image'])}: {_cell(report['status'])} in {human_seconds(report['seconds'])}",
        "",
    ]
    if report.get("error"):
        lines += [*_fenced(error_lines(report["error"])), ""]
    rows = [[_cell(cell) for cell in platform_cells(platform)] for platform in report["platforms"]]
    lines += _table([heading.lower() for heading in HEADINGS], rows, numbers={2, 3}) if rows else []
    if any(not platform["required"] for platform in report["platforms"]):
        lines += ["", "? optional: the index is published without it when it fails."]
    if nodes := nodes_in_words(report):
        lines += ["", *(f"- {_cell(line)}" for line in nodes)]
    lines += [*_published(report), *_trouble(report), *_emulation(report)]
    return "\n".join([*lines, "", _last_line(report)]) + "\n"


def _last_line(report: Mapping[str, Any]) -> str:
    """Say which run it was and where its time went."""
    stages = ", ".join(
        f"{_cell(str(stage['name']))} {human_seconds(stage['seconds'])}" for stage in report["stages"]
    )
    return f"Run {_code(report['run'])}" + (f": {stages}." if stages else ".")


def _published(report: Mapping[str, Any]) -> list[str]:
    index, lines = report["index"], []
    if index:
        size = f"{index['entries']} entries, {human_bytes(index['size'] or 0)}"
        lines += ["", f"Index {_code(index['digest'])}, {_cell(size)}.", ""]
    for repository, tags, status in grouped_tags(report["published"]):
        names = [f"{repository}:{tag}" for tag in tags] or [repository]
        lines.append(f"- {', '.join(map(_code, names))}: {_cell(status)}")
    return lines


def _trouble(report: Mapping[str, Any]) -> list[str]:
    """Give what failed openly; what went well only at a later attempt is folded away."""
    lines: list[str] = []
    mended: list[str] = []
    for platform in report["platforms"]:
        said = [
            shorten(line, LINE_LENGTH) if line.startswith(QUOTED) else line
            for line in trouble_lines(platform)
        ]
        if said and platform["status"] == "succeeded" and "failed" not in _proofs(platform):
            mended += said
        elif said:
            lines += ["", *_fenced(said)]
    if mended:
        folded = ["<details><summary>Retried, and then it went well</summary>", ""]
        lines += ["", *folded, *_fenced(mended), "", "</details>"]
    return lines


def _proofs(platform: Mapping[str, Any]) -> tuple[str, str]:
    return platform["test"]["status"], platform["content"]["status"]


def _emulation(report: Mapping[str, Any]) -> list[str]:
    cost = emulation_cost(report)
    if cost.saved < WORTH_SAYING:
        return []
    rows = []
    for group in cost.by_step()[:MOST_STEPS]:
        slowest = max(group, key=lambda one: one.seconds)
        ratio = f"{slowest.ratio:.1f}×" if slowest.ratio else ""
        rows.append(
            [
                _code(f"[{slowest.place}] {slowest.name.partition('] ')[2]}"[:NAME_LENGTH]),
                human_seconds(slowest.native_seconds),
                f"{human_seconds(slowest.seconds)} ({_cell(slowest.platform)})",
                ratio,
                human_seconds(sum(one.saved for one in group)),
            ]
        )
    said = (
        f"Emulation cost {human_seconds(cost.saved)} of build time, all platforms together; cross-compiling"
    )
    headings = ["step", "native", "slowest", "ratio", "could save"]
    return [
        "",
        "<details><summary>What emulation cost</summary>",
        "",
        f"{said} these steps would save up to that.",
        "",
        *_table(headings, rows, numbers={1, 2, 3, 4}),
        "",
        "</details>",
    ]


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: set[int]) -> list[str]:
    """Give a table of cells that are Markdown already."""
    rule = ["---:" if place in numbers else "---" for place in range(len(headings))]
    return [
        "| " + " | ".join(headings) + " |",
        "|" + "|".join(rule) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _cell(text: str) -> str:
    """Escape for a cell: a backslash before what Markdown reads (CommonMark §2.4), entities for what HTML reads.

    `@`, `#` and the `://` and `www.` of bare addresses are broken by an empty comment: GitHub would mention and link.
    """
    escaped = html.escape(re.sub(r"([\\`*_\[\]|~])", r"\\\1", one_line(text)), quote=False)
    return re.sub(r"(@|#|:(?=//)|www(?=\.))", r"\1<!-- -->", escaped)


def _code(text: str) -> str:
    return "`" + one_line(text).replace("`", "'").replace("|", "\\|") + "`"


def _fenced(lines: list[str]) -> list[str]:
    """Fence lines with more backticks than any of them has in a row (CommonMark §4.5)."""
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]
