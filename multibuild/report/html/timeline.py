"""The run as a timeline: stages along the axis, a bar per platform with its attempts, waits and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multibuild.report.emulation_cost import is_emulated, native_vertices
from multibuild.report.html.markup import Html, Section, code, join, status, tag
from multibuild.terminal import human_seconds, shorten

ROW = 34
"""Height of a platform's bar in CSS pixels; steps that ran at once share it."""

LABEL = 9.0
"""Percent of the axis a stage must fill for its name to stand in it, and more for a long name."""

NAME_LENGTH = 120
"""Characters of a step's name in the text that a pointer brings up."""

_NICE = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400)
_TICKS = 6

SHORTEST_QUEUE = 0.5
"""Seconds; less is not worth a line."""

KEY = (
    ("step native", "RUN, native"),
    ("step emulated", "RUN, emulated"),
    ("step other", "copying, exporting, pushing"),
    ("hatched", "attempt that failed"),
    ("attempt cut", "attempt cut short"),
    ("queue", "queued"),
    ("wait", "waiting for a retry"),
)
"""What a mark of each class means; only what occurs is explained."""


_FRAMES = {"ok": "attempt", "cancelled": "attempt cut"}


def timeline_section(report: Mapping[str, Any]) -> Section | None:
    """Make the section; None for a run that ended before it had platforms or stages to show."""
    if not report["platforms"] and not report["stages"]:
        return None
    scale = Scale(report["seconds"])
    rows = [_row(report, row, scale) for row in report["platforms"]]
    head = tag("tr", tag("th", "Platform", scope="col"), tag("th", _axis(report, scale), scope="col"))
    caption = f"From the start of the run to its end, {human_seconds(report['seconds'])}. The steps are listed below."
    drawn = tag("table", tag("caption", caption), tag("thead", head), tag("tbody", *rows), class_="timeline")
    return Section(
        anchor="timeline",
        heading="Timeline",
        content=join((_patterns(), drawn, _key(drawn), _stages(report))),
    )


class Scale:
    """Seconds of the run to percent of its axis."""

    def __init__(self, seconds: float) -> None:
        """Take the length of the run, in seconds."""
        self.seconds = max(seconds, 0.001)

    def place(self, began: float, seconds: float, least: float = 0.3) -> tuple[float, float]:
        """Give left and width in percent, both within the axis; `least` keeps the short ones visible."""
        left = min(max(100 * began / self.seconds, 0.0), 100.0 - least)
        right = min(max(100 * (began + seconds) / self.seconds, left + least), 100.0)
        return left, right - left

    def ticks(self) -> list[float]:
        """Give round seconds, at most six of them, that divide the axis."""
        step = next((nice for nice in _NICE if self.seconds / nice <= _TICKS), self.seconds / _TICKS)
        return [step * number for number in range(1, int(self.seconds / step) + 1)]


def _patterns() -> Html:
    """Make the hatching of failed attempts once: colour alone must not tell them."""
    line = tag("path", d="M-1,7 l8,-8 M5,13 l8,-8", class_="hatch")
    pattern = tag("pattern", line, id="hatch", width="6", height="6", patternUnits="userSpaceOnUse")
    return tag("svg", tag("defs", pattern), width="0", height="0", class_="hidden", aria_hidden="true")


def _axis(report: Mapping[str, Any], scale: Scale) -> Html:
    parts: list[Html] = []
    for number, stage in enumerate(report["stages"]):
        if stage.get("began") is None:
            continue
        left, width = scale.place(stage["began"], stage["seconds"])
        said = tag("title", f"{stage['name']}, {human_seconds(stage['seconds'])}")
        parts.append(_rect("stage even" if number % 2 else "stage", (left, width), (0, 20), children=(said,)))
        if width >= max(LABEL, 1.5 * len(str(stage["name"]))):
            middle = f"{left + width / 2:.2f}%"
            parts.append(tag("text", stage["name"], x=middle, y="14", class_="stage-name"))
    for tick in scale.ticks():
        at = f"{100 * tick / scale.seconds:.2f}%"
        anchor = "tick end" if tick > 0.94 * scale.seconds else "tick"
        parts.append(tag("text", _tick(tick), x=at, y="36", class_=anchor))
    drawn = tag("svg", *parts, height="42", aria_hidden="true")
    return join((tag("span", "Time since the start of the run", class_="unseen"), drawn))


def _tick(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g}s"
    minutes, rest = divmod(round(seconds), 60)
    text = f"{minutes // 60}h {minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m {rest:02d}s"
    return text.removesuffix(" 00s").removesuffix(" 00m")


def _row(report: Mapping[str, Any], row: Mapping[str, Any], scale: Scale) -> Html:
    took = human_seconds(row["seconds"]) if row["seconds"] else ""
    tries = f"{len(row['attempts'])} attempts" if len(row["attempts"]) > 1 else ""
    small = tag("small", status(row["status"]), *(tag("span", text) for text in (took, tries) if text))
    grid = [
        tag("line", x1=f"{100 * tick / scale.seconds:.2f}%", x2=f"{100 * tick / scale.seconds:.2f}%", y1="0",
            y2=str(ROW), class_="grid")
        for tick in scale.ticks()
    ]  # fmt: skip
    drawn = tag(
        "svg", *grid, *_bars(report, row, scale), role="img", aria_label=_words(report, row), height=str(ROW)
    )
    return tag("tr", tag("th", code(row["platform"]), small, scope="row"), tag("td", drawn))


