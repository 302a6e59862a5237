"""What emulation cost a run: each emulated step compared with the same step of a native platform. Pure.

Only equal steps are compared: a RUN at the same position of the same stage, on the same node, of two platforms that
were both built in this run, neither from the cache. Steps that ran on the build machine's own platform
(`FROM --platform=$BUILDPLATFORM`) are not emulated, whichever platform they are for.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from multibuild.frozen import frozen

MIN_RATIO_S = 0.1
"""Seconds of a native step below which starting the process dominates, and a ratio means nothing."""

MIN_WORD_OVERLAP = 0.5
"""Share of common words from which two commands at one position count as the same: their text contains the values of
build arguments, which differ between platforms."""

_STEP = re.compile(r"\[(?:[^\s/]+/\S+ (?=\S))?(?P<position>[^\]]+)\] RUN (?P<command>.*)", re.DOTALL)


@frozen
class Comparison:
    """One step of an emulated platform beside its native counterpart; `seconds` are wall time."""

    platform: str
    native_platform: str
    position: str
    name: str
    seconds: float
    native_seconds: float

    @property
    def ratio(self) -> float | None:
        """Emulated time per native time; None if the native step is too short to tell."""
        return self.seconds / self.native_seconds if self.native_seconds >= MIN_RATIO_S else None

    @property
    def overhead(self) -> float:
        """Seconds that the step would have been faster natively."""
        return max(self.seconds - self.native_seconds, 0.0)


@frozen
class EmulationCost:
    """All comparisons of a run, the costliest first, and the number of emulated platforms' steps without one.

    `cached` came from the cache, on either platform; `native` ran on the build machine's own platform; `unmatched`
    have no native counterpart.
    """

    comparisons: tuple[Comparison, ...]
    cached: int = 0
    native: int = 0
    unmatched: int = 0

    @property
    def overhead(self) -> float:
        """Seconds that all compared steps together would have been faster natively."""
        return sum(comparison.overhead for comparison in self.comparisons)

    def by_step(self) -> tuple[tuple[Comparison, ...], ...]:
        """Return the comparisons grouped by native step, the costliest group first."""
        groups: dict[tuple[str, str], list[Comparison]] = {}
        for comparison in self.comparisons:
            groups.setdefault((comparison.native_platform, comparison.position), []).append(comparison)
        by_cost = sorted(groups.values(), key=lambda group: -sum(step.overhead for step in group))
        return tuple(map(tuple, by_cost))


def emulation_cost(report: Mapping[str, Any]) -> EmulationCost:
    """Compare all steps of a report; one of an earlier version, without step identities, has no comparisons."""
    built = [row for row in report["platforms"] if row["status"] == "succeeded"]
    counts = {"cached": 0, "native": 0, "unmatched": 0}
    comparisons: list[Comparison] = []
    seen = set[tuple[str, str, str]]()
    for row in built:
        if not row["emulated"]:
            continue
        neighbours = [other for other in built if not other["emulated"] and _are_neighbours(row, other)]
        candidates = (NativePlatform.from_report(report, other["platform"]) for other in neighbours)
        native = next((platform for platform in candidates if platform.steps), NativePlatform("", {}))
        unemulated = native_vertices(report, row["node"])
        for step in identified_steps(report, row["platform"]):
            key = (_name(row), row["node"], step["vertex"])
            if key in seen and "groups" in report:
                continue  # a step of several images ran once
            seen.add(key)
            outcome = _compare(step, native, unemulated)
            if isinstance(outcome, Comparison):
                comparisons.append(outcome)
            elif outcome:
                counts[outcome] += 1
    comparisons.sort(key=lambda step: -step.overhead)
    return EmulationCost(comparisons=tuple(comparisons), **counts)


def _are_neighbours(row: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two platforms are of the same image, and built on the same node."""
    images = {one["platform"].removesuffix(_name(one)) for one in (row, other)}
    return len(images) == 1 and row["node"] == other["node"]


