"""The top of the page: image, result, error and key figures."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from multibuild.report.html.markup import Content, Html, advice, code, facts, prose, status, tag
from multibuild.report.report import INDEXED_STATUSES
from multibuild.terminal import human_seconds


def header_section(report: Mapping[str, Any]) -> Html:
    """Return the header, with the run's own error."""
    return tag(
        "header",
        tag("p", "Build report", class_="kicker"),
        tag("h1", report["image"] or "no image"),
        tag("p", status(report["status"]), " ", _when(report), class_="lead"),
        _error(report),
        facts(_figures(report), class_="figures"),
    )


def _when(report: Mapping[str, Any]) -> Html:
    started = report["started"]
    try:
        text = f"{datetime.fromisoformat(started):%d %B %Y, %H:%M:%S %Z}"
    except (TypeError, ValueError):
        return tag("span", f"started {started}" if started else "never started")
    return tag("time", text, datetime=started)


def _error(report: Mapping[str, Any]) -> Html | None:
    error = report.get("error")
    if not error:
        return None
    return tag(
        "div",
        tag("p", prose(str(error.get("message"))), class_="message"),
        advice(error.get("hint")),
        class_="callout",
        role="note",
        aria_label="Error",
    )


def _figures(report: Mapping[str, Any]) -> list[tuple[Content, Content]]:
    platforms = report["platforms"]
    built = sum(row["status"] in INDEXED_STATUSES for row in platforms)
    retried = sum(len(row["attempts"]) > 1 for row in platforms)
    moved = sum(tag["status"] == "moved" for tag in report["published"])
    figures: list[tuple[Content, Content]] = []
    if groups := report.get("groups"):
        succeeded = sum(group["status"] == "succeeded" for group in groups)
        figures.append(("Images succeeded", f"{succeeded} of {len(groups)}"))
    figures += [
        ("Platforms built", f"{built} of {len(platforms)}"),
        ("Time", human_seconds(report["seconds"])),
    ]
    if platforms and (slowest := max(platforms, key=lambda row: row["seconds"]))["seconds"]:
        value = Html(f"{code(slowest['platform'])} {tag('small', human_seconds(slowest['seconds']))}")
        figures.append(("Slowest platform", value))
    if retried:
        figures.append(("Platforms retried", str(retried)))
    if report["published"]:
        figures.append(("Tags moved", f"{moved} of {len(report['published'])}"))
    return figures
