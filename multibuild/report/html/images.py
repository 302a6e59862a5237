"""Section "Images": how each platform of each image ended."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.report.html.groups import ordered
from multibuild.report.html.markup import Content, Section, code, join, status, table, tag
from multibuild.report.matrix import platforms_of, report_cells, short_names
from multibuild.terminal import human_seconds

MAX_COLUMNS = 12
"""Platforms that fit a page beside each other."""


def images_section(report: Mapping[str, Any]) -> Section | None:
    """Return the section; None for a report of one image, or of more platforms than fit a page."""
    groups = ordered(report.get("groups", ()))
    platforms = platforms_of(report_cells(groups))
    if not platforms or len(platforms) > MAX_COLUMNS:
        return None
    headings = short_names(platforms)
    rows: list[list[Content]] = []
    for group in groups:
        by_name = {row["name"]: row for row in group["platforms"]}
        cells = [_cell(by_name.get(platform)) for platform in platforms]
        rows.append([code(str(group["name"])), status(str(group["status"])), *cells])
    caption = "How each platform of each image ended, and how long it took; those that failed are first."
    columns = ("Image", "Status", *(headings[platform] for platform in platforms))
    content = table(caption, columns, rows, class_="cards matrix")
    return Section(anchor="images", heading="Images", content=content)


def _cell(row: Mapping[str, Any] | None) -> Content:
    """Return a platform's end: the time of one that is built, the status of any other."""
    if row is None:
        return "–"
    failed = "failed" in (row["test"]["status"], row["content"]["status"])
    word = "failed" if failed else str(row["status"])
    optional = None if row["required"] else tag("small", "optional", class_="note")
    if word == "succeeded":
        return join(
            (
                status(human_seconds(row["seconds"]), tone_of="succeeded"),
                tag("span", " succeeded", class_="unseen"),
            )
        )
    return join((status(word), optional))
