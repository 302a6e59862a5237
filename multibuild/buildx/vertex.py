"""The steps of a build: as they are collected, finished, and while they run."""

from __future__ import annotations

import codecs
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from multibuild.failures.evidence import DecisiveLines, Evidence
from multibuild.frozen import frozen

TAIL_LINES = 40
"""Last lines kept of each step, as evidence of a failure."""

CANCELLED = "context canceled"
"""In the error of a step that did not fail: BuildKit ended it with its build."""


@frozen
class Step:
    """A finished step. `seconds` is from start to completion, 0 for a cached step.

    `started` is by the clock of the building machine. `vertex` is BuildKit's digest of the step: builds with the same
    vertex share its work. `base` is the vertex of the image at the bottom of the step's file system, from which follows
    the platform that the step ran on; empty for `FROM scratch`.
    """

    name: str
    seconds: float
    cached: bool
    started: datetime | None = None
    vertex: str = ""
    base: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the JSON of the journal: that of report.json without the platform, `started` in RFC 3339."""
        return {
            "name": self.name,
            "seconds": round(self.seconds, 3),
            "cached": self.cached,
            "started": self.started.isoformat(timespec="milliseconds") if self.started else None,
            "vertex": self.vertex,
            "base": self.base,
        }


@frozen
class OpenStep:
    """A step that began and has no end of its own: it runs, or BuildKit cancelled it. `evidence` has no message.

    `last_output` is when it last printed, or began, in seconds of the collector's clock.
    """

    vertex: str
    evidence: Evidence
    last_output: float


@dataclass(slots=True)
class Vertex:
    """What is known of one step of BuildKit's graph."""

    name: str = ""
    inputs: tuple[str, ...] = ()
    started: datetime | None = None
    seconds: float = 0.0
    cached: bool = False
    done: bool = False
    error: str = ""
    partial: str = ""
    last_output: float = 0.0
    decoder: codecs.IncrementalDecoder = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")("replace")
    )
    tail: deque[str] = field(default_factory=lambda: deque(maxlen=TAIL_LINES))
    decisive: DecisiveLines = field(default_factory=DecisiveLines)

    @property
    def is_internal(self) -> bool:
        """Whether BuildKit added the step by itself."""
        return self.name.startswith("[internal]")

    @property
    def has_failed(self) -> bool:
        """Whether the step ended with an error of its own."""
        return bool(self.error) and CANCELLED not in self.error

    @property
    def is_open(self) -> bool:
        """Whether the step began and has no end of its own."""
        return self.started is not None and (CANCELLED in self.error if self.error else not self.done)

    def evidence(self, message: str) -> Evidence:
        """Return the evidence of the step, with BuildKit's `message` of its end."""
        return Evidence(message=message, step=self.name, tail=tuple(self.tail), decisive=self.decisive.lines)
