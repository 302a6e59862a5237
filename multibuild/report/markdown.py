"""The report as Markdown for a CI summary, in GitHub's flavour, with all text of builds and registries escaped."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multibuild.report.emulation_cost import emulation_cost
from multibuild.report.failure_lines import QUOTE_INDENT, error_lines, failures_of, has_failed
from multibuild.report.matrix import NO_CELL, platforms_of, report_cells, short_names
from multibuild.report.node_lines import node_lines
from multibuild.report.saving_lines import BASES, way_text
from multibuild.report.savings import largest_savings
from multibuild.report.summary import MIN_EMULATION_COST_S, grouped_tags, platform_table, signed_lines
from multibuild.terminal import human_bytes, human_seconds, one_line, shorten

MAX_STEPS = 5
"""Rows of the table of emulation overhead."""

MAX_NAME_LENGTH = 80
"""Characters of a step's name."""

MAX_LINE_LENGTH = 400
"""Characters of a line that a build printed; GitHub allows a summary one megabyte, and the log has the whole line."""


def as_markdown(report: Mapping[str, Any]) -> str:
    """Return the summary: platforms, tags and index, failures, emulation overhead."""
    result = f"{_cell(report['status'])} in {human_seconds(report['seconds'])}"
    lines = [f"## {_cell(report['image'])}: {result}", ""]
    if report.get("error"):
        lines += [*_fenced(error_lines(report["error"])), ""]
    groups = report.get("groups")
    lines += _matrix(groups) if groups else _platforms(report)
    if any(not platform["required"] for platform in report["platforms"]):
        lines += ["", "? optional: the index is published without it when it fails."]
    if nodes := node_lines(report):
        lines += ["", *(f"- {_cell(line)}" for line in nodes)]
    lines += [*_published(report), *_failures(report), *_emulation(report), *_savings(report)]
    lines += _folded("Every platform", _platforms(report)) if groups else []
    stages = ", ".join(
        f"{_cell(str(stage['name']))} {human_seconds(stage['seconds'])}" for stage in report["stages"]
    )
    return "\n".join([*lines, "", f"Run {_code(report['run'])}{f': {stages}' if stages else ''}.", ""])


def _platforms(report: Mapping[str, Any]) -> list[str]:
    headings, *cells = platform_table(report)
    rows = [[_cell(cell) for cell in row] for row in cells]
    return _table([heading.lower() for heading in headings], rows, numbers={2, 3}) if rows else []


def _matrix(groups: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a row per image with a column per platform; what failed is bold."""
    cells = report_cells(groups)
    platforms = platforms_of(cells)
    headings = short_names(platforms)
    rows = [
        [
            f"**{_cell(name)}**" if group["status"] == "failed" else _cell(name),
            _cell(group["status"]),
            *(_matrix_cell(of.get(platform, NO_CELL)) for platform in platforms),
        ]
        for (name, of), group in zip(cells, groups, strict=True)
    ]
    return _table(
        ["image", "status", *(_cell(headings[platform]) for platform in platforms)], rows, numbers=set()
    )


def _matrix_cell(text: str) -> str:
    return f"**{_cell(text)}**" if text.startswith("failed") else _cell(text)


def _folded(summary: str, lines: Sequence[str]) -> list[str]:
    return ["", f"<details><summary>{summary}</summary>", "", *lines, "", "</details>"] if lines else []


def _published(report: Mapping[str, Any]) -> list[str]:
    index, lines = report["index"], []
    if index:
        size = f"{index['entries']} entries, {human_bytes(index['size'] or 0)}"
        lines += ["", f"Index {_code(index['digest'])}, {_cell(size)}.", ""]
    for repository, tags, status in grouped_tags(report["published"]):
        names = [f"{repository}:{tag}" for tag in tags] or [repository]
        lines.append(f"- {', '.join(map(_code, names))}: {_cell(status)}")
    return [*lines, *(f"- {_cell(line)}" for line in signed_lines(report))]


def _failures(report: Mapping[str, Any]) -> list[str]:
    """Return failures in the open; those that a retry resolved are folded away."""
    lines: list[str] = []
    resolved: list[str] = []
    for platform, failures in failures_of(report["platforms"]):
        text = [
            shorten(line, MAX_LINE_LENGTH) if line.startswith(QUOTE_INDENT) else line for line in failures
        ]
        if not has_failed(platform):
            resolved += text
        else:
            lines += ["", *_fenced(text)]
    if resolved:
        lines += _folded("Retried, and then it went well", _fenced(resolved))
    return lines


def _emulation(report: Mapping[str, Any]) -> list[str]:
    cost = emulation_cost(report)
    if cost.overhead < MIN_EMULATION_COST_S:
        return []
    rows = []
    for group in cost.by_step()[:MAX_STEPS]:
        slowest = max(group, key=lambda step: step.seconds)
        ratio = f"{slowest.ratio:.1f}×" if slowest.ratio else ""
        name = f"[{slowest.position}] {slowest.name.partition('] ')[2]}"[:MAX_NAME_LENGTH]
        emulated = f"{human_seconds(slowest.seconds)} ({_cell(slowest.platform)})"
        overhead = human_seconds(sum(step.overhead for step in group))
        rows.append([_code(name), human_seconds(slowest.native_seconds), emulated, ratio, overhead])
    sentence = f"Emulation cost {human_seconds(cost.overhead)} of build time, all platforms together; cross-compiling"
    headings = ["step", "native", "slowest", "ratio", "could save"]
    table = _table(headings, rows, numbers={1, 2, 3, 4})
    return _folded("What emulation cost", [f"{sentence} these steps would save up to that.", "", *table])


def _savings(report: Mapping[str, Any]) -> list[str]:
    rows = [
        [_cell(way_text(saving)), human_seconds(saving.seconds), BASES[saving.basis], _code(saving.change)]
        for saving in largest_savings(report)
    ]
    headings = ["way", "up to", "how that is known", "line to write"]
    return _folded("What would have saved build time", _table(headings, rows, numbers={1})) if rows else []


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: set[int]) -> list[str]:
    """Return a table; its cells are Markdown already."""
    rule = ["---:" if index in numbers else "---" for index in range(len(headings))]
    return [
        "| " + " | ".join(headings) + " |",
        "|" + "|".join(rule) + "|",
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def _cell(text: str) -> str:
    """Escape text for a cell: backslashes for Markdown (CommonMark §2.4) and GitHub's formulas, entities for HTML.

    An empty comment after `@` and `#`, and in bare addresses, keeps GitHub from making mentions and links of them.
    """
    escaped = html.escape(re.sub(r"([\\`*_\[\]|~$])", r"\\\1", one_line(text)), quote=False)
    return re.sub(r"(@|#|:(?=//)|www(?=\.))", r"\1<!-- -->", escaped, flags=re.IGNORECASE)


def _code(text: str) -> str:
    """Return text as code; an empty one would open a longer code span, a backslash before `|` end a table's cell."""
    return "`" + re.sub(r"(?<!\\)\\*\|", r"\\|", one_line(text).replace("`", "'") or "-") + "`"


def _fenced(lines: list[str]) -> list[str]:
    """Fence lines with more backticks than any of them has in a row (CommonMark §4.5)."""
    longest = max((len(run) for line in lines for run in re.findall(r"`+", line)), default=0)
    fence = "`" * max(3, longest + 1)
    return [f"{fence}text", *lines, fence]
