"""One platform from first attempt to result: the attempts, their retries and their events."""

from __future__ import annotations

from multibuild.builds.attempt import BuildContext, make_attempt
from multibuild.builds.result import Attempt, BuildResult, Status
from multibuild.builds.reuse import FinishedChild
from multibuild.buildx.repair_cache import repair_cache
from multibuild.buildx.retry import AttemptFailed, Decision, with_retries
from multibuild.journal.events import AttemptGivenUp, AttemptWaiting, Emit, PlatformEnded, RecordForgotten
from multibuild.plan.plan import PlannedPlatform
from multibuild.plan.spec import repository_of


async def build_platform(
    planned: PlannedPlatform, context: BuildContext, *, first: Attempt | None = None
) -> BuildResult:
    """Build one platform with retries. Never raises for a failed build; a cancellation is recorded and raised.

    `first` is an attempt that was made already; one that another's trouble cancelled counts as no failure.
    """
    interrupted = first is not None and first.outcome == "cancelled"
    attempts: list[Attempt] = [first] if first and interrupted else []
    earlier = len(attempts)  # than the first attempt that retrying knows of
    platform = str(planned.platform)
    placed = planned

    async def attempt(number: int, alone: bool) -> None:
        nonlocal placed
        if first is not None and number == 1 and not interrupted:
            made = first
        else:
            async with context.slots.take(alone=alone, is_retry=number + earlier > 1):
                placed = context.failover.assign(planned)
                made = await make_attempt(placed, context, number + earlier)
        attempts.append(made)
        if made.failure is not None:
            await context.failover.report_failure(placed, made.failure)
            lost = await repair_cache(made.failure, placed.node.builder, context.buildx, context.project)
            if lost is not None:
                context.emit(RecordForgotten(platform=platform, id=lost))
            raise AttemptFailed(made.failure)

    status: Status = "cancelled"
    try:
        await with_retries(
            attempt,
            budget=context.budget,
            on_decision=lambda decision: _record_decision(
                platform, decision.number + earlier, decision, context.emit
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
            repository=repository_of(placed.staging.reference),
            node=placed.node.builder,
            digest=attempts[-1].digest if attempts else "",
            seconds=sum(made.seconds for made in attempts),
            attempts=tuple(attempts),
        )
        _end(placed, result, context)
    return result


def _record_decision(platform: str, number: int, decision: Decision, emit: Emit) -> None:
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
        )
    )


def _end(planned: PlannedPlatform, result: BuildResult, context: BuildContext) -> None:
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
            steps=tuple(step.as_json() for step in steps),
        )
    )


def reused(planned: PlannedPlatform, child: FinishedChild, context: BuildContext) -> BuildResult:
    """Take over what an earlier run finished."""
    result = BuildResult(
        platform=planned.platform,
        required=planned.required,
        status="reused",
        repository=child.repository,
        digest=child.digest,
    )
    _end(planned, result, context)
    return result


def cancelled(planned: PlannedPlatform) -> BuildResult:
    """Give the result of a platform whose build was not begun or not ended."""
    return BuildResult(
        platform=planned.platform,
        required=planned.required,
        status="cancelled",
        repository=repository_of(planned.staging.reference),
    )
