"""The host as `setup` leaves it or `doctor` sees it: one report per `builder:` of the config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multibuild.engine.engine import EngineInfo
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.probe import ProbeResult
from multibuild.plan.host_facts import HostFacts, Node
from multibuild.platforms import Platform


@frozen
class Unreachable:
    """Why a builder does not answer, and what to do about it."""

    reason: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.reason} ({self.hint})" if self.hint else self.reason


@frozen
class NodeReport:
    """A builder that answers: its facts, its probes, and warnings about registries it has no settings for.

    `cache_entry` is for facts.json. `in_engine` is whether it runs inside the engine, and not on another machine.
    `limits_fault` is why it does not limit steps, where platforms need that.
    """

    node: Node
    probes: tuple[ProbeResult, ...]
    registry_warnings: tuple[str, ...]
    cache_entry: Mapping[str, Any]
    in_engine: bool
    limits_fault: str = ""


@frozen
class BuilderReport:
    """The nodes of one `builder:`, the builders that do not answer → why, and changes, in words.

    `stand_in`: its builders are not made yet, and the nodes are their engines' own, through which the probes ran.
    """

    builder: str
    nodes: tuple[NodeReport, ...]
    unreachable: Mapping[str, Unreachable]
    changes: tuple[str, ...]
    planned_builders: tuple[str, ...]
    planned_emulators: tuple[str, ...]
    stand_in: bool = False


@frozen
class Host:
    """The engine and one report per `builder:`, that of the config's own first."""

    engine: EngineInfo
    reports: tuple[BuilderReport, ...]

    @property
    def nodes(self) -> tuple[NodeReport, ...]:
        """Return the builders that answer."""
        return tuple(node for report in self.reports for node in report.nodes)

    @property
    def probes(self) -> tuple[ProbeResult, ...]:
        """Return one result per platform."""
        best = (best_results(node.probes for node in report.nodes) for report in self.reports)
        return tuple(result for results in best for result in results)

    @property
    def changes(self) -> tuple[str, ...]:
        """Return what was changed, in words."""
        return tuple(change for report in self.reports for change in report.changes)

    @property
    def planned_changes(self) -> tuple[str, ...]:
        """Return what `setup` would change: builders, then emulators; empty when it was done."""
        emulators = (change for report in self.reports for change in report.planned_emulators)
        return (*self.planned_builders, *emulators)

    @property
    def planned_builders(self) -> tuple[str, ...]:
        """Return what `setup` would change about builders."""
        return tuple(change for report in self.reports for change in report.planned_builders)

    @property
    def unreachable(self) -> dict[str, Unreachable]:
        """Return the builders that do not answer, and why."""
        return {name: reason for report in self.reports for name, reason in report.unreachable.items()}

    @property
    def is_local(self) -> bool:
        """Whether this machine's kernel runs the builder's programs, so that looking at it explains failures."""
        return self.engine.local and any(node.in_engine for node in self.reports[0].nodes[:1])

    @property
    def facts(self) -> HostFacts:
        """Return what a plan is made from."""
        return HostFacts(
            nodes=tuple(node.node for node in self.nodes),
            cpus=self.engine.cpus,
            memory=self.engine.memory,
            buildx=(self.engine.buildx_path,),
            docker_version=self.engine.version,
            buildx_version=self.engine.buildx_version,
            all_local=self.engine.local
            and all([node.in_engine for node in report.nodes] == [True] for report in self.reports),
        )

    @property
    def facts_document(self) -> dict[str, Any]:
        """Return facts.json: what later plans are made from, and the probes that a later setup need not repeat."""
        return {
            "for_builder": self.reports[0].builder,
            "probed": {node.node.builder: node.cache_entry for node in self.nodes},
            **self.facts.as_json(),
        }

    @property
    def environment(self) -> dict[str, Any]:
        """Return what the report of a run shows of the host."""
        nodes = [report.node for report in self.nodes]
        return {
            "docker": self.engine.version,
            "buildx": self.engine.buildx_version,
            "buildkit": ", ".join(dict.fromkeys(node.buildkit for node in nodes)),
            "builder": ", ".join(node.builder for node in nodes),
            "emulators": {platform: how for node in nodes for platform, how in node.emulators.items()},
        }


LIMITS_HINT = (
    "buildx 0.35, and BuildKit 0.31 with access to its cgroups, can do it: update them, "
    "or remove `memory` and `cpus`"
)


def require_step_limits(host: Host) -> None:
    """Raise EnvironmentFault naming every builder of platforms with limits that does not limit steps."""
    faults = {report.node.builder: report.limits_fault for report in host.nodes if report.limits_fault}
    if faults:
        reasons = "; ".join(f"{builder} ({fault})" for builder, fault in faults.items())
        raise EnvironmentFault(
            f"`memory` and `cpus` of platforms would have no effect on {reasons}", hint=LIMITS_HINT
        )


def best_results(nodes: Iterable[Sequence[ProbeResult]]) -> tuple[ProbeResult, ...]:
    """Return one result per platform, in the order of the first node: that of a node which runs it, if any does."""
    best: dict[Platform, ProbeResult] = {}
    for result in (result for results in nodes for result in results):
        if result.platform not in best or result.runs:
            best[result.platform] = result
    return tuple(best.values())