def _name(row: Mapping[str, Any]) -> str:
    """Return a platform's name without that of its image."""
    return str(row.get("name", row["platform"]))


class NativePlatform(NamedTuple):
    """A native platform and its RUN steps by position, each with its command."""

    platform: str
    steps: Mapping[str, Sequence[tuple[str, Mapping[str, Any]]]]

    @classmethod
    def from_report(cls, report: Mapping[str, Any], platform: str) -> NativePlatform:
        """Return a platform's RUN steps."""
        steps: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
        for step in identified_steps(report, platform):
            if match := _STEP.match(step["name"]):
                steps.setdefault(match["position"], []).append((match["command"], step))
        return cls(platform, steps)


def native_vertices(report: Mapping[str, Any], node: str) -> frozenset[str]:
    """Return the vertices that ran on a node's own platform: those of native platforms, and those shared by several.

    A vertex's digest covers its platform, so that a vertex of several platforms runs on none of theirs. The same
    platform of several images is one.
    """
    rows = {row["platform"]: row for row in report["platforms"] if row["node"] == node}
    users: dict[str, set[str]] = {}
    for step in report["steps"]:
        if step["platform"] in rows:
            for digest in filter(None, (step.get("vertex"), step.get("base"))):
                users.setdefault(digest, set()).add(step["platform"])
    return frozenset(
        digest
        for digest, platforms in users.items()
        if len({_name(rows[platform]) for platform in platforms}) > 1
        or any(not rows[platform]["emulated"] for platform in platforms)
    )


def is_emulated(step: Mapping[str, Any], unemulated: frozenset[str]) -> bool:
    """Whether a step of an emulated platform ran under emulation: only a RUN can."""
    is_run = _STEP.match(step["name"]) is not None
    return is_run and step.get("vertex") not in unemulated and step.get("base") not in unemulated


def emulated_steps(report: Mapping[str, Any]) -> Iterator[EmulatedStep]:
    """Yield the steps of successful platforms that ran under emulation in this run, with their positions."""
    for row in report["platforms"]:
        if row["status"] != "succeeded" or not row["emulated"]:
            continue
        unemulated = native_vertices(report, row["node"])
        for step in identified_steps(report, row["platform"]):
            match = _STEP.match(step["name"])
            if match and not step["cached"] and is_emulated(step, unemulated):
                yield EmulatedStep(row["platform"], match["position"], step["seconds"])


class EmulatedStep(NamedTuple):
    """A step that ran under emulation; `seconds` are wall time."""

    platform: str
    position: str
    seconds: float


def identified_steps(report: Mapping[str, Any], platform: str) -> list[Mapping[str, Any]]:
    """Return a platform's steps that have an identity (a vertex digest)."""
    return [step for step in report["steps"] if step["platform"] == platform and step.get("vertex")]


def _compare(
    step: Mapping[str, Any], native: NativePlatform, unemulated: frozenset[str]
) -> Comparison | str | None:
    """Return the comparison, the reason why there is none, or None for a step that is no RUN."""
    match = _STEP.match(step["name"])
    if match is None:
        return None
    if not is_emulated(step, unemulated):
        return "native"
    if step["cached"]:
        return "cached"
    for command, other in native.steps.get(match["position"], ()):
        if _is_same_command(command, match["command"]):
            if other["cached"]:
                return "cached"
            return Comparison(
                platform=step["platform"],
                native_platform=native.platform,
                position=match["position"],
                name=other["name"],
                seconds=step["seconds"],
                native_seconds=other["seconds"],
            )
    return "unmatched"


def _is_same_command(command: str, other: str) -> bool:
    words, others = (Counter(re.findall(r"\w+", text)) for text in (command, other))
    common = (words & others).total()
    return command == other or 2 * common >= MIN_WORD_OVERLAP * (words.total() + others.total())
