"""Build results: one per platform, each with its attempts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from multibuild.buildx.classify import Failure
from multibuild.buildx.rawjson_progress import Step
from multibuild.errors import BuildFailed
from multibuild.frozen import frozen
from multibuild.plan.children import StagedChild
from multibuild.platforms import Platform
from multibuild.terminal import last_line, one_line, shorten

Outcome = Literal["ok", "failed", "timeout", "stalled", "cancelled"]
Status = Literal["succeeded", "reused", "failed", "cancelled"]


@frozen
class Attempt:
    """One run of buildx. `log` is relative to the run directory; `digest` is the child of a successful one."""

    number: int
    seconds: float
    outcome: Outcome
    log: str
    digest: str = ""
    failure: Failure | None = None
    steps: tuple[Step, ...] = ()


@frozen
class BuildResult:
    """One platform's end: its child's `digest` and `repository`, the `node` that built it, its attempts' `seconds`."""

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


def require_built(results: Sequence[BuildResult]) -> None:
    """Raise BuildFailed naming every required platform without a child."""
    missing = tuple(result for result in results if result.required and not result.built)
    if not missing:
        return
    platforms: dict[str, list[str]] = {}
    for result in missing:
        kind = result.failure.kind.name if result.failure else ""
        platforms.setdefault(kind, []).append(str(result.platform))
    groups = [", ".join(names) + (f" ({kind})" if kind else "") for kind, names in platforms.items()]
    first = next((result.failure for result in missing if result.failure), None)
    cause = f": {_cause(first.evidence)}" if first and first.evidence else ""
    raise BuildFailed(
        f"{', '.join(groups)}: not built, no tag was moved{cause}", hint=first.hint if first else None
    )


def _cause(evidence: str) -> str:
    """Return the last line of evidence without BuildKit's prefixes, as a part of a sentence."""
    return shorten(one_line(last_line(evidence)).rpartition("failed to solve: ")[2], 200)
