"""Section "Timeline": stages along the axis, a bar per platform with its attempts, waits and steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from multibuild.report.html.bars import OVERVIEW_HEIGHT, Scale, grid, overview, platform_row, rect
from multibuild.report.html.groups import image_summary, opened_names, ordered
from multibuild.report.html.markup import Html, Section, disclosure, join, tag
from multibuild.terminal import human_seconds

MIN_LABEL_PERCENT = 9.0
"""Percent of the axis that a stage needs to show its name; a long name needs more."""

LEGEND = (
    ("step native", "RUN, native"),
    ("step emulated", "RUN, emulated"),
    ("step other", "copying, exporting, pushing"),
    ("hatched", "attempt that failed"),
    ("attempt cut", "attempt cut short"),
    ("queue", "queued"),
    ("wait", "waiting for a retry"),
)
"""CSS class and meaning of each kind of mark; the page explains only those it has."""


def timeline_section(report: Mapping[str, Any]) -> Section | None:
    """Return the section; None for a run that ended before it had platforms or stages."""
    if not report["platforms"] and not report["stages"]:
        return None
    scale = Scale(report["seconds"])
    caption = f"From the start of the run to its end, {human_seconds(report['seconds'])}. The steps are listed below."
    chart = _images(report, scale, caption) if report.get("groups") else _chart(report, scale, caption)
    content = join((_patterns(), chart, _legend(chart), _stages(report)))
    return Section(anchor="timeline", heading="Timeline", content=content)


def _chart(report: Mapping[str, Any], scale: Scale, caption: str) -> Html:
    rows = [platform_row(report, row, scale) for row in report["platforms"]]
    header = tag("tr", tag("th", "Platform", scope="col"), tag("th", _axis(report, scale), scope="col"))
    parts = (tag("caption", caption), tag("thead", header), tag("tbody", *rows))
    return tag("table", *parts, class_="timeline")


def _images(report: Mapping[str, Any], scale: Scale, caption: str) -> Html:
    """Return the axis, and below it an overview of each image that unfolds to its platforms."""
    groups = ordered(report["groups"])
    opened = opened_names(groups)
    axis = tag("div", tag("span"), tag("div", _axis(report, scale)), class_="axis line")
    parts = [_image(report, group, scale, open_=group["name"] in opened) for group in groups]
    return tag("div", tag("p", caption, class_="caption"), axis, *parts, class_="timelines")


def _image(report: Mapping[str, Any], group: Mapping[str, Any], scale: Scale, *, open_: bool) -> Html:
    heading = tag("span", image_summary(group), class_="heading")
    drawing = tag(
        "svg",
        *grid(scale, OVERVIEW_HEIGHT),
        *overview(group, scale),
        height=str(OVERVIEW_HEIGHT),
        aria_hidden="true",
    )
    rows = [platform_row(report, row, scale) for row in group["platforms"]]
    header = tag("tr", tag("th", "Platform", scope="col"), tag("th", "Time", scope="col"))
    table = tag(
        "table",
        tag("caption", str(group["name"]), class_="unseen"),
        tag("colgroup", tag("col", class_="names"), tag("col")),
        tag("thead", header, class_="unseen"),
        tag("tbody", *rows),
        class_="timeline",
    )
    summary = tag("span", heading, drawing, class_="line")
    return disclosure(summary, table if rows else None, open_=open_, class_="image")


def _patterns() -> Html:
    """Return the hatching of failed attempts, which are not to be recognised by colour alone."""
    line = tag("path", d="M-1,7 l8,-8 M5,13 l8,-8", class_="hatch")
    pattern = tag("pattern", line, id="hatch", width="6", height="6", patternUnits="userSpaceOnUse")
    return tag("svg", tag("defs", pattern), width="0", height="0", class_="hidden", aria_hidden="true")


def _axis(report: Mapping[str, Any], scale: Scale) -> Html:
    parts: list[Html] = []
    for number, stage in enumerate(_drawn_stages(report)):
        left, width = scale.span(stage["began"], stage["seconds"])
        title = tag("title", f"{stage['name']}, {human_seconds(stage['seconds'])}")
        kind = "stage even" if number % 2 else "stage"
        parts.append(rect(kind, (left, width), (0, 20), children=(title,)))
        if width >= max(MIN_LABEL_PERCENT, 1.5 * len(str(stage["name"]))):
            middle = f"{left + width / 2:.2f}%"
            parts.append(tag("text", stage["name"], x=middle, y="14", class_="stage-name"))
    for tick in scale.ticks():
        position = f"{100 * tick / scale.seconds:.2f}%"
        kind = "tick end" if tick > 0.94 * scale.seconds else "tick"
        parts.append(tag("text", _tick(tick), x=position, y="36", class_=kind))
    axis = tag("svg", *parts, height="42", aria_hidden="true")
    return join((tag("span", "Time since the start of the run", class_="unseen"), axis))


def _drawn_stages(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the stages of one image; of several, which prove some while others build, those that follow each other."""
    ended = 0.0
    for stage in report["stages"]:
        if stage.get("began") is None or ("groups" in report and stage["began"] < ended):
            continue
        ended = stage["began"] + stage["seconds"]
        yield stage


def _tick(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:g}s"
    minutes, rest = divmod(round(seconds), 60)
    text = f"{minutes // 60}h {minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m {rest:02d}s"
    return text.removesuffix(" 00s").removesuffix(" 00m")


def _legend(chart: Html) -> Html | None:
    items = [
        tag("li", tag("svg", _sample(kind), width="26", height="12", aria_hidden="true"), f" {words}")
        for kind, words in LEGEND
        if f'class="{kind}"' in chart
    ]
    return tag("ul", *items, class_="key", aria_label="Key") if items else None


def _sample(kind: str) -> Html:
    if kind in {"wait", "queue"}:
        return tag("line", x1="0", x2="26", y1="6", y2="6", class_=kind)
    if kind == "hatched":
        hatched = rect(kind, (0, 100), (0, 12), fill="url(#hatch)")
        return join((rect("attempt bad", (0, 100), (0, 12)), hatched))
    return rect(kind, (0, 100), (0, 12))


def _stages(report: Mapping[str, Any]) -> Html | None:
    items = [
        tag("li", str(stage["name"]), " ", tag("small", human_seconds(stage["seconds"])))
        for stage in report["stages"]
    ]
    return tag("ol", *items, class_="stages", aria_label="Stages") if items else None
