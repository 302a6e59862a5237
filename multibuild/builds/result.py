"""What comes out of building: one result per platform, each with its attempts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from multibuild.buildx.classify import Failure
from multibuild.buildx.progress import Step
from multibuild.frozen import frozen
from multibuild.plan.children import StagedChild
from multibuild.platforms import Platform

Outcome = Literal["ok", "failed", "timeout", "stalled", "cancelled"]
Status = Literal["succeeded", "reused", "failed", "cancelled"]


@frozen
class Attempt:
    """One run of buildx. `log` is relative to the run directory; `digest` is the pushed child of a good one."""

    number: int
    seconds: float
    outcome: Outcome
    log: str
    digest: str = ""
    failure: Failure | None = None
    steps: tuple[Step, ...] = ()


@frozen
class BuildResult:
    """One platform's end.

    `digest` is the child as pushed, `repository` where it is, `node` who built it, `seconds` its attempts'.
    """

    platform: Platform
    required: bool
    status: Status
    repository: str
    node: str = ""
    digest: str = ""
    seconds: float = 0.0
    attempts: tuple[Attempt, ...] = ()

    @property
    def built(self) -> bool:
        """Whether there is a child to go on with."""
        return self.status in {"succeeded", "reused"}

    @property
    def child(self) -> StagedChild:
        """Return the child of a platform that was built."""
        return StagedChild(platform=self.platform, repository=self.repository, digest=self.digest)

    @property
    def failure(self) -> Failure | None:
        """Why the last attempt failed."""
        return self.attempts[-1].failure if self.attempts else None


OnBuilt = Callable[[StagedChild], None]
"""Called with every child as soon as it is staged."""


def staged_children(results: Sequence[BuildResult]) -> tuple[StagedChild, ...]:
    """Return the children that were built or reused, in order."""
    return tuple(result.child for result in results if result.built)


def missing_required(results: Sequence[BuildResult]) -> tuple[BuildResult, ...]:
    """Give the required platforms that have no child."""
    return tuple(result for result in results if result.required and not result.built)
