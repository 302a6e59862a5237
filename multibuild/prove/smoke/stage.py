"""The tests of a run: together where that can be, else one by one; what is not the test's own trouble, again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from multibuild.buildx.classify import Failure
from multibuild.buildx.repair_cache import repair_cache
from multibuild.buildx.retry import AttemptFailed, Budget, Decision, with_retries
from multibuild.buildx.slots import Slots
from multibuild.errors import EnvironmentFault, TestFailed
from multibuild.frozen import frozen
from multibuild.journal.events import RecordForgotten, SmokeTestGivenUp, SmokeTestWaiting
from multibuild.journal.local_children import builder_reference
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import RunDirectory
from multibuild.oci.reference import Reference
from multibuild.plan.plan import max_concurrent
from multibuild.platforms import Platform
from multibuild.prove.smoke.batch import run_together
from multibuild.prove.smoke.smoke_test import SmokeRun, Solver, TestOutcome, run_test
from multibuild.terminal import last_line, one_line

if TYPE_CHECKING:
    from multibuild.plan.plan import Plan, PlannedPlatform


CAUSE_LENGTH = 160
"""Characters of what kept a test from running that go into an error."""


class NodeFailover(Protocol):
    """Where a platform is tested while nodes come and go (implemented by the build stage)."""

    def assign(self, planned: PlannedPlatform, /) -> PlannedPlatform:
        """Return the platform on the first of its nodes that is not known to be gone, else where it was."""

    async def report_failure(self, planned: PlannedPlatform, failure: Failure, /) -> None:
        """Find out whether a failure was the end of its node."""


@frozen
class _Tested:
    """A planned platform and the test of its child."""

    planned: PlannedPlatform
    trial: SmokeRun


async def run_tests(
    plan: Plan,
    children: Sequence[tuple[PlannedPlatform, Reference]],
    recorder: Recorder,
    *,
    run: RunDirectory,
    failover: NodeFailover,
) -> dict[Platform, TestOutcome]:
    """Run each child's test where it was built; what they print goes to `logs/<slug>.test.log` of `run`.

    Gives the outcomes in the order of `children`. None is raised for a test that failed or could not be run.
    """
    laboratory = _Laboratory(plan, recorder, failover)
    groups = _groups(plan, tuple(_tested(children, run)))
    outcomes = {
        planned.platform: TestOutcome(platform=planned.platform, status="skipped", seconds=0.0)
        for planned, _ in children
    }
    for found in await asyncio.gather(*(laboratory.examine(group) for group in groups)):
        outcomes |= found
    for outcome in outcomes.values():
        recorder.record(outcome.event())
    return outcomes


def raise_for_tests(outcomes: Sequence[TestOutcome], *, hint: str, then: str = "") -> None:
    """Raise TestFailed naming the platforms whose test failed."""
    found = [outcome for outcome in outcomes if outcome.status == "failed" and outcome.trouble is None]
    if found:
        said = "; ".join(f"{outcome.platform}: {last_line(outcome.detail)}" for outcome in found)
        raise TestFailed(f"the test failed on {said}{then}", hint=hint)


def raise_for_trouble(outcomes: Sequence[TestOutcome], *, then: str = "") -> None:
    """Raise EnvironmentFault naming the platforms whose test something else kept from running.

    Nothing is known of those children: neither that their test failed (5) nor that they could not be built (4).
    """
    troubles = [(outcome.platform, outcome.trouble) for outcome in outcomes if outcome.trouble is not None]
    if not troubles:
        return
    grouped: dict[str, list[str]] = {}
    for platform, trouble in troubles:
        grouped.setdefault(trouble.kind.name, []).append(str(platform))
    named = "; ".join(f"{', '.join(platforms)} ({kind})" for kind, platforms in grouped.items())
    _, first = troubles[0]
    # Go's errors name what was tried first and the cause last.
    why = one_line(last_line(first.evidence))
    cause = why if len(why) <= CAUSE_LENGTH else f"…{why[-CAUSE_LENGTH:]}"
    raise EnvironmentFault(f"the test could not be run on {named}{then}: {cause}", hint=first.hint)


def _tested(children: Sequence[tuple[PlannedPlatform, Reference]], run: RunDirectory) -> Iterator[_Tested]:
    for planned, reference in children:
        if planned.test is not None:
            trial = SmokeRun(
                platform=planned.platform,
                test=planned.test,
                child=builder_reference(reference, run),
                log=run.logs / f"{planned.slug}.test.log",
                emulated=planned.emulated,
            )
            yield _Tested(planned=planned, trial=trial)


def _groups(plan: Plan, tests: Sequence[_Tested]) -> Iterator[tuple[_Tested, ...]]:
    """Put together what one builder runs for at most the same time, as many as may run at once."""
    kinds: dict[tuple[str, float], list[_Tested]] = {}
    for tested in tests:
        kinds.setdefault((tested.planned.node.builder, tested.trial.test.timeout), []).append(tested)
    most = max_concurrent(plan)
    for members in kinds.values():
        for start in range(0, len(members), most):
            yield tuple(members[start : start + most])


class _Laboratory:
    """What the tests of a run share: slots, retries, and the nodes that are gone."""

    def __init__(self, plan: Plan, recorder: Recorder, failover: NodeFailover) -> None:
        retry = plan.retry
        self._buildx, self._project = plan.facts.buildx, plan.project
        self._slots = Slots(plan.jobs)
        self._failover = failover
        self._recorder = recorder
        self._budget = Budget(
            attempts=retry.attempts,
            initial=retry.initial,
            max=retry.max,
            run_retries=max(10, 2 * len(plan.platforms)),
        )

    async def examine(self, group: Sequence[_Tested]) -> dict[Platform, TestOutcome]:
        """Try all together, then one by one those without a result."""
        found: dict[Platform, TestOutcome] = {}
        if len(group) > 1:
            async with self._slots.take(count=len(group)):
                solver = Solver(builder=group[0].planned.node.builder, buildx=self._buildx)
                found = await run_together([tested.trial for tested in group], solver)
        rest = [tested for tested in group if tested.planned.platform not in found]
        for outcome in await asyncio.gather(*map(self._one, rest)):
            found[outcome.platform] = outcome
        return found

    async def _one(self, tested: _Tested) -> TestOutcome:
        """Run one by itself, again when it was not the test that failed."""
        outcomes: list[TestOutcome] = []

        async def attempt(number: int, alone: bool) -> None:
            async with self._slots.take(alone=alone):
                outcomes.append(await self._somewhere(tested, number))
            if (trouble := outcomes[-1].trouble) is not None:
                raise AttemptFailed(trouble)

        with suppress(AttemptFailed):
            await with_retries(
                attempt,
                budget=self._budget,
                on_decision=lambda decision: self._record(tested.planned.platform, decision),
            )
        return outcomes[-1]

    async def _somewhere(self, tested: _Tested, number: int) -> TestOutcome:
        """Run it where the child was built; a node that has died since has nothing to say of the child."""
        while True:
            planned = self._failover.assign(tested.planned)
            solver = Solver(builder=planned.node.builder, buildx=self._buildx)
            trial = replace(tested.trial, emulated=planned.emulated)
            outcome = await run_test(trial, solver, attempt=number)
            if outcome.trouble is None:
                return outcome
            await self._failover.report_failure(planned, outcome.trouble)
            lost = await repair_cache(outcome.trouble, planned.node.builder, self._buildx, self._project)
            if lost is not None:
                self._recorder.record(RecordForgotten(platform=str(planned.platform), id=lost))
            if self._failover.assign(tested.planned).node.builder == planned.node.builder:
                return outcome

    def _record(self, platform: Platform, decision: Decision) -> None:
        name, kind, number = str(platform), decision.failure.kind.name, decision.number
        self._recorder.record(
            SmokeTestGivenUp(platform=name, number=number, failure_class=kind, reason=decision.reason)
            if decision.seconds is None
            else SmokeTestWaiting(
                platform=name,
                number=number,
                failure_class=kind,
                seconds=round(decision.seconds, 1),
                alone=decision.alone,
            )
        )
