"""Section "What emulation cost": each step compared with the same step on a native platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.report.emulation_cost import Comparison, EmulationCost, emulation_cost
from multibuild.report.html.markup import Content, Html, Section, code, disclosure, join, table, tag
from multibuild.terminal import human_seconds

MAX_STEPS = 8
"""Steps in the visible table; the folded one has all of them."""


def emulation_section(report: Mapping[str, Any]) -> Section | None:
    """Return the section; None if nothing was emulated."""
    if not any(row["emulated"] and row["attempts"] for row in report["platforms"]):
        return None
    cost = emulation_cost(report)
    parts = (_comparisons(cost) if cost.comparisons else tag("p", _NO_COMPARISON), _exclusions(cost))
    return Section(anchor="emulation", heading="What emulation cost", content=join(parts))


_NO_COMPARISON = (
    "This run has nothing to compare: it takes a step that ran both natively and emulated, on the same node, "
    "and came out of the cache on neither side."
)


def _comparisons(cost: EmulationCost) -> Html:
    groups = cost.by_step()
    longest = max(step.seconds for step in cost.comparisons)
    rows = [_row(group, longest) for group in groups[:MAX_STEPS]]
    headings = ("Step", "Native", "Slowest emulated", "Ratio", "Cross-compiling saves up to")
    costliest = table("The steps that emulation slows most.", headings, rows, numbers=frozenset({1, 3, 4}))
    every: list[list[Content]] = [
        [code(step.platform), code(step.name), human_seconds(step.seconds), human_seconds(step.native_seconds),
         _ratio(step), human_seconds(step.overhead)]
        for step in cost.comparisons
    ]  # fmt: skip
    columns = ("Platform", "Step", "Emulated", "Native", "Ratio", "Difference")
    unfolded = table("Every comparison, costliest first.", columns, every, numbers=frozenset({2, 3, 4, 5}))
    everything = disclosure(f"All {len(every)} comparisons", unfolded) if len(every) > 1 else None
    return join((tag("p", _sentence(cost, groups)), tag("p", *_CAVEAT, class_="note"), costliest, everything))


def _sentence(cost: EmulationCost, groups: Sequence[Sequence[Comparison]]) -> Html:
    costliest = groups[0][0]
    emulated = human_seconds(sum(step.seconds for step in cost.comparisons))
    native = human_seconds(sum(step.native_seconds for step in cost.comparisons))
    slow, fast = human_seconds(costliest.seconds), human_seconds(costliest.native_seconds)
    total = f"Emulated steps took {emulated}, all platforms together; the same steps natively take {native}. "
    costs = f" on {costliest.platform}: {slow} instead of {fast}."
    return join((f"{total}Costliest is ", code(costliest.name), costs))


_CAVEAT: tuple[Content, ...] = (
    "Times are wall time while platforms shared the machine, so read small differences with care. A step is ",
    "cross-compiled in a stage ",
    code("FROM --platform=$BUILDPLATFORM"),
    " that builds for ",
    code("$TARGETARCH"),
    "; that takes about as long as the native step.",
)


def _row(group: Sequence[Comparison], longest: float) -> list[Content]:
    slowest = max(group, key=lambda step: step.seconds)
    platform = tag("small", slowest.platform, class_="note")
    overhead = human_seconds(sum(step.overhead for step in group))
    return [
        code(slowest.name),
        human_seconds(slowest.native_seconds),
        join((tag("span", human_seconds(slowest.seconds), " ", platform), _bar(slowest, longest))),
        _ratio(slowest),
        join((overhead, tag("small", f" on {len(group)}", class_="note"))),
    ]


def _ratio(step: Comparison) -> str:
    return f"{step.ratio:.1f}×" if step.ratio is not None else "too short"


def _bar(step: Comparison, longest: float) -> Html:
    """Draw the emulated time with the native time in it; the cells beside hold both as figures."""
    emulated, native = (max(100 * seconds / longest, 0.5) for seconds in (step.seconds, step.native_seconds))
    return tag(
        "svg",
        tag("rect", class_="emulated", x="0", y="0", width=f"{emulated:.2f}%", height="8", rx="2"),
        tag("rect", class_="native", x="0", y="0", width=f"{min(native, 100):.2f}%", height="8", rx="2"),
        class_="ratio",
        aria_hidden="true",
    )


def _exclusions(cost: EmulationCost) -> Html | None:
    reasons = [
        (cost.native, "ran natively on the build machine's own platform (cross-compiled, or shared)"),
        (cost.cached, "came out of the cache, here or on the native platform"),
        (cost.unmatched, "have no counterpart on a native platform of their node"),
    ]
    text = "; ".join(f"{count} {reason}" for count, reason in reasons if count)
    sentence = f"Not compared, of the RUN steps for emulated platforms: {text}."
    return tag("p", sentence, class_="note") if text else None
