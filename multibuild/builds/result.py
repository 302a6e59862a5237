"""Build results: one per platform, each with its attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from multibuild.buildx.vertex import Step
from multibuild.failures.classify import Failure
from multibuild.frozen import frozen
from multibuild.plan.children import StagedChild
from multibuild.platforms import Platform

Outcome = Literal["ok", "failed", "timeout", "stalled", "cancelled"]
Status = Literal["succeeded", "reused", "failed", "cancelled", "skipped"]


@frozen
class Attempt:
    """One run of buildx. `log` is relative to the run directory; `digest` is the child of a successful one.

    `running_step` is the step in which it was when it ended; empty when it was in none. `crashed_after`: the seconds
    to an emulator's crash in the step that a limit ended; None without one.
    """

    number: int
    seconds: float
    outcome: Outcome
    log: str
    digest: str = ""
    failure: Failure | None = None
    steps: tuple[Step, ...] = ()
    running_step: str = ""
    crashed_after: float | None = None


@frozen
class BuildResult:
    """One platform's end: its child's `digest` and `repository`, the `node` that built it, its attempts' `seconds`.

    One is "skipped" because an image that it is built from, `reason`, has no child.
    """

    platform: Platform
    required: bool
    status: Status
    repository: str
    node: str = ""
    digest: str = ""
    seconds: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    reason: str = ""

    @property
    def built(self) -> bool:
        """Whether there is a child."""
        return self.status in {"succeeded", "reused"}

    @property
    def child(self) -> StagedChild:
        """Return the child of a platform that was built."""
        return StagedChild(platform=self.platform, repository=self.repository, digest=self.digest)

    @property
    def failure(self) -> Failure | None:
        """Return the failure of the last attempt."""
        return self.attempts[-1].failure if self.attempts else None


def staged_children(results: Sequence[BuildResult]) -> tuple[StagedChild, ...]:
    """Return the children that were built or reused, in order."""
    return tuple(result.child for result in results if result.built)
