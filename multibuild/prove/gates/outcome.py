"""How a gate ended for the child of one platform."""

from __future__ import annotations

from typing import Literal

from multibuild.frozen import frozen
from multibuild.journal.events import GateEnded
from multibuild.platforms import Platform

Status = Literal["passed", "failed", "not-run"]


@frozen
class GateOutcome:
    """The outcome of a gate for a platform's child: "failed" is a no, "not-run" is no answer.

    `reason` is one line, `detail` the end of what a program printed, `log` its file relative to the run's directory.
    `seconds` is wall time.
    """

    gate: str
    platform: Platform
    required: bool
    status: Status
    reason: str = ""
    detail: str = ""
    hint: str | None = None
    log: str | None = None
    seconds: float = 0.0

    @property
    def blocks(self) -> bool:
        """Whether the child must not be published."""
        return self.required and self.status != "passed"

    def event(self) -> GateEnded:
        """Return the outcome's event for the journal."""
        return GateEnded(
            platform=str(self.platform),
            gate=self.gate,
            status=self.status,
            required=self.required,
            seconds=round(self.seconds, 3),
            reason=self.reason or None,
            detail=self.detail or None,
            hint=self.hint,
            log=self.log,
        )
