"""What a run's build time could have been without: emulated compiling, emulation as a whole, a cold cache. Pure.

Seconds are build time, all platforms together, of steps that really ran; the run itself becomes shorter by less, as
platforms build side by side. The three overlap: they are ways out, not a sum.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Literal, get_args

from multibuild.frozen import frozen
from multibuild.report.emulation_cost import Comparison, EmulationCost, emulated_steps, emulation_cost

MIN_SAVING_S = 5.0
"""Seconds from which a saving is worth a line."""

Way = Literal["cross-compile", "native-node", "cache"]

Basis = Literal["measured", "estimated", "recorded"]

_STAGE = re.compile(r"(?P<stage>\S+) \d+/\d+")
"""A position in a Dockerfile with several stages; those without a name are `stage-0`, `stage-1` …"""

_UNNAMED = re.compile(r"stage-\d+")


@frozen
class Saving:
    """One way to less build time. `seconds` is an upper bound; `steps` are those that it concerns.

    `subject` is the stage to cross-compile, the platform to give a machine, or empty. `basis` is where the seconds come
    from: "measured" compares each step with its native counterpart of this run; "estimated" takes this run's slow-down
    for steps without one; "recorded" are steps that an earlier run made already. `change` is the line to write.
    """

    way: Way
    subject: str
    seconds: float
    basis: Basis
    steps: int
    change: str

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of report.json."""
        return {
            "way": self.way,
            "subject": self.subject,
            "seconds": round(self.seconds, 1),
            "basis": self.basis,
            "steps": self.steps,
            "change": self.change,
        }


@frozen
class _Gain:
    """What one emulated step would have been faster natively, in seconds."""

    stage: str
    platform: str
    seconds: float
    measured: bool


def find_savings(report: Mapping[str, Any], *, has_cache: bool = False) -> tuple[Saving, ...]:
    """Return what is worth a line, the most first; nothing without a measured slow-down or an earlier run.

    `has_cache` is whether the run had a cache to read: then another one is no way out.
    """
    gains = _gains(report, emulation_cost(report))
    candidates = [*_cross_compiling(gains), *_native_node(gains), *([] if has_cache else _cache(report))]
    worthwhile = [saving for saving in candidates if saving.seconds >= MIN_SAVING_S]
    return tuple(sorted(worthwhile, key=lambda saving: -saving.seconds))


def largest_savings(report: Mapping[str, Any]) -> tuple[Saving, ...]:
    """Return the largest saving of each way in a report's `savings`, the most first.

    A report may have none, and one of another version ways that are not known here.
    """
    rows = [row for row in report.get("savings", ()) if row["basis"] in get_args(Basis)]
    savings = [Saving(**{item.name: row[item.name] for item in fields(Saving)}) for row in rows]
    by_way = [[saving for saving in savings if saving.way == way] for way in get_args(Way)]
    largest = [max(group, key=lambda saving: saving.seconds) for group in by_way if group]
    return tuple(sorted(largest, key=lambda saving: -saving.seconds))


def _gains(report: Mapping[str, Any], cost: EmulationCost) -> tuple[_Gain, ...]:
    """Return the gain of every emulated step that has a native counterpart, or a slow-down to estimate it by."""
    compared = {(step.platform, step.position): step for step in cost.comparisons}
    overall = _slow_down(cost.comparisons)
    factors = {
        platform: _slow_down([step for step in cost.comparisons if step.platform == platform]) or overall
        for platform in {row["platform"] for row in report["platforms"]}
    }
    gains = []
    for platform, position, seconds in emulated_steps(report):
        stage = match["stage"] if (match := _STAGE.match(position)) else ""
        step, factor = compared.get((platform, position)), factors.get(platform)
        if step is not None:
            gains.append(_Gain(stage=stage, platform=platform, seconds=step.overhead, measured=True))
        elif factor is not None:
            gain = max(seconds - seconds / factor, 0.0)
            gains.append(_Gain(stage=stage, platform=platform, seconds=gain, measured=False))
    return tuple(gains)


def _slow_down(comparisons: Sequence[Comparison]) -> float | None:
    """Return emulated time per native time over steps long enough to tell; None without any."""
    long = [step for step in comparisons if step.ratio is not None]
    native = sum(step.native_seconds for step in long)
    return sum(step.seconds for step in long) / native if native else None


def _cross_compiling(gains: Iterable[_Gain]) -> Iterable[Saving]:
    stages: dict[str, list[_Gain]] = {}
    for gain in gains:
        stages.setdefault(gain.stage, []).append(gain)
    if stages:
        stage = max(stages, key=lambda name: _total(stages[name]))
        name = stage if stage and not _UNNAMED.fullmatch(stage) else "build"
        yield _saving("cross-compile", stage, stages[stage], f"FROM --platform=$BUILDPLATFORM … AS {name}")


def _native_node(gains: Iterable[_Gain]) -> Iterable[Saving]:
    platforms: dict[str, list[_Gain]] = {}
    for gain in gains:
        platforms.setdefault(gain.platform, []).append(gain)
    if platforms:
        platform = max(platforms, key=lambda name: _total(platforms[name]))
        change = f"nodes: [{{endpoint: ssh://…, platforms: [{platform}]}}]"
        yield _saving("native-node", platform, platforms[platform], change)


def _saving(way: Way, subject: str, gains: Sequence[_Gain], change: str) -> Saving:
    return Saving(
        way=way,
        subject=subject,
        seconds=_total(gains),
        basis="measured" if all(gain.measured for gain in gains) else "estimated",
        steps=len(gains),
        change=change,
    )


def _total(gains: Iterable[_Gain]) -> float:
    return sum(gain.seconds for gain in gains)


def _cache(report: Mapping[str, Any]) -> Iterable[Saving]:
    """Return the saving of a cache: steps that an earlier run made, and this one again. What is shared counts once."""
    again = {
        step["vertex"]: step["seconds"]
        for step in report["steps"]
        if step.get("ran_before") and step.get("vertex") and not step["cached"]
    }
    if again:
        yield Saving(
            way="cache",
            subject="",
            seconds=sum(again.values()),
            basis="recorded",
            steps=len(again),
            change=f"cache: {{from: [{_CACHE}], to: ['{_CACHE},mode=max']}}",
        )


_CACHE = "type=registry,ref=…/cache:{slug}"
