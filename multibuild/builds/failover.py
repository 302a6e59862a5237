"""What happens when a node dies in the middle of a run: its platforms move to the next one that can build them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from multibuild.builds.result import BuildResult
from multibuild.buildx.classify import Failure
from multibuild.buildx.process import ProcessLimits, run_process
from multibuild.journal.recorder import Say
from multibuild.plan.plan import Plan, PlannedPlatform

SUSPICIOUS = frozenset(
    {
        *("builder-gone", "network", "connection-refused", "dns", "no-such-host"),
        *("killed", "stalled", "timeout", "unknown"),
    }
)
"""Classes of failure that a dead node can show as: whether it is dead, the node itself is asked."""

ANSWER_LIMIT = 30.0
"""Seconds for a node to answer; buildx itself gives up after twenty."""

Alive = Callable[[str], Awaitable[bool]]
"""Whether a builder answers."""


class Failover:
    """Who builds what, while nodes come and go."""

    def __init__(self, alive: Alive, say: Say) -> None:
        """Take who knows whether a builder answers, and who hears of one that does not."""
        self._alive = alive
        self._say = say
        self._gone: set[str] = set()

    @classmethod
    def of(cls, plan: Plan, say: Say) -> Failover:
        """Return the failover of a plan's nodes, which asks buildx whether they answer."""
        return cls(answering(plan.facts.buildx, plan.project), say)

    def assign(self, planned: PlannedPlatform) -> PlannedPlatform:
        """Give the platform on the first of its nodes that is not known to be gone, else where it was."""
        if planned.node.builder not in self._gone:
            return planned
        for placement in planned.standby:
            if placement.node.builder not in self._gone:
                return replace(
                    planned, node=placement.node, staging=placement.staging, emulated=placement.emulated
                )
        return planned

    async def report_failure(self, planned: PlannedPlatform, failure: Failure) -> None:
        """Find out whether a failed attempt was its node's end; nobody is asked where there is nowhere to go."""
        name = planned.node.builder
        if not planned.standby or name in self._gone or failure.kind.name not in SUSPICIOUS:
            return
        if not await self._alive(name) and name not in self._gone:
            self._gone.add(name)
            self._say(f"node {name} does not answer any more: its platforms move to other nodes")


def settled(plan: Plan, results: Sequence[BuildResult]) -> Plan:
    """Give the plan as it was carried out: each platform on the node that built it, where its test runs too."""
    built_on = {result.platform: result.node for result in results}
    return replace(
        plan, platforms=tuple(_on(planned, built_on.get(planned.platform)) for planned in plan.platforms)
    )


def _on(planned: PlannedPlatform, node: str | None) -> PlannedPlatform:
    for placement in planned.standby:
        if placement.node.builder == node:
            return replace(
                planned, node=placement.node, staging=placement.staging, emulated=placement.emulated
            )
    return planned


def answering(buildx: Sequence[str], folder: Path) -> Alive:
    """Make the question whether a builder answers: `buildx inspect` connects to its nodes and says their status."""

    async def alive(builder: str) -> bool:
        lines: list[str] = []
        ended = await run_process(
            (*buildx, "inspect", builder),
            cwd=folder,
            on_line=lambda line: lines.append(line.decode("utf-8", "replace")),
            limits=ProcessLimits(timeout=ANSWER_LIMIT),
        )
        words = [line.split() for line in lines]
        return ended.code == 0 and ended.end_reason == "exited" and ["Status:", "running"] in words

    return alive
