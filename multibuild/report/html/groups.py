"""Parts of a page by image: a disclosure for each, those that failed first and open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from multibuild.report.html.markup import Content, Html, code, disclosure, join, status, tag
from multibuild.report.report import INDEXED_STATUSES
from multibuild.terminal import human_seconds

MAX_OPEN_ROWS = 12
"""Platforms of all images that are shown unfolded."""

MAX_OPEN_FAILURES = 5
"""Images that failed and are shown unfolded."""

_FAILED = frozenset({"failed", "interrupted"})
_ORDER = ("failed", "interrupted", "partial", "running", "built")

Group = Mapping[str, Any]
"""An image of a report; see `report.images.as_rows`."""


def by_image(report: Mapping[str, Any], render: Callable[[Group], Content], *, unfold: bool = False) -> Html:
    """Return a disclosure per image that has content, or without images the content of the whole report.

    `unfold` opens those that failed, and all where they are few.
    """
    groups = ordered(report.get("groups", ()))
    if not groups:
        return join((render(report),))
    contents = [(group, render(group)) for group in groups]
    opened = opened_names(groups) if unfold else frozenset()
    return join(
        disclosure(image_summary(group), content, open_=group["name"] in opened, class_="image")
        for group, content in contents
        if content
    )


def ordered(groups: Sequence[Group]) -> list[Group]:
    """Return images with those that failed first, else in their order."""
    return sorted(groups, key=lambda group: _rank(str(group["status"])))


def _rank(word: str) -> int:
    return _ORDER.index(word) if word in _ORDER else len(_ORDER)


def opened_names(groups: Sequence[Group]) -> frozenset[str]:
    """Return the images to show unfolded; `groups` are ordered."""
    if sum(len(group["platforms"]) for group in groups) <= MAX_OPEN_ROWS:
        return frozenset(group["name"] for group in groups)
    failed = [group["name"] for group in groups if group["status"] in _FAILED and _was_tried(group)]
    return frozenset(failed[:MAX_OPEN_FAILURES])


def image_summary(group: Group) -> Html:
    """Return an image's name, its status, how many of its platforms are built, and the time of the slowest."""
    rows = group["platforms"]
    built = sum(row["status"] in INDEXED_STATUSES for row in rows)
    slowest = max((row["seconds"] for row in rows), default=0.0)
    parts = [status(str(group["status"])), tag("span", f"{built} of {len(rows)}")]
    parts += [tag("span", human_seconds(slowest))] if slowest else []
    return join((tag("b", code(str(group["name"]))), " ", tag("small", *parts)))


def _was_tried(group: Group) -> bool:
    return any(row["attempts"] for row in group["platforms"])
