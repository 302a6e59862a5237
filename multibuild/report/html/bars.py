"""The bars of a timeline: a platform's attempts, waits and steps on the axis of the run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multibuild.report.emulation_cost import is_emulated, native_vertices
from multibuild.report.html.markup import Html, code, status, tag
from multibuild.terminal import human_seconds, shorten

ROW_HEIGHT = 34
"""Height of a platform's bar in CSS pixels; steps that ran at the same time share it."""

OVERVIEW_HEIGHT = 26
"""Height of an image's overview in CSS pixels."""

MAX_NAME_LENGTH = 120
"""Characters of a step's name in a tooltip."""

_TICK_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_MAX_TICKS = 6

MIN_QUEUE_S = 0.5
"""Seconds of queueing from which it is drawn."""

_ATTEMPT_CLASSES = {"ok": "attempt", "cancelled": "attempt cut"}


class Scale:
    """Convert seconds of the run to percent of its axis."""

    def __init__(self, seconds: float) -> None:
        """Set the length of the run, in seconds."""
        self.seconds = max(seconds, 0.001)

    def span(self, began: float, seconds: float, minimum: float = 0.3) -> tuple[float, float]:
        """Return left and width in percent, both within the axis; a width of `minimum` keeps short spans visible."""
        left = min(max(100 * began / self.seconds, 0.0), 100.0 - minimum)
        right = min(max(100 * (began + seconds) / self.seconds, left + minimum), 100.0)
        return left, right - left

    def ticks(self) -> list[float]:
        """Return up to six round numbers of seconds that divide the axis."""
        step = next(
            (step for step in _TICK_STEPS_S if self.seconds / step <= _MAX_TICKS), self.seconds / _MAX_TICKS
        )
        return [step * number for number in range(1, int(self.seconds / step) + 1)]


def platform_row(report: Mapping[str, Any], row: Mapping[str, Any], scale: Scale) -> Html:
    """Return a platform as a row of a table: its name, its status, and its bar."""
    duration = human_seconds(row["seconds"]) if row["seconds"] else ""
    tries = f"{len(row['attempts'])} attempts" if len(row["attempts"]) > 1 else ""
    small = tag("small", status(row["status"]), *(tag("span", text) for text in (duration, tries) if text))
    bars, description = _bars(report, row, scale), _description(report, row)
    drawing = tag(
        "svg", *grid(scale, ROW_HEIGHT), *bars, role="img", aria_label=description, height=str(ROW_HEIGHT)
    )
    return tag(
        "tr", tag("th", code(row.get("name", row["platform"])), small, scope="row"), tag("td", drawing)
    )


def grid(scale: Scale, height: int) -> list[Html]:
    """Return the lines of the ticks, `height` CSS pixels high."""
    return [
        tag("line", x1=f"{100 * tick / scale.seconds:.2f}%", x2=f"{100 * tick / scale.seconds:.2f}%", y1="0",
            y2=str(height), class_="grid")
        for tick in scale.ticks()
    ]  # fmt: skip


def _bars(report: Mapping[str, Any], row: Mapping[str, Any], scale: Scale) -> Iterator[Html]:
    """Draw the attempts, the steps of the last one, then queueing and waits."""
    for attempt in row["attempts"]:
        span = scale.span(attempt.get("began", 0.0), attempt["seconds"])
        text = f"attempt {attempt['number']}: {attempt['outcome']}, {human_seconds(attempt['seconds'])}"
        title = tag("title", text)
        kind = _ATTEMPT_CLASSES.get(attempt["outcome"], "attempt bad")
        yield rect(kind, span, (2, ROW_HEIGHT - 4), children=(title,))
        if kind == "attempt bad":
            yield rect("hatched", span, (2, ROW_HEIGHT - 4), children=(title,), fill="url(#hatch)")
    yield from _steps(report, row, scale)
    began, seconds = queue_time(report, row)
    if seconds:
        title = tag("title", f"queued for {human_seconds(seconds)}")
        yield _line("queue", scale.span(began, seconds), title)
    for wait in row.get("waits", ()):
        title = tag("title", f"waiting {human_seconds(wait['seconds'])} after {wait['reason']}")
        yield _line("wait", scale.span(wait["began"], wait["seconds"]), title)


