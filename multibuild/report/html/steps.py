"""Section "Steps": the steps that the timeline draws, as a table for each platform."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from multibuild.report.emulation_cost import is_emulated, native_vertices
from multibuild.report.html.failures import log_link
from multibuild.report.html.groups import by_image
from multibuild.report.html.markup import Content, Html, Section, code, disclosure, join, table, tag
from multibuild.terminal import human_seconds


def steps_section(report: Mapping[str, Any], run_path: str) -> Section | None:
    """Return the section; None if no platform was attempted."""
    nodes = {row["platform"]: row["node"] for row in report["platforms"]}
    platform_counts = Counter(
        (nodes.get(step["platform"]), step["vertex"]) for step in report["steps"] if step.get("vertex")
    )

    def details(group: Mapping[str, Any]) -> Html:
        return join(
            _details(report, row, run_path, platform_counts) for row in group["platforms"] if row["attempts"]
        )

    content = by_image(report, details)
    return Section(anchor="steps", heading="Steps", content=content) if content else None


def _details(
    report: Mapping[str, Any],
    row: Mapping[str, Any],
    run_path: str,
    platform_counts: Mapping[tuple[Any, Any], int],
) -> Html:
    steps = [step for step in report["steps"] if step["platform"] == row["platform"]]
    unemulated = native_vertices(report, row["node"])
    summary = join(
        (code(row.get("name", row["platform"])), f" {len(steps)} steps, {human_seconds(row['seconds'])}")
    )
    attempts = [
        tag("li", f"Attempt {attempt['number']}: {attempt['outcome']} after {human_seconds(attempt['seconds'])}, ",
            log_link(attempt.get("log"), run_path) or "no log")
        for attempt in row["attempts"]
    ]  # fmt: skip
    rows: list[list[Content]] = [
        [
            code(step["name"]),
            _execution(step, row, unemulated, platform_counts.get((row["node"], step.get("vertex")), 1)),
            _start(step),
            human_seconds(step["seconds"]),
        ]
        for step in sorted(steps, key=lambda step: step.get("began") or 0.0)
    ]
    caption = "The steps of the last attempt, in the order they began."
    headings = ("Step", "Ran", "Began", "Time")
    steps_table = (
        table(caption, headings, rows, numbers=frozenset({2, 3}), class_="cards steps") if rows else None
    )
    return disclosure(summary, tag("ul", *attempts), steps_table)


def _start(step: Mapping[str, Any]) -> str:
    began = step.get("began")
    return "–" if began is None else f"+{human_seconds(began)}"


def _execution(
    step: Mapping[str, Any], row: Mapping[str, Any], unemulated: frozenset[str], platforms: int
) -> str:
    """Return how a step ran, once for a number of platforms; only a RUN executes programs of the platform."""
    emulated = row["emulated"] and is_emulated(step, unemulated)
    word = "cached" if step["cached"] else "emulated" if emulated else "native"
    return f"{word}, shared by {platforms}" if platforms > 1 else word
