"""Where emulation cost most: each step against the same step on a native platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.report.emulation_cost import Comparison, EmulationCost, emulation_cost
from multibuild.report.html.markup import Content, Html, Section, code, disclosure, join, table, tag
from multibuild.terminal import human_seconds

MAX_STEPS = 8
"""Steps shown at once; all of them are in the table that unfolds."""


def emulation_section(report: Mapping[str, Any]) -> Section | None:
    """Make the section; None where nothing was emulated."""
    if not any(row["emulated"] and row["attempts"] for row in report["platforms"]):
        return None
    cost = emulation_cost(report)
    parts = (_measured(cost) if cost.comparisons else _nothing(), _left_out(cost))
    return Section(anchor="emulation", heading="What emulation cost", content=join(parts))


def _nothing() -> Html:
    said = (
        "This run has nothing to compare: it takes a step that ran both natively and emulated, on the same node, "
        "and came out of the cache on neither side."
    )
    return tag("p", said)


def _measured(cost: EmulationCost) -> Html:
    groups = cost.by_step()
    longest = max(one.seconds for one in cost.comparisons)
    rows = [_row(group, longest) for group in groups[:MAX_STEPS]]
    headings = ("Step", "Native", "Slowest emulated", "Ratio", "Cross-compiling saves up to")
    shown = table("The steps that emulation made dearest.", headings, rows, numbers=frozenset({1, 3, 4}))
    every: list[list[Content]] = [
        [code(one.platform), code(one.name), human_seconds(one.seconds), human_seconds(one.native_seconds),
         _ratio(one), human_seconds(one.saved)]
        for one in cost.comparisons
    ]  # fmt: skip
    columns = ("Platform", "Step", "Emulated", "Native", "Ratio", "Difference")
    unfolded = table("Every comparison, the dearest first.", columns, every, numbers=frozenset({2, 3, 4, 5}))
    return join(
        (
            tag("p", _sentence(cost, groups)),
            tag("p", *_advice(), class_="note"),
            shown,
            disclosure(f"All {len(every)} comparisons", unfolded) if len(every) > 1 else None,
        )
    )


def _sentence(cost: EmulationCost, groups: Sequence[Sequence[Comparison]]) -> Html:
    dearest = groups[0][0]
    took = human_seconds(sum(one.seconds for one in cost.comparisons))
    native = human_seconds(sum(one.native_seconds for one in cost.comparisons))
    there, here = human_seconds(dearest.seconds), human_seconds(dearest.native_seconds)
    said = f"Emulated steps took {took}, all platforms together; the same steps natively take {native}. Dearest is "
    return join((said, code(dearest.name), f" on {dearest.platform}: {there} instead of {here}."))


_CARE = (
    "Times are wall time while platforms shared the machine, so read small differences with care. A step is "
    "cross-compiled in a stage "
)


def _advice() -> tuple[Content, ...]:
    stage, variable = code("FROM --platform=$BUILDPLATFORM"), code("$TARGETARCH")
    return (_CARE, stage, " that builds for ", variable, "; that takes about as long as the native step.")


def _row(group: Sequence[Comparison], longest: float) -> list[Content]:
    slowest = max(group, key=lambda one: one.seconds)
    on = tag("small", slowest.platform, class_="note")
    return [
        code(slowest.name),
        human_seconds(slowest.native_seconds),
        join((tag("span", human_seconds(slowest.seconds), " ", on), _bar(slowest, longest))),
        _ratio(slowest),
        join(
            (human_seconds(sum(one.saved for one in group)), tag("small", f" on {len(group)}", class_="note"))
        ),
    ]


def _ratio(one: Comparison) -> str:
    return f"{one.ratio:.1f}×" if one.ratio is not None else "too short"


def _bar(one: Comparison, longest: float) -> Html:
    """Draw the emulated time with the native time in it; the cells beside say both in figures."""
    whole, native = (max(100 * seconds / longest, 0.5) for seconds in (one.seconds, one.native_seconds))
    return tag(
        "svg",
        tag("rect", class_="emulated", x="0", y="0", width=f"{whole:.2f}%", height="8", rx="2"),
        tag("rect", class_="native", x="0", y="0", width=f"{min(native, 100):.2f}%", height="8", rx="2"),
        class_="ratio",
        aria_hidden="true",
    )


def _left_out(cost: EmulationCost) -> Html | None:
    reasons = [
        (cost.native, "ran natively on the build machine's own platform (cross-compiled, or shared)"),
        (cost.cached, "came out of the cache, here or on the native platform"),
        (cost.unmatched, "have no counterpart on a native platform of their node"),
    ]
    said = "; ".join(f"{count} {why}" for count, why in reasons if count)
    return (
        tag("p", f"Not compared, of the RUN steps for emulated platforms: {said}.", class_="note")
        if said
        else None
    )
