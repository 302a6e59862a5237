"""The report as text for a terminal: one screen for a dozen platforms that succeeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.report.emulation_cost import emulation_cost
from multibuild.report.failure_lines import QUOTE_INDENT, error_lines, failures_of
from multibuild.report.gates import gates_word, has_gates
from multibuild.report.matrix import matrix_lines, report_cells, status_line
from multibuild.report.node_lines import node_lines
from multibuild.report.saving_lines import saving_lines
from multibuild.terminal import columns, human_bytes, human_seconds, one_line, shorten

HEADINGS = ("PLATFORM", "STATUS", "TIME", "TRIES", "TEST", "CONTENT", "DIGEST")

MIN_EMULATION_COST_S = 5.0
"""Seconds of emulation overhead from which a summary mentions it."""


def as_text(report: Mapping[str, Any], width: int = 80) -> str:
    """Return the summary: a table within `width` columns, tags and index, failures, where the logs are."""
    platforms = report["platforms"]
    lines = _table(report, width)
    if any(not platform["required"] for platform in platforms):
        lines.append("? optional: the index is published without it when it fails")
    lines += _published(report)
    if nodes := node_lines(report):
        lines += ["", *nodes]
    for _, failures in failures_of(platforms):
        # A build's output is shortened, as the log has all of it; paths and hints are not.
        lines.append("")
        lines += [shorten(line, width) if line.startswith(QUOTE_INDENT) else line for line in failures]
    if report.get("error"):
        lines += ["", *error_lines(report["error"])]
    lines += ["", *(shorten(line, width) for line in (*_emulation(report), *saving_lines(report)))]
    if any(platform["attempts"] for platform in platforms):
        lines.append(one_line(f"logs: runs/{report['run']}/{_log_folder(platforms)} in the state directory"))
    lines.append(one_line(f"{report['status']} in {human_seconds(report['seconds'])}, run {report['run']}"))
    return "\n".join(lines).strip("\n")


def _log_folder(platforms: Sequence[Mapping[str, Any]]) -> str:
    """Return the directory of the logs below the run's; of several images, the pattern of theirs."""
    logs = [attempt["log"] or "" for platform in platforms for attempt in platform["attempts"]]
    folders = {log.rpartition("/")[0] for log in logs if log.startswith("images/")}
    return "images/*/logs" if len(folders) > 1 else next(iter(folders), "logs")


def _table(report: Mapping[str, Any], width: int) -> list[str]:
    """Return a row per platform; of several images, a row per image with a column per platform."""
    if groups := report.get("groups"):
        return [*matrix_lines(report_cells(groups), width=width), status_line(groups)]
    if not report["platforms"]:
        return []
    return columns(platform_table(report), width=width, right=frozenset({2, 3}))


def platform_table(report: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the headings and each platform's cells, with a column for gates where some are configured."""
    rows = [HEADINGS, *map(platform_cells, report["platforms"])]
    if not has_gates(report):
        return rows
    words = ["GATES", *map(gates_word, report["platforms"])]
    return [(*row[:-1], word, row[-1]) for row, word in zip(rows, words, strict=True)]


def platform_cells(platform: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a platform's cells under HEADINGS, not yet escaped for a terminal or Markdown."""
    return (
        platform["platform"],
        platform["status"] + ("" if platform["required"] else "?"),
        human_seconds(platform["seconds"]),
        str(len(platform["attempts"]) or ""),
        _proof_cell(platform["test"]),
        _proof_cell(platform["content"]),
        (platform["digest"] or "").removeprefix("sha256:")[:12],
    )


def grouped_tags(published: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str], str]]:
    """Return (repository, its tags in order, status), so that all tags of a repository fit one line."""
    groups: dict[tuple[str, str], list[str]] = {}
    for tag in published:
        repository, colon, name = str(tag["ref"]).rpartition(":")
        is_untagged = not colon or "/" in name
        key = (str(tag["ref"]) if is_untagged else repository, str(tag["status"]))
        groups.setdefault(key, []).extend([] if is_untagged else [name])
    return [(repository, tags, status) for (repository, status), tags in groups.items()]


def signed_lines(report: Mapping[str, Any]) -> list[str]:
    """Return a line for each repository in which everything has a signature; none where nothing is signed."""
    return [
        f"signed in {one['repository']}: {len(one['digests'])} digests, {len(one['new'])} of them new"
        for one in report.get("signed", ())
    ]


def _emulation(report: Mapping[str, Any]) -> list[str]:
    """Return a line about the step with the most emulation overhead, if it is worth a line."""
    cost = emulation_cost(report)
    if cost.overhead < MIN_EMULATION_COST_S:
        return []
    costliest = cost.comparisons[0]
    ratio = f", {costliest.ratio:.1f}×" if costliest.ratio else ""
    location = f"most in [{costliest.position}] on {costliest.platform}{ratio}"
    return [one_line(f"emulation cost {human_seconds(cost.overhead)}, {location}")]


def _published(report: Mapping[str, Any]) -> list[str]:
    index, lines = report["index"], []
    if index:
        kind = str(index["mediaType"]).removeprefix("application/")
        size = f"{index['entries']} entries, {human_bytes(index['size'] or 0)}, {kind}"
        lines += ["", one_line(f"index {index['digest']}"), one_line(f"      {size}")]
    lines += [one_line(f"  {line}") for line in signed_lines(report)]
    for repository, tags, status in grouped_tags(report["published"]):
        arrow = "→" if status in {"moved", "unchanged"} else "!"
        target = f"{repository}:{', '.join(tags)}" if tags else repository
        lines.append(one_line(f"  {arrow} {target}  {status}"))
    return lines


def _proof_cell(proof: Mapping[str, Any]) -> str:
    if proof.get("class"):
        return "not run"
    return {"passed": "ok", "skipped": "-"}.get(proof["status"], str(proof["status"]))
