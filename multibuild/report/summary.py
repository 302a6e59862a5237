"""The report as text for a terminal: one screen for a dozen platforms that went well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.report.emulation_cost import emulation_cost
from multibuild.report.failure_lines import QUOTED, error_lines, trouble_lines
from multibuild.report.node_lines import nodes_in_words
from multibuild.terminal import columns, human_bytes, human_seconds, one_line, shorten

HEADINGS = ("PLATFORM", "STATUS", "TIME", "TRIES", "TEST", "CONTENT", "DIGEST")

WORTH_SAYING = 5.0
"""Seconds that emulation must have cost before a summary speaks of it."""


def as_text(report: Mapping[str, Any], width: int = 80) -> str:
    """Give the summary: a table within `width` columns, what was published, why something failed, where logs are."""
    platforms = report["platforms"]
    lines = []
    if platforms:
        rows = [HEADINGS, *(platform_cells(platform) for platform in platforms)]
        lines += columns(rows, width=width, right=frozenset({2, 3}))
    if any(not platform["required"] for platform in platforms):
        lines.append("? optional: the index is published without it when it fails")
    lines += _published(report)
    if nodes := nodes_in_words(report):
        lines += ["", *nodes]
    for platform in platforms:
        if trouble := trouble_lines(platform):
            # What a build printed is cut, the log has it whole; what we say (a path, a hint) is not.
            lines += ["", *(shorten(line, width) if line.startswith(QUOTED) else line for line in trouble)]
    if report.get("error"):
        lines += ["", *error_lines(report["error"])]
    lines += ["", *(shorten(line, width) for line in emulation_lines(report))]
    if any(platform["attempts"] for platform in platforms):
        lines.append(one_line(f"logs: runs/{report['run']}/logs in the state directory"))
    lines.append(one_line(outcome(report)))
    return "\n".join(lines).strip("\n")


def outcome(report: Mapping[str, Any]) -> str:
    """Say in a line how the run ended, how long it took and which it is."""
    return f"{report['status']} in {human_seconds(report['seconds'])}, run {report['run']}"


def platform_cells(platform: Mapping[str, Any]) -> tuple[str, ...]:
    """Give a platform's cells under HEADINGS; what others wrote is not yet made harmless."""
    return (
        platform["platform"],
        platform["status"] + ("" if platform["required"] else "?"),
        human_seconds(platform["seconds"]),
        str(len(platform["attempts"]) or ""),
        _mark(platform["test"]),
        _mark(platform["content"]),
        (platform["digest"] or "").removeprefix("sha256:")[:12],
    )


def grouped_tags(published: Sequence[Mapping[str, Any]]) -> list[tuple[str, list[str], str]]:
    """Give (repository, its tags in order, their status): a dozen tags of one repository are one thing to say."""
    groups: dict[tuple[str, str], list[str]] = {}
    for tag in published:
        repository, colon, name = str(tag["ref"]).rpartition(":")
        whole = not colon or "/" in name
        key = (str(tag["ref"]) if whole else repository, str(tag["status"]))
        groups.setdefault(key, []).extend([] if whole else [name])
    return [(repository, tags, status) for (repository, status), tags in groups.items()]


def emulation_lines(report: Mapping[str, Any]) -> list[str]:
    """Say which step emulation cost most, in a line or none."""
    cost = emulation_cost(report)
    if cost.saved < WORTH_SAYING:
        return []
    dearest = cost.comparisons[0]
    ratio = f", {dearest.ratio:.1f}×" if dearest.ratio else ""
    where = f"most in [{dearest.place}] on {dearest.platform}{ratio}"
    return [one_line(f"emulation cost {human_seconds(cost.saved)}, {where}")]


def _published(report: Mapping[str, Any]) -> list[str]:
    index, lines = report["index"], []
    if index:
        kind = str(index["mediaType"]).removeprefix("application/")
        size = f"{index['entries']} entries, {human_bytes(index['size'] or 0)}, {kind}"
        lines += ["", one_line(f"index {index['digest']}"), one_line(f"      {size}")]
    for repository, tags, status in grouped_tags(report["published"]):
        arrow = "→" if status in {"moved", "unchanged"} else "!"
        named = f"{repository}:{', '.join(tags)}" if tags else repository
        lines.append(one_line(f"  {arrow} {named}  {status}"))
    return lines


def _mark(proof: Mapping[str, Any]) -> str:
    if proof.get("class"):
        return "not run"
    return {"passed": "ok", "skipped": "-"}.get(proof["status"], str(proof["status"]))
