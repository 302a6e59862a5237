"""What emulation cost a run: each emulated step against the same step of a native platform. Pure: a report in.

Only like is set against like: a RUN at the same place of the same stage, on the same node, of two platforms that
were both built in this run, neither of them out of the cache. Steps that ran on the build machine's own platform
(`FROM --platform=$BUILDPLATFORM`) cost no emulation, whichever platform they were for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from multibuild.frozen import frozen

MIN_RATIO_S = 0.1
"""Seconds: below, starting a process is most of a step's time, and a ratio would say nothing."""

MIN_WORD_OVERLAP = 0.5
"""The share of their words that two commands at the same place have in common if they are the same one: names hold
the values of build arguments, which differ between platforms."""

_STEP = re.compile(r"\[(?:\S+/\S+ (?=\S))?(?P<place>[^\]]+)\] RUN (?P<command>.*)", re.DOTALL)


@frozen
class Comparison:
    """One step of an emulated platform beside its native counterpart; `seconds` are wall time."""

    platform: str
    native_platform: str
    place: str
    name: str
    seconds: float
    native_seconds: float

    @property
    def ratio(self) -> float | None:
        """How many times as long it took; None where the native step was too short to tell."""
        return self.seconds / self.native_seconds if self.native_seconds >= MIN_RATIO_S else None

    @property
    def saved(self) -> float:
        """Seconds less if it had run natively."""
        return max(self.seconds - self.native_seconds, 0.0)


@frozen
class EmulationCost:
    """All comparisons the run allows, the dearest first, and how many emulated platforms' steps allowed none.

    `cached` were, here or on the native platform; `native` ran on the build machine's own platform; `unmatched`
    have no counterpart.
    """

    comparisons: tuple[Comparison, ...]
    cached: int = 0
    native: int = 0
    unmatched: int = 0

    @property
    def saved(self) -> float:
        """Seconds of all platforms together, if every compared step had run natively."""
        return sum(comparison.saved for comparison in self.comparisons)

    def by_step(self) -> tuple[tuple[Comparison, ...], ...]:
        """Give the comparisons grouped by native step, the dearest group first."""
        groups: dict[tuple[str, str], list[Comparison]] = {}
        for comparison in self.comparisons:
            groups.setdefault((comparison.native_platform, comparison.place), []).append(comparison)
        dearest = sorted(groups.values(), key=lambda group: -sum(one.saved for one in group))
        return tuple(map(tuple, dearest))


def emulation_cost(report: Mapping[str, Any]) -> EmulationCost:
    """Compare; empty for a report without step identities (of an earlier version)."""
    built = [row for row in report["platforms"] if row["status"] == "succeeded"]
    counts = {"cached": 0, "native": 0, "unmatched": 0}
    found: list[Comparison] = []
    for row in built:
        if not row["emulated"]:
            continue
        beside = [other for other in built if not other["emulated"] and other["node"] == row["node"]]
        candidates = (Reference.of(report, other["platform"]) for other in beside)
        native = next((one for one in candidates if one.steps), Reference("", {}))
        unemulated = native_vertices(report, row["node"])
        for step in identified_steps(report, row["platform"]):
            outcome = _compare(step, native, unemulated)
            if isinstance(outcome, Comparison):
                found.append(outcome)
            elif outcome:
                counts[outcome] += 1
    found.sort(key=lambda one: -one.saved)
    return EmulationCost(comparisons=tuple(found), **counts)


class Reference(NamedTuple):
    """A native platform and its RUN steps by their place, to compare with."""

    platform: str
    steps: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]]

    @classmethod
    def of(cls, report: Mapping[str, Any], platform: str) -> Reference:
        """Take a platform's steps, each with its command."""
        steps: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        for step in identified_steps(report, platform):
            if match := _STEP.match(step["name"]):
                steps.setdefault(match["place"], []).append((match["command"], step))
        return cls(platform, steps)


def native_vertices(report: Mapping[str, Any], node: str) -> frozenset[str]:
    """Give what ran on a node's own platform: vertices and bases of native platforms, and those of several.

    Two platforms have a vertex in common only where it is for neither of them: the platform is part of its digest.
    """
    rows = {row["platform"]: row for row in report["platforms"] if row["node"] == node}
    users: dict[str, set[str]] = {}
    for step in report["steps"]:
        if step["platform"] in rows:
            for digest in filter(None, (step.get("vertex"), step.get("base"))):
                users.setdefault(digest, set()).add(step["platform"])
    return frozenset(
        digest
        for digest, names in users.items()
        if len(names) > 1 or any(not rows[name]["emulated"] for name in names)
    )


def is_emulated(step: Mapping[str, Any], unemulated: frozenset[str]) -> bool:
    """Whether a step of an emulated platform ran under emulation: only a RUN can."""
    ran = _STEP.match(step["name"]) is not None
    return ran and step.get("vertex") not in unemulated and step.get("base") not in unemulated


def identified_steps(report: Mapping[str, Any], platform: str) -> list[Mapping[str, Any]]:
    """Give a platform's steps that can be told from others."""
    return [step for step in report["steps"] if step["platform"] == platform and step.get("vertex")]


def _compare(
    step: Mapping[str, Any], native: Reference, unemulated: frozenset[str]
) -> Comparison | str | None:
    """Give the comparison, the reason there is none, or None for what emulation does not slow."""
    match = _STEP.match(step["name"])
    if match is None:
        return None
    if not is_emulated(step, unemulated):
        return "native"
    if step["cached"]:
        return "cached"
    for command, other in native.steps.get(match["place"], ()):
        if _alike(command, match["command"]):
            if other["cached"]:
                return "cached"
            return Comparison(
                platform=step["platform"],
                native_platform=native.platform,
                place=match["place"],
                name=other["name"],
                seconds=step["seconds"],
                native_seconds=other["seconds"],
            )
    return "unmatched"


def _alike(one: str, other: str) -> bool:
    words, others = (Counter(re.findall(r"\w+", text)) for text in (one, other))
    common = (words & others).total()
    return one == other or 2 * common >= MIN_WORD_OVERLAP * (words.total() + others.total())