def queue_time(report: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[float, float]:
    """Return when a platform began to queue and for how many seconds; (0, 0) if it did not."""
    began = next(
        (stage["began"] for stage in report["stages"] if stage["name"] == "build" and "began" in stage), None
    )
    first = row["attempts"][0].get("began") if row["attempts"] else None
    if began is None or first is None or first - began < MIN_QUEUE_S:
        return 0.0, 0.0
    return began, first - began


def _line(kind: str, span: tuple[float, float], title: Html) -> Html:
    left, width = span
    middle = str(ROW_HEIGHT // 2)
    return tag("line", title, class_=kind, x1=f"{left:.2f}%", x2=f"{left + width:.2f}%", y1=middle, y2=middle)


def _steps(report: Mapping[str, Any], row: Mapping[str, Any], scale: Scale) -> Iterator[Html]:
    if not row["attempts"]:
        return
    unemulated = native_vertices(report, row["node"])
    attempt_began = row["attempts"][-1].get("began", 0.0)
    steps = [
        step
        for step in report["steps"]
        if step["platform"] == row["platform"] and step.get("began") is not None and not step["cached"]
    ]
    lanes = assign_lanes([(step["began"], step["began"] + step["seconds"]) for step in steps])
    height = (ROW_HEIGHT - 10) / max((lane + 1 for lane in lanes), default=1)
    for step, lane in zip(steps, lanes, strict=True):
        # A step that another platform's build began earlier is drawn from the beginning of this attempt.
        began = max(step["began"], attempt_began)
        span = scale.span(began, max(step["began"] + step["seconds"] - began, 0.0))
        kind = "other"
        if "] RUN " in step["name"]:
            kind = "emulated" if row["emulated"] and is_emulated(step, unemulated) else "native"
        title = tag("title", f"{shorten(step['name'], MAX_NAME_LENGTH)}, {human_seconds(step['seconds'])}")
        yield rect(f"step {kind}", span, (5 + lane * height, max(height - 1, 1)), children=(title,))


def assign_lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Return the lane of each span (began, ended): the first that is free when the span begins."""
    ends: list[float] = []
    lanes = [0] * len(spans)
    for index in sorted(range(len(spans)), key=lambda index: spans[index]):
        began, ended = spans[index]
        lane = next((lane for lane, end in enumerate(ends) if end <= began + 0.005), len(ends))
        ends[lane : lane + 1] = [ended]
        lanes[index] = lane
    return lanes


def rect(
    kind: str,
    horizontal: tuple[float, float],
    vertical: tuple[float, float],
    *,
    children: tuple[Html, ...] = (),
    fill: str | None = None,
) -> Html:
    """Return a rectangle: `horizontal` are left and width in percent, `vertical` top and height in CSS pixels."""
    left, width = horizontal
    top, height = vertical
    return tag(
        "rect", *children, class_=kind, x=f"{left:.2f}%", width=f"{width:.2f}%", y=f"{top:g}", height=f"{height:g}",
        rx="2", fill=fill,
    )  # fmt: skip


def _description(report: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Return what a bar shows, as its accessible name."""
    _, seconds = queue_time(report, row)
    parts = [f"queued for {human_seconds(seconds)}"] if seconds else []
    parts += [
        f"attempt {attempt['number']} {attempt['outcome']}, {human_seconds(attempt['seconds'])} "
        f"from {human_seconds(attempt.get('began', 0.0))}"
        for attempt in row["attempts"]
    ]
    parts += [
        f"a wait of {human_seconds(wait['seconds'])} after {wait['reason']}" for wait in row.get("waits", ())
    ]
    return f"{row['platform']}: {'; '.join(parts) or 'no attempt'}"


def overview(group: Mapping[str, Any], scale: Scale) -> Iterator[Html]:
    """Draw all attempts of an image over each other, those that failed on top."""
    attempts = [attempt for row in group["platforms"] for attempt in row["attempts"]]
    for attempt in sorted(attempts, key=lambda attempt: attempt["outcome"] not in _ATTEMPT_CLASSES):
        span = scale.span(attempt.get("began", 0.0), attempt["seconds"])
        kind = _ATTEMPT_CLASSES.get(attempt["outcome"], "attempt bad")
        yield rect(kind, span, (4, OVERVIEW_HEIGHT - 8))
