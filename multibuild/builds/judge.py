"""How an attempt ended: its outcome and, unless it succeeded, its failure with a hint for this platform."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from multibuild.builds.export import Export
from multibuild.builds.hang_watch import Crash, HangWatch
from multibuild.builds.patience import Patience
from multibuild.builds.result import Outcome
from multibuild.buildx.process import ProcessResult
from multibuild.buildx.rawjson_progress import Progress
from multibuild.failures.classify import Failure, classify, failure_of
from multibuild.frozen import frozen
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.qemu.local import emulator_version
from multibuild.terminal import human_seconds, shorten

MAX_QUOTED_CHARACTERS = 120
"""Of the line that an emulator printed; one of a hostile step may be of any length."""


@frozen
class Observation:
    """What was seen of an attempt: its progress, the watch over it, and how long it was to be waited for."""

    planned: PlannedPlatform
    progress: Progress
    watch: HangWatch
    patience: Patience


async def judge(
    result: ProcessResult, observation: Observation, export: Export
) -> tuple[Outcome, Failure | None]:
    """Return the outcome of an ended buildx and, unless it succeeded, the failure with a hint for this platform."""
    if result.code == 0 and result.end_reason == "exited":
        return "ok", None
    outcome, failure = _classify_end(result, observation)
    return outcome, export.with_disk_hint(await _with_emulator(failure, observation.planned))


def cancelled_failure(watch: HangWatch) -> Failure | None:
    """Return the failure of an attempt that was cancelled after a crash in the step that ran; None for any other."""
    crash = watch.crash
    return _hung(crash, "cancelled") if crash else None


def _classify_end(result: ProcessResult, observation: Observation) -> tuple[Outcome, Failure]:
    """A limit, or a kill by another program, is only how a step ended that had crashed before."""
    progress, crash = observation.progress, observation.watch.crash
    spent = human_seconds(result.seconds)
    match result.end_reason:
        case "timeout":
            failure = _hung(crash, f"no end after {spent}") if crash else _timeout(spent, observation)
            return "timeout", failure
        case "stalled" | "hung":
            silence = observation.watch.silence or "no output, no event"
            return "stalled", _hung(crash, silence) if crash else failure_of("stalled", silence)
    progress.finish()
    failure = classify(progress.evidence(), code=result.code, emulated=observation.planned.emulated)
    if crash and failure.kind.name == "killed":
        failure = _hung(crash, "killed by another program")
    return "failed", failure


def _timeout(spent: str, observation: Observation) -> Failure:
    shorter = observation.patience.timeout < observation.planned.timeout
    reason = ", which is all after an attempt that crashed and hung" if shorter else ""
    return failure_of("timeout", f"no end after {spent}{reason}")


def _hung(crash: Crash, end: str) -> Failure:
    """Return the failure of a step that crashed and then did not end by itself."""
    failure = crash.failure
    return replace(
        failure,
        cause=f"{shorten(crash.line, MAX_QUOTED_CHARACTERS)}; the step then hung: {end}",
        evidence=f'{failure.evidence}\nhung, {end}, after "{shorten(crash.line, MAX_QUOTED_CHARACTERS)}"',
        kind=replace(failure.kind, hint=f"the step hung after the crash; {failure.kind.hint}"),
    )


async def _with_emulator(failure: Failure, planned: PlannedPlatform) -> Failure:
    """Add the emulator and its version to the hint of a crash: a user can change them."""
    emulator = planned.node.emulators.get(str(planned.platform))
    if emulator is None or not failure.kind.name.startswith("qemu-"):
        return failure
    version = await asyncio.to_thread(emulator_version, emulator)
    now = f"{emulator}, version {version}" if version else emulator
    return replace(failure, kind=replace(failure.kind, hint=f"{failure.kind.hint} (now: {now})"))
