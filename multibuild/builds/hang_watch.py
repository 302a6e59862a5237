"""Steps that QEMU crashed in, and that never ended: found while they run, and named when something else ends them.

A program that QEMU killed may leave its parent waiting for ever: a pipe that nobody closes, a lock, a job server.
BuildKit says nothing about a silent step, so without a look at the processors only the timeout of hours would end it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from multibuild.buildx.rawjson_progress import Progress
from multibuild.buildx.vertex import OpenStep
from multibuild.failures.classify import Failure, classify
from multibuild.failures.evidence import Evidence
from multibuild.frozen import frozen
from multibuild.terminal import human_seconds

CRASHES = frozenset({"qemu-crash", "qemu-illegal-instruction"})
"""Failure classes of a program that an emulator ended, or that is taken for one."""

MAX_IDLE_PROCESSORS = 0.02
"""What a waiting step uses: a shell that asks every second whether a file is there."""

UNSEEN_FACTOR = 10.0
"""How much longer the silence must be where no emulator is seen, as on another machine."""

MAX_WINDOW_S = 10.0
"""Seconds over which the use of processors is averaged, at most; a third of the patience for a short one."""


class Activity(Protocol):
    """Measures a step's programs."""

    def processors(self, step: str) -> float | None:
        """Return how many processors the step used since the last call; None if its programs cannot be seen."""


@frozen
class Crash:
    """A crash in a step without an end. `line` is QEMU's, `seen` the time of the last line when it was noticed."""

    failure: Failure
    line: str
    seen: float


class HangWatch:
    """Watch over one platform's attempt. `patience`: seconds of silence after a crash, None to wait for ever."""

    def __init__(
        self,
        progress: Progress,
        *,
        emulated: bool,
        patience: float | None,
        activity: Activity | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the attempt's clock. Without an `activity` nothing can be seen of the step's programs.

        `silence` says how long nothing came, once `is_hung` has found it too long.
        """
        self._progress = progress
        self._emulated = emulated
        self._patience = patience
        self._activity = activity
        self._clock = clock
        self._start = clock()
        self._seen: dict[str, tuple[tuple[str, ...], Crash | None]] = {}
        self._measured = self._busy = self._start
        self._is_visible = False
        self.silence = ""

    @property
    def crash(self) -> Crash | None:
        """The crash in a step that has not ended, with the step's last lines; None without one."""
        step = self._crashed_step()
        crash = self._crash_in(step) if step else None
        if step is None or crash is None:
            return None
        latest = classify(step.evidence, emulated=self._emulated)
        return replace(crash, failure=replace(crash.failure, evidence=latest.evidence))

    @property
    def crashed_after(self) -> float | None:
        """How many seconds after the attempt's start the crash came, or little before; None without one."""
        crash = self.crash
        return crash.seen - self._start if crash else None

    def is_hung(self) -> bool:
        """Whether the crashed step has been silent and idle for `patience`; longer where idleness cannot be seen."""
        step, now = self._crashed_step(), self._clock()
        if step is None or self._patience is None:
            return False
        if now - self._measured < min(MAX_WINDOW_S, self._patience / 3):
            return False
        self._measure(step, now)
        crash = self._crash_in(step)
        quiet_since = max(step.last_output, self._busy, crash.seen if crash else now)
        if now - quiet_since < self._patience * (1.0 if self._is_visible else UNSEEN_FACTOR):
            return False
        seen = " and no processor time" if self._is_visible else ""
        self.silence = f"no output{seen} for {human_seconds(now - quiet_since)}"
        return True

    def _measure(self, step: OpenStep, now: float) -> None:
        used = self._activity.processors(step.evidence.step) if self._activity else None
        self._measured, self._is_visible = now, used is not None
        if used is not None and used > MAX_IDLE_PROCESSORS:
            self._busy = now

    def _crashed_step(self) -> OpenStep | None:
        for step in self._progress.open_steps():
            if self._crash_in(step) is not None:
                return step
        return None

    def _crash_in(self, step: OpenStep) -> Crash | None:
        """Return the step's crash; it is looked for again only when the step has printed something decisive."""
        lines, crash = self._seen.get(step.vertex, ((), None))
        if crash is None and lines != step.evidence.decisive:
            crash = self._new_crash(step)
            self._seen[step.vertex] = step.evidence.decisive, crash
        return crash

    def _new_crash(self, step: OpenStep) -> Crash | None:
        evidence, failure = step.evidence, self._crash_failure(step.evidence)
        if failure is None:
            return None
        lines = (line for line in evidence.decisive if self._crash_failure(_only(line, evidence)))
        return Crash(failure=failure, line=next(lines, evidence.decisive[0]), seen=step.last_output)

    def _crash_failure(self, evidence: Evidence) -> Failure | None:
        failure = classify(evidence, emulated=self._emulated)
        return failure if failure.kind.name in CRASHES else None


def _only(line: str, evidence: Evidence) -> Evidence:
    return Evidence(message="", step=evidence.step, tail=(), decisive=(line,))
