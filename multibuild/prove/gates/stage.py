"""The gates of a run: after test and proof of content, before anything is published."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from multibuild.background import run_in_background, task_group
from multibuild.buildx.slots import Slots
from multibuild.errors import NO_TAG_MOVED, EnvironmentFault, VerificationFailed
from multibuild.frozen import frozen
from multibuild.journal.events import GateStarted
from multibuild.journal.run_context import RunContext
from multibuild.oci.store import Stores
from multibuild.plan.children import PlatformChild
from multibuild.prove.gates.outcome import GateOutcome
from multibuild.prove.gates.program import ProgramGate
from multibuild.prove.gates.size import SizeGate
from multibuild.terminal import one_line

if TYPE_CHECKING:
    from multibuild.config.gates.gate import Gate
    from multibuild.plan.plan import Plan

MAX_NAMED = 5
"""Outcomes that an error names; the report has all."""


@frozen
class GatesRun:
    """What the gates of an image need: its plan, the context of its stages, its registries, and the run's slots."""

    plan: Plan
    context: RunContext
    registries: Stores
    slots: Slots


async def pass_gates(run: GatesRun, children: Sequence[PlatformChild]) -> tuple[PlatformChild, ...]:
    """Run every gate for every child, as many at once as the slots allow; return the children that may be published.

    What a gate answered before is not reused: scanners learn. Raises VerificationFailed after all of them, naming each
    required platform that a required gate refused, else EnvironmentFault for one that could not be run. An optional
    platform is left out; a gate that is not required is only recorded.
    """
    if not run.plan.gates or not children:
        return tuple(children)
    with run.context.recorder.stage("gates"):
        async with task_group() as group:
            tasks = [group.create_task(_check(gate, run, children)) for gate in run.plan.gates]
    outcomes = [outcome for task in tasks for outcome in task.result()]
    _raise_for(run.plan, outcomes)
    blocked = {outcome.platform for outcome in outcomes if outcome.blocks}
    return tuple(child for child in children if child.planned.platform not in blocked)


async def _check(gate: Gate, run: GatesRun, children: Sequence[PlatformChild]) -> tuple[GateOutcome, ...]:
    """Run a gate for the children of its platforms; outcomes are recorded as they come."""
    checked = [child for child in children if gate.applies_to(child.planned.platform)]
    if gate.run is not None:
        program = ProgramGate(gate=gate, plan=run.plan, run=run.context.run)
        async with task_group() as group:
            tasks = [group.create_task(_run(program, child, run)) for child in checked]
        return tuple(task.result() for task in tasks)
    size = SizeGate(gate=gate, plan=run.plan, registries=run.registries)
    outcomes = await run_in_background(lambda: size.check(checked))
    for outcome in outcomes:
        run.context.recorder.record(outcome.event())
    return outcomes


async def _run(program: ProgramGate, child: PlatformChild, run: GatesRun) -> GateOutcome:
    record, platform = run.context.recorder.record, str(child.planned.platform)
    async with run.slots.take():
        record(GateStarted(platform=platform, gate=program.gate.name))
        outcome = await program.check(child)
    record(outcome.event())
    return outcome


def _raise_for(plan: Plan, outcomes: Sequence[GateOutcome]) -> None:
    """Raise for required platforms: first for gates that say no, then for those that gave no answer."""
    required = [one for one in outcomes if one.blocks and one.platform in plan.required_platforms]
    refused = [one for one in required if one.status == "failed"]
    if refused:
        hint = "`multibuild report` shows what it printed; `required: false` only reports"
        raise VerificationFailed(_message(refused, "says no to"), hint=hint)
    if required:
        raise EnvironmentFault(_message(required, "could not be run on"), hint=required[0].hint)


def _message(outcomes: Sequence[GateOutcome], verb: str) -> str:
    named = [
        f"the gate {one.gate} {verb} {one.platform}: {one_line(one.reason)}" for one in outcomes[:MAX_NAMED]
    ]
    more = [f"and {len(outcomes) - MAX_NAMED} more"] if len(outcomes) > MAX_NAMED else []
    return "; ".join([*named, *more, NO_TAG_MOVED])
