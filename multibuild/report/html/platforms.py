"""Platform by platform: what came of each and which proofs it passed; further down, its attempts and steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from multibuild.report.emulation_cost import is_emulated, native_vertices
from multibuild.report.html.failures import log_link
from multibuild.report.html.markup import Content, Html, Section, code, disclosure, join, status, table, tag
from multibuild.terminal import human_bytes, human_seconds

DIGEST_LENGTH = 12


def platforms_section(report: Mapping[str, Any]) -> Section | None:
    """Make the table; None for a run that ended before it knew its platforms."""
    if not report["platforms"]:
        return None
    headings = ("Platform", "Status", "Built on", "Time", "Attempts", "Test", "Content", "Size", "Child")
    rows = [_row(row) for row in report["platforms"]]
    caption = "Each platform's image, its test and the look into its files."
    made = table(caption, headings, rows, numbers=frozenset({3, 4, 7}))
    return Section(anchor="platforms", heading="Platforms and proofs", content=made)


def _row(row: Mapping[str, Any]) -> list[Content]:
    optional = None if row["required"] else tag("span", "optional", class_="note")
    digest = (row["digest"] or "").removeprefix("sha256:")[:DIGEST_LENGTH]
    return [
        code(row["platform"]),
        join((status(row["status"]), optional, _reason(row.get("reason")))),
        f"{row['node'] or 'unknown'}{', emulated' if row['emulated'] else ', native'}",
        human_seconds(row["seconds"]),
        str(len(row["attempts"])),
        _test(row["test"]),
        _content(row["content"]),
        human_bytes(row["bytes"]) if row["bytes"] else "–",
        tag("code", digest, title=row["digest"], class_="short") if digest else "–",
    ]


def _test(proof: Mapping[str, Any]) -> Content:
    word = "not run" if proof.get("class") else proof["status"]
    return join((status(word), _small(proof["seconds"] and human_seconds(proof["seconds"]))))


def _content(proof: Mapping[str, Any]) -> Content:
    checked, foreign = proof.get("checked"), len(proof.get("foreign") or ())
    said = f"{checked} file{'' if checked == 1 else 's'}" if checked else ""
    said += f", {foreign} foreign" if foreign else ""
    return join((status(proof["status"]), _small(said)))


def _small(text: str | None) -> Html | None:
    return tag("small", text, class_="note short") if text else None


def _reason(text: str | None) -> Html | None:
    return tag("div", text, class_="reason") if text else None


def steps_section(report: Mapping[str, Any], beside: str) -> Section | None:
    """Make what the timeline's bars stand for, in words: a folded list a platform."""
    nodes = {row["platform"]: row["node"] for row in report["platforms"]}
    sharers = Counter(
        (nodes.get(step["platform"]), step["vertex"]) for step in report["steps"] if step.get("vertex")
    )
    parts = [_details(report, row, beside, sharers) for row in report["platforms"] if row["attempts"]]
    return Section(anchor="steps", heading="Steps", content=join(parts)) if parts else None


def _details(
    report: Mapping[str, Any], row: Mapping[str, Any], beside: str, sharers: Mapping[tuple[Any, Any], int]
) -> Html:
    steps = [step for step in report["steps"] if step["platform"] == row["platform"]]
    unemulated = native_vertices(report, row["node"])
    summary = join((code(row["platform"]), f" {len(steps)} steps, {human_seconds(row['seconds'])}"))
    attempts = [
        tag("li", f"Attempt {one['number']}: {one['outcome']} after {human_seconds(one['seconds'])}, ",
            log_link(one.get("log"), beside) or "no log")
        for one in row["attempts"]
    ]  # fmt: skip
    rows: list[list[Content]] = [
        [
            code(step["name"]),
            _ran(step, row, unemulated) + _shared(sharers.get((row["node"], step.get("vertex")), 1)),
            _at(step),
            human_seconds(step["seconds"]),
        ]
        for step in sorted(steps, key=lambda step: step.get("began") or 0.0)
    ]
    caption = "The steps of the last attempt, in the order they began."
    headings = ("Step", "Ran", "Began", "Time")
    made = table(caption, headings, rows, numbers=frozenset({2, 3}), class_="cards steps") if rows else None
    return disclosure(summary, tag("ul", *attempts), made)


def _shared(platforms: int) -> str:
    """Say that a step's time was spent once for several platforms."""
    return f", shared by {platforms}" if platforms > 1 else ""


def _at(step: Mapping[str, Any]) -> str:
    began = step.get("began")
    return "–" if began is None else f"+{human_seconds(began)}"


def _ran(step: Mapping[str, Any], row: Mapping[str, Any], unemulated: frozenset[str]) -> str:
    """Say how a step ran; only a RUN executes anything of the platform's."""
    if step["cached"]:
        return "cached"
    return "emulated" if row["emulated"] and is_emulated(step, unemulated) else "native"
