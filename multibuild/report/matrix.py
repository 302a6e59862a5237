"""Several images as a table: a row per image, a column per platform. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multibuild.report.report import INDEXED_STATUSES, is_proved
from multibuild.terminal import columns, one_line

MAX_NAMES = 5
"""Images that a line of statuses names for each status."""

NO_CELL = "-"
"""The cell of a platform that an image is not built for."""

Rows = Sequence[tuple[str, Mapping[str, str]]]
"""Images in order, each with its cells by platform."""


def report_cells(groups: Sequence[Mapping[str, Any]]) -> Rows:
    """Return the cells of a report's `groups` (`images.as_rows`): how each image's platforms ended."""
    return [(str(group["name"]), {row["name"]: cell(row) for row in group["platforms"]}) for group in groups]


def cell(row: Mapping[str, Any]) -> str:
    """Return how a platform ended in a word; one whose proof or gate failed did, too. `?` is for an optional one."""
    status = str(row["status"])
    if status in INDEXED_STATUSES and not is_proved(row):
        status = "failed"
    return {"succeeded": "ok"}.get(status, status) + ("" if row["required"] else "?")


def platforms_of(rows: Rows) -> tuple[str, ...]:
    """Return the platforms of all images, in the order they first come."""
    return tuple(dict.fromkeys(platform for _, cells in rows for platform in cells))


def short_names(platforms: Iterable[str]) -> dict[str, str]:
    """Return each platform's heading: without `linux/` if all are of Linux."""
    names = tuple(platforms)
    is_linux = all(name.startswith("linux/") for name in names)
    return {name: name.removeprefix("linux/") if is_linux else name for name in names}


def matrix_lines(rows: Rows, *, width: int = 80) -> list[str]:
    """Return the table within `width` columns; platforms that do not fit follow in a block of their own."""
    headings = short_names(platforms_of(rows))
    lines: list[str] = []
    for block in _blocks(rows, headings, width):
        table = [("IMAGE", *(headings[platform] for platform in block))]
        table += [(name, *(cells.get(platform, NO_CELL) for platform in block)) for name, cells in rows]
        lines += ["", *columns(table, width=width)]
    return lines[1:]


def _blocks(rows: Rows, headings: Mapping[str, str], width: int) -> list[list[str]]:
    """Split the platforms into blocks whose columns fit `width`; each has one at least."""
    first = max((len(one_line(name)) for name, _ in rows), default=0)
    blocks: list[list[str]] = [[]]
    used = first = max(first, len("IMAGE"))
    for platform, heading in headings.items():
        size = 2 + max(len(heading), *(len(cells.get(platform, NO_CELL)) for _, cells in rows))
        if blocks[-1] and used + size > width:
            blocks.append([])
            used = first
        blocks[-1].append(platform)
        used += size
    return blocks


def status_line(groups: Sequence[Mapping[str, Any]]) -> str:
    """Return how many images have which status, and of those that did not succeed, which."""
    names: dict[str, list[str]] = {}
    for group in groups:
        names.setdefault(str(group["status"]), []).append(str(group["name"]))
    parts = [f"{len(of)} {status}{_listed(status, of)}" for status, of in names.items()]
    return one_line(f"images: {', '.join(parts)}")


def _listed(status: str, names: Sequence[str]) -> str:
    if status == "succeeded":
        return ""
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return f" ({', '.join(names[:MAX_NAMES])}{more})"
