"""Failover: a builder that is lost in the middle of a run is made again, or its platforms move to the next node."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Container, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from multibuild.builds.result import BuildResult
from multibuild.buildx.process import ProcessLimits, run_process
from multibuild.failures.classes import BUILDER_GONE
from multibuild.failures.classify import Failure, failure_of
from multibuild.journal.recorder import Say
from multibuild.plan.plan import Plan
from multibuild.plan.planned_platform import PlannedPlatform

NODE_FAILURES = BUILDER_GONE | {
    *("connection-lost", "network", "connection-refused", "dns", "no-such-host"),
    *("killed", "stalled", "timeout", "unknown"),
}
"""Failure classes that a dead node can cause: after one of them the node is asked whether it answers."""

ANSWER_TIMEOUT_S = 30.0
"""Seconds for a node to answer; buildx itself gives up after twenty."""

MAX_RESTORATIONS = 3
"""Of one builder in a run: what removes it each time it is made is not fought."""

IsAlive = Callable[[str], Awaitable[bool]]
"""Whether a builder answers."""


class Restorer(Protocol):
    """Makes builders again that are gone (implemented by the host stage)."""

    def covers(self, builder: str, /) -> bool:
        """Whether the builder is ours to make again."""

    async def restore(self, builder: str, /) -> bool:
        """Make the builder again; return whether it answers then."""


class Failover:
    """Makes builders again that are lost, and moves platforms off dead nodes."""

    def __init__(self, is_alive: IsAlive, say: Say, restorer: Restorer | None = None) -> None:
        """Build the failover from a check of builders; `say` shows the message about a dead one."""
        self._is_alive = is_alive
        self._say = say
        self._restorer = restorer
        self._restorations: Counter[str] = Counter()
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._dead: set[str] = set()

    @classmethod
    def of(cls, plan: Plan, say: Say, restorer: Restorer | None = None) -> Failover:
        """Return the failover of a plan's nodes, which asks buildx whether they answer."""
        return cls(node_check(plan.facts.buildx, plan.project), say, restorer)

    def assign(self, planned: PlannedPlatform) -> PlannedPlatform:
        """Return the platform on the first of its nodes that is not known to be dead, else where it was."""
        if planned.node.builder not in self._dead:
            return planned
        return _on_standby(planned, {placement.node.builder for placement in planned.standby} - self._dead)

    async def report_failure(self, planned: PlannedPlatform, failure: Failure) -> Failure:
        """Find out after a failed attempt whether its node is lost; return the failure, as one to retry if it is back.

        Call it before another build may begin there: of builds that find their builder gone, each makes buildx start
        it, and those that come second fail where BuildKit does not listen yet.
        """
        if failure.kind.name not in NODE_FAILURES:
            return failure
        name = planned.node.builder
        if await self.restore(name):
            # "no builder found" of one that answers is older than the builder; words that nobody knows may be, too.
            was_lost = failure.kind.name in BUILDER_GONE or self._restorations[name] > 0
            is_over = was_lost and failure.retry == "permanent"
            return failure_of("builder-gone", failure.evidence) if is_over else failure
        await self._look_for_death(planned)
        return failure

    async def restore(self, builder: str) -> bool:
        """Return whether a builder that is ours to make again answers; it is made again if it does not."""
        if self._restorer is None or not self._restorer.covers(builder):
            return False
        async with self._locks[builder]:
            if await self._is_alive(builder):
                return True
            if self._restorations[builder] >= MAX_RESTORATIONS:
                return False
            self._restorations[builder] += 1
            self._say(f"the builder {builder} is gone: making it again")
            return await self._restorer.restore(builder)

    async def _look_for_death(self, planned: PlannedPlatform) -> None:
        """Check whether the node is dead, unless the platform has no other node."""
        name = planned.node.builder
        if not planned.standby or name in self._dead:
            return
        if not await self._is_alive(name) and name not in self._dead:
            self._dead.add(name)
            self._say(f"node {name} does not answer any more: its platforms move to other nodes")


def plan_after_failover(plan: Plan, results: Sequence[BuildResult]) -> Plan:
    """Return the plan with each platform on the node that built it, which runs its smoke test too."""
    nodes = {result.platform: result.node for result in results}
    platforms = (_on_standby(planned, {nodes.get(planned.platform)}) for planned in plan.platforms)
    return replace(plan, platforms=tuple(platforms))


def _on_standby(planned: PlannedPlatform, builders: Container[str | None]) -> PlannedPlatform:
    """Return the platform on the first standby node that is one of `builders`, else where it was."""
    for placement in planned.standby:
        if placement.node.builder in builders:
            return replace(
                planned, node=placement.node, staging=placement.staging, emulated=placement.emulated
            )
    return planned


def node_check(buildx: Sequence[str], folder: Path) -> IsAlive:
    """Return a check of builders: `buildx inspect` connects to a builder's nodes and prints their status."""

    async def is_alive(builder: str) -> bool:
        lines: list[str] = []
        result = await run_process(
            (*buildx, "inspect", builder),
            cwd=folder,
            on_line=lambda line: lines.append(line.decode("utf-8", "replace")),
            limits=ProcessLimits(timeout=ANSWER_TIMEOUT_S),
        )
        words = [line.split() for line in lines]
        return result.code == 0 and result.end_reason == "exited" and ["Status:", "running"] in words

    return is_alive
