"""Contestants run in turn, compared by medians: on a shared machine only simultaneous runs are comparable."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


def nothing() -> None:
    """Prepare nothing."""


@dataclass(frozen=True, kw_only=True)
class Contestant:
    """One way to do the work. `run` returns the measured value; `before` runs ahead of it, unmeasured."""

    name: str
    run: Callable[[], float]
    before: Callable[[], None] = nothing


@dataclass(frozen=True, kw_only=True)
class Case:
    """Ours and its peers; `target` limits our median over the best peer's, or (no peers) in `unit`.

    `floors` are lower bounds: the same work without multibuild, or a part of it that every tool has to do.
    """

    name: str
    ours: Contestant
    peers: tuple[Contestant, ...] = ()
    floors: tuple[Contestant, ...] = ()
    target: float
    unit: str = "s"


@dataclass(frozen=True, kw_only=True)
class Result:
    """Every value by contestant, ours first. `floors` are the names of those that are no peers."""

    name: str
    target: float
    unit: str
    values: Mapping[str, Sequence[float]]
    floors: tuple[str, ...] = ()

    @property
    def medians(self) -> dict[str, float]:
        """Return the median of each contestant."""
        return {name: statistics.median(values) for name, values in self.values.items()}

    @property
    def spreads(self) -> dict[str, float]:
        """Return the largest over the smallest value of each contestant."""
        return {name: max(values) / max(min(values), 1e-9) for name, values in self.values.items()}

    @property
    def best_peer(self) -> str | None:
        """Return the peer with the smallest median; None for a case without peers."""
        peers = [pair for pair in list(self.medians.items())[1:] if pair[0] not in self.floors]
        return min(peers, key=lambda pair: pair[1])[0] if peers else None

    @property
    def ratio(self) -> float:
        """Return our median over the best peer's; without peers our median, in the case's unit."""
        return self.ratio_of(next(iter(self.medians)))

    def ratio_of(self, name: str) -> float:
        """Return the same for another contestant."""
        own = self.medians[name]
        return own if self.best_peer is None else own / self.medians[self.best_peer]

    @property
    def met(self) -> bool:
        """Whether the target is met."""
        return self.ratio <= self.target

    def as_json(self) -> dict[str, object]:
        """Return everything as JSON types."""
        return {
            "case": self.name,
            "unit": self.unit,
            "target": self.target,
            "ratio": round(self.ratio, 3),
            "met": self.met,
            "best_peer": self.best_peer,
            "floors": {name: round(self.ratio_of(name), 3) for name in self.floors},
            "medians": {name: round(value, 3) for name, value in self.medians.items()},
            "spreads": {name: round(value, 2) for name, value in self.spreads.items()},
            "values": {name: [round(value, 3) for value in values] for name, values in self.values.items()},
        }


def measure(case: Case, rounds: int, log: Callable[[str], None]) -> Result:
    """Run every contestant once a round, in an order that rotates from round to round."""
    contestants = (case.ours, *case.peers, *case.floors)
    values: dict[str, list[float]] = {contestant.name: [] for contestant in contestants}
    for number in range(rounds):
        first = number % len(contestants)
        for contestant in (*contestants[first:], *contestants[:first]):
            contestant.before()
            values[contestant.name].append(contestant.run())
            log(
                f"{case.name}, {number + 1}/{rounds}: {contestant.name} {values[contestant.name][-1]:.2f} {case.unit}"
            )
    floors = tuple(contestant.name for contestant in case.floors)
    return Result(name=case.name, target=case.target, unit=case.unit, values=values, floors=floors)


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command to time. `codes` are the accepted exit codes."""

    argv: Sequence[str]
    cwd: Path | None = None
    codes: frozenset[int] = frozenset({0})
    environ: Mapping[str, str] = field(default_factory=dict)

    def __call__(self) -> float:
        """Run it and return wall seconds. RuntimeError for any other exit code."""
        began = time.monotonic()
        done = subprocess.run(
            self.argv,
            cwd=self.cwd,
            env={**os.environ, **self.environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        seconds = time.monotonic() - began
        if done.returncode not in self.codes:
            output = (done.stdout + done.stderr).decode("utf-8", "replace")[-3000:]
            raise RuntimeError(f"{' '.join(self.argv)[:200]}: exit code {done.returncode}\n{output}")
        return seconds


def one_after_another(*commands: Callable[[], float]) -> Callable[[], float]:
    """Return the sum of several commands."""
    return lambda: sum(command() for command in commands)


def packed(command: Callable[[], float]) -> Callable[[], float]:
    """Return a measure of a command's CPU time over the number of processors: its time if none were ever idle."""

    def busy() -> float:
        # proc(5): user nice system idle iowait irq softirq steal, in clock ticks
        ticks = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

    def run() -> float:
        before = busy()
        command()
        return (busy() - before) / (os.cpu_count() or 1)

    return run
