"""The smoke tests of a run: many in one solve where possible, the rest one by one, with retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from multibuild.buildx.attempt_retries import AttemptFailed, Budget, Decision, with_retries
from multibuild.buildx.prune_lost_snapshot import prune_lost_snapshot
from multibuild.buildx.slots import Slots
from multibuild.errors import EnvironmentFault, TestFailed
from multibuild.failures.classify import Failure
from multibuild.frozen import frozen
from multibuild.journal.events import RecordForgotten, SmokeTestGivenUp, SmokeTestWaiting
from multibuild.journal.local_children import builder_reference
from multibuild.journal.recorder import Recorder
from multibuild.journal.runs import RunDirectory
from multibuild.oci.reference import Reference
from multibuild.platforms import Platform
from multibuild.prove.smoke.batch import run_together
from multibuild.prove.smoke.smoke_test import SmokeRun, Solver, TestOutcome, run_test
from multibuild.qemu.cpu_models import FasterCpu
from multibuild.qemu.local import faster_cpu_here
from multibuild.terminal import last_line, one_line

if TYPE_CHECKING:
    from multibuild.config.sections import SmokeTest
    from multibuild.plan.plan import Plan
    from multibuild.plan.planned_platform import PlannedPlatform

MAX_CAUSE_LENGTH = 160
"""Characters of an environment failure in an error."""


class NodeFailover(Protocol):
    """The nodes of platforms, which can be lost during a run (implemented by the build stage)."""

    def assign(self, planned: PlannedPlatform, /) -> PlannedPlatform:
        """Return the platform on the first of its nodes that is not lost, else unchanged."""

    async def report_failure(self, planned: PlannedPlatform, failure: Failure, /) -> Failure:
        """Find out whether a failure means that its node is lost; return it, as one to retry if the node is back."""

    async def restore(self, builder: str, /) -> bool:
        """Make a builder again if it is gone and ours."""


@frozen
class _PlannedTest:
    """A planned platform and the smoke test of its child."""

    planned: PlannedPlatform
    smoke_run: SmokeRun


async def run_tests(
    plan: Plan,
    children: Sequence[tuple[PlannedPlatform, Reference]],
    recorder: Recorder,
    *,
    run: RunDirectory,
    failover: NodeFailover,
) -> dict[Platform, TestOutcome]:
    """Run each child's test on its node, with the output in `logs/<slug>.test.log` of `run`.

    Returns the outcomes in the order of `children`. Raises nothing for a test that failed or could not be run.
    """
    runner = _Runner(plan, recorder, failover)
    find_cpu = faster_cpu_here if plan.facts.all_local else _no_faster_cpu
    tests = tuple(_planned_tests(children, run, find_cpu))
    groups = _groups(plan, tests)
    outcomes = {
        planned.platform: TestOutcome(platform=planned.platform, status="skipped") for planned, _ in children
    }
    for results in await asyncio.gather(*map(runner.run_group, groups)):
        outcomes |= results
    for outcome in outcomes.values():
        recorder.record(outcome.event())
    return outcomes


def raise_for_tests(outcomes: Sequence[TestOutcome], *, hint: str, suffix: str = "") -> None:
    """Raise TestFailed naming the platforms whose test failed."""
    reasons = [
        f"{outcome.platform}: {last_line(outcome.detail)}"
        for outcome in outcomes
        if outcome.status == "failed" and outcome.environment_failure is None
    ]
    if reasons:
        raise TestFailed(f"the test failed on {'; '.join(reasons)}{suffix}", hint=hint)


def raise_for_environment(outcomes: Sequence[TestOutcome], *, suffix: str = "") -> None:
    """Raise EnvironmentFault naming the platforms whose test could not be run.

    Nothing is known of those children: neither that their test failed (5) nor that they could not be built (4).
    """
    failures = [
        (one.platform, one.environment_failure) for one in outcomes if one.environment_failure is not None
    ]
    if not failures:
        return
    platforms: dict[str, list[str]] = {}
    for platform, failure in failures:
        platforms.setdefault(failure.kind.name, []).append(str(platform))
    names = "; ".join(f"{', '.join(names)} ({kind})" for kind, names in platforms.items())
    _, first = failures[0]
    # Go's errors begin with the operation and end with the cause.
    cause = one_line(first.cause or last_line(first.evidence))
    cause = cause if len(cause) <= MAX_CAUSE_LENGTH else f"…{cause[-MAX_CAUSE_LENGTH:]}"
    raise EnvironmentFault(f"the test could not be run on {names}{suffix}: {cause}", hint=first.hint)


def _no_faster_cpu(_platform: Platform) -> FasterCpu | None:
    return None


def smoke_test_of(
    planned: PlannedPlatform, find_cpu: Callable[[Platform], FasterCpu | None]
) -> SmokeTest | None:
    """Return a platform's test, on a CPU as good as the emulator's default that is faster, where there is one.

    The config's own `emulator_cpu` stays, and where another node may take over its emulator is not known.
    """
    test = planned.test
    if test is None or not planned.emulated or test.emulator_cpu or planned.standby:
        return test
    faster = find_cpu(planned.platform)
    return test if faster is None else replace(test, emulator_cpu=faster.model)


def _planned_tests(
    children: Sequence[tuple[PlannedPlatform, Reference]],
    run: RunDirectory,
    find_cpu: Callable[[Platform], FasterCpu | None],
) -> Iterator[_PlannedTest]:
    for planned, reference in children:
        if (test := smoke_test_of(planned, find_cpu)) is not None:
            smoke_run = SmokeRun(
                platform=planned.platform,
                test=test,
                child=builder_reference(reference, run),
                log=run.logs / f"{planned.slug}.test.log",
                emulated=planned.emulated,
            )
            yield _PlannedTest(planned=planned, smoke_run=smoke_run)


def _groups(plan: Plan, tests: Sequence[_PlannedTest]) -> Iterator[tuple[_PlannedTest, ...]]:
    """Return the tests grouped by builder and timeout, with at most as many in a group as may run at once."""
    groups: dict[tuple[str, float], list[_PlannedTest]] = {}
    for test in tests:
        groups.setdefault((test.planned.node.builder, test.smoke_run.test.timeout), []).append(test)
    size = plan.max_concurrent
    for group in groups.values():
        for start in range(0, len(group), size):
            yield tuple(group[start : start + size])


class _Runner:
    """The slots, retries and nodes that the tests of a run share."""

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

    async def run_group(self, group: Sequence[_PlannedTest]) -> dict[Platform, TestOutcome]:
        """Run all tests in one solve, then those without an outcome one by one."""
        outcomes: dict[Platform, TestOutcome] = {}
        if len(group) > 1:
            async with self._slots.take(count=len(group)):
                solver = Solver(builder=group[0].planned.node.builder, buildx=self._buildx)
                outcomes = await run_together([test.smoke_run for test in group], solver)
                if not outcomes:  # the builder may be gone: before each test makes buildx start it
                    await self._failover.restore(solver.builder)
        rest = [test for test in group if test.planned.platform not in outcomes]
        for outcome in await asyncio.gather(*map(self._run_with_retries, rest)):
            outcomes[outcome.platform] = outcome
        return outcomes

    async def _run_with_retries(self, test: _PlannedTest) -> TestOutcome:
        """Run one test; retry after environment failures, never after a failed test."""
        outcomes: list[TestOutcome] = []

        async def attempt(number: int, alone: bool) -> None:
            async with self._slots.take(alone=alone):
                outcomes.append(await self._run_on_node(test, number))
            if (failure := outcomes[-1].environment_failure) is not None:
                raise AttemptFailed(failure)

        with suppress(AttemptFailed):
            await with_retries(
                attempt,
                budget=self._budget,
                on_decision=lambda decision: self._record(test.planned.platform, decision),
            )
        return outcomes[-1]

    async def _run_on_node(self, test: _PlannedTest, number: int) -> TestOutcome:
        """Run a test on the child's node, or on the next one if that is lost: its end says nothing of the child."""
        while True:
            planned = self._failover.assign(test.planned)
            solver = Solver(builder=planned.node.builder, buildx=self._buildx)
            smoke_run = replace(test.smoke_run, emulated=planned.emulated)
            outcome = await run_test(smoke_run, solver, attempt=number)
            failure = outcome.environment_failure
            if failure is None:
                return outcome
            failure = await self._failover.report_failure(planned, failure)
            outcome = replace(outcome, environment_failure=failure)
            record = await prune_lost_snapshot(failure, planned.node.builder, self._buildx, self._project)
            if record is not None:
                self._recorder.record(RecordForgotten(platform=str(planned.platform), id=record))
            if self._failover.assign(test.planned).node.builder == planned.node.builder:
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
