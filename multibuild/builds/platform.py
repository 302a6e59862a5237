"""One platform from its first attempt to its result: attempts, retries and their events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.builds.attempt import BuildContext, make_attempt
from multibuild.builds.dependencies import DependencyMissing
from multibuild.builds.patience import Patience, patience_after
from multibuild.builds.result import Attempt, BuildResult, Status
from multibuild.builds.resume import FinishedChild
from multibuild.buildx.attempt_retries import AttemptFailed, Decision, with_retries
from multibuild.buildx.prune_lost_snapshot import prune_lost_snapshot
from multibuild.buildx.vertex import Step
from multibuild.failures.classify import Failure
from multibuild.journal.events import AttemptGivenUp, AttemptWaiting, Emit, PlatformEnded, RecordForgotten
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.plan.spec import repository_of


async def build_platform(
    planned: PlannedPlatform, context: BuildContext, *, first: Attempt | None = None
) -> BuildResult:
    """Build one platform with retries. Never raises for a failed build; a cancellation is recorded and raised.

    `first` is an attempt that a batch made; one that was cancelled by another platform's failure does not count.
    """
    try:
        planned = await context.images.with_contexts(planned)
    except DependencyMissing as missing:
        return _skip(planned, str(missing), context)
    return await _build_with_retries(planned, context, first)


async def _build_with_retries(
    planned: PlannedPlatform, context: BuildContext, first: Attempt | None
) -> BuildResult:
    interrupted = first is not None and first.outcome == "cancelled"
    attempts: list[Attempt] = [first] if first and interrupted else []
    offset = len(attempts)  # `with_retries` does not count the interrupted attempt
    platform = str(planned.platform)
    current = planned
    usual = patience_after((), planned, context.crash_timeout)

    def patience() -> Patience:
        return patience_after(attempts, planned, context.crash_timeout)

    async def run_attempt(number: int, alone: bool) -> None:
        nonlocal current
        if first is not None and number == 1 and not interrupted:
            attempts.append(first)
            failure = await _report_failure(first, current, context)
        else:
            rank = context.rank(planned)
            async with context.slots.take(alone=alone, is_retry=number + offset > 1, rank=rank):
                current = context.failover.assign(planned)
                attempt = await make_attempt(current, context, number + offset, patience(), attempts.append)
                failure = await _report_failure(attempt, current, context)
        if failure is not None:
            record = await prune_lost_snapshot(failure, current.node.builder, context.buildx, context.project)
            if record is not None:
                context.emit(RecordForgotten(platform=platform, id=record))
            raise AttemptFailed(failure)

    status: Status = "cancelled"
    try:
        await with_retries(
            run_attempt,
            budget=context.budget,
            on_decision=lambda decision: _record_decision(
                platform, decision, offset, patience().shortened_text(usual), context.emit
            ),
        )
        status = "succeeded"
    except AttemptFailed:
        status = "failed"
    finally:
        result = BuildResult(
            platform=planned.platform,
            required=planned.required,
            status=status,
            repository=repository_of(current.staging.reference),
            node=current.node.builder,
            digest=attempts[-1].digest if attempts else "",
            seconds=sum(attempt.seconds for attempt in attempts),
            attempts=tuple(attempts),
        )
        _record_end(current, result, context)
    return result


async def _report_failure(
    attempt: Attempt, planned: PlannedPlatform, context: BuildContext
) -> Failure | None:
    """Return the failure of an attempt, after what it says of its node was found out."""
    if attempt.failure is None:
        return None
    return await context.failover.report_failure(planned, attempt.failure)


def _record_decision(
    platform: str, decision: Decision, offset: int, patience: str | None, emit: Emit
) -> None:
    number = decision.number + offset
    if decision.seconds is None:
        emit(AttemptGivenUp(platform=platform, number=number, reason=decision.reason))
        return
    emit(
        AttemptWaiting(
            platform=platform,
            number=number,
            seconds=round(decision.seconds, 1),
            reason=decision.failure.kind.name,
            alone=decision.alone,
            patience=patience,
        )
    )


def _record_end(planned: PlannedPlatform, result: BuildResult, context: BuildContext) -> None:
    steps = result.attempts[-1].steps if result.attempts else ()
    context.emit(
        PlatformEnded(
            platform=str(planned.platform),
            status=result.status,
            required=planned.required,
            digest=result.digest or None,
            repository=result.repository,
            seconds=round(result.seconds, 3),
            emulated=planned.emulated,
            node=planned.node.builder,
            steps=tuple(_step_fields(step, planned, context) for step in steps),
            reason=_stopped_in(result),
        )
    )


def _step_fields(step: Step, planned: PlannedPlatform, context: BuildContext) -> Mapping[str, Any]:
    return step.as_json() | ({"ran_before": True} if context.history.ran_before(step, planned) else {})


def _skip(planned: PlannedPlatform, reason: str, context: BuildContext) -> BuildResult:
    """Return and record the result of a platform that cannot be built, as another image has no child."""
    result = BuildResult(
        platform=planned.platform,
        required=planned.required,
        status="skipped",
        repository=repository_of(planned.staging.reference),
        reason=reason,
    )
    _record_end(planned, result, context)
    return result


def _stopped_in(result: BuildResult) -> str | None:
    """Return why a platform was skipped, or where it was when it was cancelled."""
    if result.reason:
        return result.reason
    if result.status != "cancelled" or not result.attempts or result.attempts[-1].outcome != "cancelled":
        return None
    return f"stopped in {result.attempts[-1].running_step or 'no step'}"


def reuse_child(planned: PlannedPlatform, child: FinishedChild, context: BuildContext) -> BuildResult:
    """Return and record the result of a platform whose child an earlier run built."""
    result = BuildResult(
        platform=planned.platform,
        required=planned.required,
        status="reused",
        repository=child.repository,
        digest=child.digest,
    )
    _record_end(planned, result, context)
    return result


def cancelled_result(planned: PlannedPlatform) -> BuildResult:
    """Return the result of a platform whose build was not begun or not ended."""
    return BuildResult(
        platform=planned.platform,
        required=planned.required,
        status="cancelled",
        repository=repository_of(planned.staging.reference),
    )
