"""Steps of a build as a log shows them, in bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from multibuild.buildx.read_log.suspects import loud_lines
from multibuild.buildx.vertex import TAIL_LINES
from multibuild.failures.evidence import DecisiveLines

MAX_STEPS = 512
"""Steps that are kept; of more, the oldest that did not fail are forgotten."""

MAX_NAME_CHARACTERS = 8192
MAX_LINE_CHARACTERS = 2000
"""Kept of a line that a step printed."""

MAX_WHOLE_LINES = 10_000
"""Of a step that are each looked at for a cause; a hundred times longer logs must be read in seconds too."""


@dataclass(slots=True)
class LogStep:
    """A step: its name without the form it has in the log, its last lines, BuildKit's error; empty where unknown.

    `is_numbered`: BuildKit's number stands before each of its lines, so none are missing. `seen` counts its lines.
    `order` counts steps and errors as the log has them; that of an error is in `error_order`, 0 without one.
    """

    name: str = ""
    order: int = 0
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    decisive: DecisiveLines = field(default_factory=DecisiveLines)
    error: str = ""
    error_order: int = 0
    canceled: bool = False
    is_started: bool = False
    done: bool = False
    is_numbered: bool = False
    seen: int = 0

    def add(self, lines: Sequence[str], text_of: Callable[[str], str] = str) -> None:
        """Add lines that the step printed; `text_of` removes what the log's form puts before each.

        Of very many, only those are looked at that speak of an error loudest.
        """
        whole = max(0, MAX_WHOLE_LINES - self.seen)
        self.seen += len(lines)
        self.lines.extend(text_of(line)[-MAX_LINE_CHARACTERS:] for line in lines[-TAIL_LINES:])
        for line in lines[:whole]:
            self.decisive.add(text_of(line))
        for line in loud_lines(lines[whole:]):
            self.decisive.add(text_of(line))

    @property
    def is_running(self) -> bool:
        """Whether the log shows no end of the step."""
        return (self.is_started or bool(self.lines)) and bool(self.name) and not self.done and not self.error

    @property
    def has_failed(self) -> bool:
        """Whether the step failed by itself."""
        return bool(self.error) and not self.canceled


class StepBook:
    """All steps of a log by key: BuildKit's number, or the name where there is none."""

    def __init__(self) -> None:
        """Start without steps."""
        self._steps: dict[str, LogStep] = {}
        self._count = 0

    def __iter__(self) -> Iterator[LogStep]:
        """Iterate over the steps in the order of their first line."""
        return iter(self._steps.values())

    def get(self, key: str) -> LogStep | None:
        """Return the step of a key."""
        return self._steps.get(key)

    def open(self, key: str, name: str = "") -> LogStep:
        """Return the step of a key; a new one gets the name."""
        step = self._steps.get(key)
        if step is None:
            if len(self._steps) >= MAX_STEPS:
                self._forget()
            step = self._steps[key] = LogStep(name=name[:MAX_NAME_CHARACTERS], order=self._next())
        return step

    def replace(self, key: str, name: str) -> LogStep:
        """Return a new step under a key; the earlier one is kept if it failed."""
        earlier = self._steps.pop(key, None)
        if earlier is not None and earlier.error:
            self._steps[f"{key} {earlier.order}"] = earlier
        return self.open(key, name)

    def named(self, name: str) -> LogStep | None:
        """Return the latest step of a name, which a terminal may have cut at its right edge."""
        for step in reversed(self._steps.values()):
            if step.name and (step.name == name or _is_cut(step.name, name) or _is_cut(name, step.name)):
                return step
        return None

    def fail(self, step: LogStep, error: str, *, canceled: bool = False) -> None:
        """Record the error of a step. An end by itself outweighs a cancellation, and more words outweigh fewer."""
        canceled = canceled or "context canceled" in error
        if step.has_failed and (canceled or len(error) <= len(step.error)):
            return
        step.error_order = step.error_order or self._next()
        step.error, step.canceled = error, canceled

    def clear(self) -> None:
        """Forget the steps that did not fail: their numbers begin again with the next build in the log."""
        failed = [step for step in self._steps.values() if step.error]
        self._steps = {f"earlier {step.order}": step for step in failed[-MAX_STEPS // 4 :]}

    def _forget(self) -> None:
        """Drop the oldest quarter, failed steps last."""
        keys = sorted(self._steps, key=lambda key: (self._steps[key].has_failed, self._steps[key].order))
        for key in keys[: MAX_STEPS // 4]:
            del self._steps[key]

    def _next(self) -> int:
        self._count += 1
        return self._count


MIN_CUT_CHARACTERS = 20


def _is_cut(begin: str, name: str) -> bool:
    """Whether one name is the begin of the other, blanks aside at its end."""
    begin = begin.rstrip(" …")
    return len(begin) >= MIN_CUT_CHARACTERS and name.startswith(begin)
