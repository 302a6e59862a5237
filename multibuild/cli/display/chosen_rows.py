"""Which rows the live table shows when a terminal does not hold them all. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from multibuild.cli.display.row import Row
from multibuild.frozen import frozen

_STATE_PRIORITY = ("building", "failed", "retrying", "cancelled", "succeeded", "reused", "queued")
"""The rows of one image to show when not all fit."""

_URGENT = ("failed", "retrying", "building", "cancelled")
"""The rows of several images to show when not all fit; the others are counted by image."""

_IMAGE_SHARE = 3
"""One line of so many is for images at least, where there are more urgent rows than lines."""


@frozen
class Choice:
    """What is shown: rows, then images with those of their rows that are not shown, then all others in one line."""

    rows: tuple[Row, ...]
    images: tuple[tuple[str, tuple[Row, ...]], ...] = ()
    others: tuple[Row, ...] = ()


def choose(rows: Sequence[Row], height: int) -> Choice:
    """Choose what `height` lines hold: everything, or the rows that run or failed and counts of the rest."""
    if len(rows) <= height:
        return Choice(rows=tuple(rows))
    if not any(row.image for row in rows):
        shown = _most_important(rows, max(height - 1, 1), _STATE_PRIORITY)
        return Choice(rows=shown, others=_without(rows, shown))
    return _of_images(rows, height)


def counts(rows: Sequence[Row]) -> str:
    """Return how many rows have which state."""
    return ", ".join(f"{count} {state}" for state, count in Counter(row.state for row in rows).items())


def _of_images(rows: Sequence[Row], height: int) -> Choice:
    urgent = [row for row in rows if row.state in _URGENT]
    room = max(height - max(height // _IMAGE_SHARE, 1), 1)
    shown = _most_important(urgent, room, _URGENT)
    rest: dict[str, list[Row]] = {}
    for row in _without(rows, shown):
        rest.setdefault(row.image, []).append(row)
    room = max(height - len(shown), 1)
    listed = set(rest)
    if len(rest) > room:
        listed = set(sorted(rest, key=lambda image: _is_over(rest[image]))[: room - 1])
    return Choice(
        rows=shown,
        images=tuple((image, tuple(of)) for image, of in rest.items() if image in listed),
        others=tuple(row for image, of in rest.items() if image not in listed for row in of),
    )


def _is_over(rows: Sequence[Row]) -> bool:
    """Whether nothing of an image waits or runs."""
    return not any(row.state in {"queued", *_URGENT} for row in rows)


def _most_important(rows: Sequence[Row], number: int, priority: Sequence[str]) -> tuple[Row, ...]:
    """Choose the rows to show, in their order: running and failed ones before finished and queued ones."""
    rank = {state: index for index, state in enumerate(priority)}
    chosen = sorted(rows, key=lambda row: rank.get(row.state, len(rank)))[:number]
    return tuple(row for row in rows if any(row is other for other in chosen))


def _without(rows: Sequence[Row], shown: Sequence[Row]) -> tuple[Row, ...]:
    return tuple(row for row in rows if not any(row is other for other in shown))