def _bars(report: Mapping[str, Any], row: Mapping[str, Any], scale: Scale) -> Iterator[Html]:
    """Draw frames of attempts, then the last one's steps in them, then waits."""
    for attempt in row["attempts"]:
        place = scale.place(attempt.get("began", 0.0), attempt["seconds"])
        said = tag(
            "title", f"attempt {attempt['number']}: {attempt['outcome']}, {human_seconds(attempt['seconds'])}"
        )
        kind = _FRAMES.get(attempt["outcome"], "attempt bad")
        yield _rect(kind, place, (2, ROW - 4), children=(said,))
        if kind == "attempt bad":
            yield _rect("hatched", place, (2, ROW - 4), children=(said,), fill="url(#hatch)")
    yield from _steps(report, row, scale)
    began, seconds = queued(report, row)
    if seconds:
        said = tag("title", f"queued for {human_seconds(seconds)}")
        yield _line("queue", scale.place(began, seconds), said)
    for wait in row.get("waits", ()):
        said = tag("title", f"waiting {human_seconds(wait['seconds'])} after {wait['reason']}")
        yield _line("wait", scale.place(wait["began"], wait["seconds"]), said)


def queued(report: Mapping[str, Any], row: Mapping[str, Any]) -> tuple[float, float]:
    """Give when a platform began to wait for its turn, and for how many seconds; (0, 0) when it did not."""
    began = next(
        (stage["began"] for stage in report["stages"] if stage["name"] == "build" and "began" in stage), None
    )
    first = row["attempts"][0].get("began") if row["attempts"] else None
    if began is None or first is None or first - began < SHORTEST_QUEUE:
        return 0.0, 0.0
    return began, first - began


def _line(kind: str, across: tuple[float, float], said: Html) -> Html:
    left, width = across
    middle = str(ROW // 2)
    return tag("line", said, class_=kind, x1=f"{left:.2f}%", x2=f"{left + width:.2f}%", y1=middle, y2=middle)


def _steps(report: Mapping[str, Any], row: Mapping[str, Any], scale: Scale) -> Iterator[Html]:
    if not row["attempts"]:
        return
    unemulated = native_vertices(report, row["node"])
    begun = row["attempts"][-1].get("began", 0.0)
    steps = [
        step
        for step in report["steps"]
        if step["platform"] == row["platform"] and step.get("began") is not None and not step["cached"]
    ]
    lanes = in_lanes([(step["began"], step["began"] + step["seconds"]) for step in steps])
    height = (ROW - 10) / max((lane + 1 for lane in lanes), default=1)
    for step, lane in zip(steps, lanes, strict=True):
        # What another platform's build had begun already is drawn from when this one came to it.
        began = max(step["began"], begun)
        place = scale.place(began, max(step["began"] + step["seconds"] - began, 0.0))
        kind = "other"
        if "] RUN " in step["name"]:
            kind = "emulated" if row["emulated"] and is_emulated(step, unemulated) else "native"
        said = tag("title", f"{shorten(step['name'], NAME_LENGTH)}, {human_seconds(step['seconds'])}")
        yield _rect(f"step {kind}", place, (5 + lane * height, max(height - 1, 1)), children=(said,))


def in_lanes(spans: Sequence[tuple[float, float]]) -> list[int]:
    """Give each span (began, ended) the first lane that is free when it begins."""
    ends: list[float] = []
    lanes = [0] * len(spans)
    for place in sorted(range(len(spans)), key=lambda place: spans[place]):
        began, ended = spans[place]
        lane = next((lane for lane, end in enumerate(ends) if end <= began + 0.005), len(ends))
        ends[lane : lane + 1] = [ended]
        lanes[place] = lane
    return lanes


def _rect(
    kind: str,
    across: tuple[float, float],
    down: tuple[float, float],
    *,
    children: tuple[Html, ...] = (),
    fill: str | None = None,
) -> Html:
    left, width = across
    top, height = down
    return tag(
        "rect", *children, class_=kind, x=f"{left:.2f}%", width=f"{width:.2f}%", y=f"{top:g}", height=f"{height:g}",
        rx="2", fill=fill,
    )  # fmt: skip


def _words(report: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    """Say what a bar shows."""
    _, seconds = queued(report, row)
    said = [f"queued for {human_seconds(seconds)}"] if seconds else []
    said += [
        f"attempt {one['number']} {one['outcome']}, {human_seconds(one['seconds'])} "
        f"from {human_seconds(one.get('began', 0.0))}"
        for one in row["attempts"]
    ]
    said += [
        f"a wait of {human_seconds(wait['seconds'])} after {wait['reason']}" for wait in row.get("waits", ())
    ]
    return f"{row['platform']}: {'; '.join(said) or 'no attempt'}"


def _key(drawn: Html) -> Html | None:
    items = [
        tag("li", tag("svg", _sample(kind), width="26", height="12", aria_hidden="true"), f" {words}")
        for kind, words in KEY
        if f'class="{kind}"' in drawn
    ]
    return tag("ul", *items, class_="key", aria_label="Key") if items else None


def _sample(kind: str) -> Html:
    if kind in {"wait", "queue"}:
        return tag("line", x1="0", x2="26", y1="6", y2="6", class_=kind)
    if kind == "hatched":
        hatched = _rect(kind, (0, 100), (0, 12), fill="url(#hatch)")
        return join((_rect("attempt bad", (0, 100), (0, 12)), hatched))
    return _rect(kind, (0, 100), (0, 12))


def _stages(report: Mapping[str, Any]) -> Html | None:
    items = [
        tag("li", str(stage["name"]), " ", tag("small", human_seconds(stage["seconds"])))
        for stage in report["stages"]
    ]
    return tag("ol", *items, class_="stages", aria_label="Stages") if items else None
