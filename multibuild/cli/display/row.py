"""A platform's row in the live table, folded from its events."""

from __future__ import annotations

from dataclasses import dataclass

from multibuild.cli.display.event_text import final_text, gate_text, proof_end, sentence, short_step
from multibuild.journal.events import (
    AttemptEnded,
    AttemptStarted,
    AttemptWaiting,
    ContentEnded,
    GateEnded,
    GateStarted,
    LogLine,
    PlatformEnded,
    PlatformEvent,
    SmokeTestEnded,
    SmokeTestWaiting,
    StepStarted,
)
from multibuild.terminal import human_seconds, last_line


@dataclass(kw_only=True, slots=True)
class Row:
    """A platform's row. `since` and `seconds` are seconds, of the monotonic clock and of wall time.

    `image` is empty in a run of one image.
    """

    name: str
    image: str = ""
    state: str = "queued"
    since: float | None = None
    seconds: float | None = None
    attempt: int = 1
    step: str = ""
    last: str = ""

    def fold(self, event: PlatformEvent, now: float) -> None:
        """Update the row with an event of its platform."""
        match event:
            case AttemptStarted():
                self.state, self.since, self.attempt = "building", now, event.number
                self.step = self.last = ""
            case StepStarted():
                self.step, self.last = short_step(event.step), ""
            case LogLine():
                self.last = final_text(event.text) or self.last
            case AttemptEnded() if event.failure_class:
                self.step, self.last = event.failure_class, final_text(last_line(event.evidence))
            case AttemptWaiting():
                self.state, self.since = "retrying", None
                self.last = sentence(event) or ""
            case PlatformEnded():
                self.state, self.seconds = event.status, event.seconds
                if event.status != "failed":
                    self.step = self.last = ""
            case _:
                self._fold_proof(event)

    def _fold_proof(self, event: PlatformEvent) -> None:
        match event:
            case SmokeTestWaiting():
                self.step, self.last = "test", sentence(event) or ""
            case SmokeTestEnded() if event.status != "skipped":
                self.step = proof_end("test", event.status, event.failure_class)
                self.last = final_text(last_line(event.detail))
            case ContentEnded() if event.status != "skipped":
                self.step = proof_end("content", event.status)
                self.last = final_text(last_line(event.detail))
            case GateStarted() | GateEnded():
                self.step = gate_text(event) or ""
                self.last = final_text(last_line(event.detail)) if isinstance(event, GateEnded) else ""

    def elapsed(self, now: float) -> str:
        """Return the duration, up to now while it runs; empty before."""
        elapsed = (
            self.seconds if self.seconds is not None else None if self.since is None else now - self.since
        )
        return "" if elapsed is None else human_seconds(elapsed)
