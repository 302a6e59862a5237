"""One platform from first attempt to result: the attempt loop, its logs and its events."""

from __future__ import annotations

import json
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from multibuild.build.command import build_arguments
from multibuild.build.emulator_activity import EmulatorActivity
from multibuild.build.failures import Failure, classify, failure_of, wrong_base
from multibuild.build.process import Ended, Limits, run_process
from multibuild.build.progress import Progress
from multibuild.build.result import Attempt, BuildResult, Outcome, Status
from multibuild.build.resume import FinishedChild
from multibuild.build.retry import AttemptFailed, Budget, with_retries
from multibuild.build.slots import Slots
from multibuild.record.events import Emit

if TYPE_CHECKING:
    from multibuild.plan import PlannedPlatform

AUTO_STALL = 600.0
"""Seconds of silence after which `stall_timeout: auto` looks at the emulators; BuildKit is silent while a RUN is."""

PERMANENT_WARNING = "wrong-base-platform"


@dataclass(frozen=True, kw_only=True, slots=True)
class Workshop:
    """What every platform's build shares. `buildx` is the client's argv; `stall` is in seconds.

    `project` is the working directory; `logs` the run's log directory.
    """

    buildx: tuple[str, ...]
    project: Path
    logs: Path
    slots: Slots
    budget: Budget
    stall: float | Literal["auto"] | None
    emit: Emit


class WrongBase(Exception):
    """The base image is of another architecture; going on would build something that lies."""


async def build_platform(item: PlannedPlatform, workshop: Workshop) -> BuildResult:
    """Build one platform with retries. Never raises for a failed build; a cancellation is recorded and raised."""
    began = time.monotonic()
    attempts: list[Attempt] = []
    platform = str(item.platform)

    async def attempt(number: int, alone: bool) -> None:
        async with workshop.slots.take(alone=alone):
            made = await _attempt(item, workshop, number)
        attempts.append(made)
        if made.failure is not None:
            raise AttemptFailed(made.failure)

    def waiting(number: int, seconds: float, failure: Failure) -> None:
        workshop.emit(
            "attempt.waiting",
            platform=platform,
            number=number,
            seconds=round(seconds, 1),
            reason=failure.kind.name,
        )

    status: Status = "cancelled"
    try:
        await with_retries(attempt, budget=workshop.budget, waiting=waiting)
        status = "succeeded"
    except AttemptFailed:
        status = "failed"
    finally:
        result = BuildResult(
            platform=item.platform,
            required=item.required,
            status=status,
            repository=repository_of(item.staging.reference),
            digest=attempts[-1].digest if attempts else "",
            seconds=time.monotonic() - began,
            attempts=tuple(attempts),
        )
        _record_end(item, result, workshop.emit)
    return result


def repository_of(reference: str) -> str:
    """Give `host/repository` of a reference that may end in a tag."""
    head, slash, last = reference.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


async def _attempt(item: PlannedPlatform, workshop: Workshop, number: int) -> Attempt:
    name = f"{item.slug}.{number}.log"
    platform = str(item.platform)
    workshop.emit(
        "attempt.started", platform=platform, number=number, node=item.node.builder, log=f"logs/{name}"
    )
    began = time.monotonic()
    outcome: Outcome = "cancelled"
    failure: Failure | None = None
    digest = ""
    with (
        (workshop.logs / name).open("w", encoding="utf-8", buffering=1) as log,
        tempfile.TemporaryDirectory() as scratch,
    ):
        progress = Progress(
            write=lambda line: _write(log, line),
            started=lambda step: workshop.emit("step", platform=platform, name=step),
        )
        try:
            ended = await _run(item, workshop, progress, Path(scratch) / "metadata.json")
            outcome, failure = judge(ended, progress, emulated=item.emulated)
            failure = with_emulator(failure, item)
            if failure is None:
                digest = _pushed_digest(Path(scratch) / "metadata.json")
        except WrongBase as error:
            outcome, failure = "failed", failure_of(PERMANENT_WARNING, str(error))
        except OSError as error:
            outcome, failure = (
                "failed",
                failure_of("usage", f"{workshop.buildx[0]} could not be started: {error}"),
            )
        finally:
            progress.finish()
            seconds = time.monotonic() - began
            workshop.emit(
                "attempt.ended",
                platform=platform,
                number=number,
                seconds=round(seconds, 3),
                outcome=outcome,
                log=f"logs/{name}",
                **_failure_fields(failure),
            )
    return Attempt(
        number=number,
        seconds=seconds,
        outcome=outcome,
        log=f"logs/{name}",
        digest=digest,
        failure=failure,
        steps=progress.steps(),
    )


async def _run(item: PlannedPlatform, workshop: Workshop, progress: Progress, metadata: Path) -> Ended:
    command, *rest = build_arguments(item)
    argv = (
        *workshop.buildx,
        command,
        *("--progress", "rawjson"),
        *("--metadata-file", str(metadata)),
        *rest,
    )
    seen = 0

    def on_line(line: bytes) -> None:
        nonlocal seen
        progress.feed(line)
        for warning in progress.warnings[seen:]:
            if (trouble := wrong_base(warning)) is not None:
                raise WrongBase(trouble)
        seen = len(progress.warnings)

    limits = _limits(item, workshop.stall)
    return await run_process(argv, cwd=workshop.project, on_line=on_line, limits=limits)


def _limits(item: PlannedPlatform, stall: float | Literal["auto"] | None) -> Limits:
    """`auto` watches emulated platforms only: nothing tells a native RUN that computes from one that hangs."""
    if stall != "auto":
        return Limits(timeout=item.timeout, stall=stall)
    if not item.emulated:
        return Limits(timeout=item.timeout)
    busy = EmulatorActivity(item.platform.row.qemu)
    return Limits(timeout=item.timeout, stall=AUTO_STALL, busy=busy.since_last_asked)


def judge(ended: Ended, progress: Progress, *, emulated: bool) -> tuple[Outcome, Failure | None]:
    """Turn the end of buildx into an outcome and, unless it is good, its class."""
    if ended.ending == "timeout":
        return "timeout", failure_of("timeout", f"no end after {ended.seconds:.0f} s")
    if ended.ending == "stalled":
        return "stalled", failure_of("stalled", "no output, no event")
    if ended.code == 0:
        return "ok", None
    progress.finish()
    return "failed", classify(progress.evidence(), code=ended.code, emulated=emulated)


def with_emulator(failure: Failure | None, item: PlannedPlatform) -> Failure | None:
    """Name the emulator in the hint of a crash: the version is what a person can change."""
    emulator = item.node.emulators.get(str(item.platform))
    if failure is None or emulator is None or not failure.kind.name.startswith("qemu-"):
        return failure
    return replace(failure, kind=replace(failure.kind, hint=f"{failure.hint} (now: {emulator})"))


def _pushed_digest(metadata: Path) -> str:
    """Read the child's digest from buildx's metadata file, which is written only on success."""
    digest = json.loads(metadata.read_text(encoding="utf-8")).get("containerimage.digest")
    if not isinstance(digest, str) or not digest.startswith("sha256:"):
        raise OSError("buildx's metadata file names no digest")
    return digest


def _record_end(item: PlannedPlatform, result: BuildResult, emit: Emit) -> None:
    steps = result.attempts[-1].steps if result.attempts else ()
    emit(
        "platform.ended",
        platform=str(item.platform),
        status=result.status,
        required=item.required,
        digest=result.digest or None,
        repository=result.repository,
        seconds=round(result.seconds, 3),
        emulated=item.emulated,
        node=item.node.builder,
        steps=[step.as_json() for step in steps],
    )


def _failure_fields(failure: Failure | None) -> dict[str, str]:
    if failure is None:
        return {}
    return {
        "class": failure.kind.name,
        "retry": failure.retry,
        "evidence": failure.evidence,
        "hint": failure.hint,
    }


def _write(log: TextIO, line: str) -> None:
    log.write(line + "\n")


def reused(item: PlannedPlatform, child: FinishedChild, workshop: Workshop) -> BuildResult:
    """Take over what an earlier run finished."""
    result = BuildResult(
        platform=item.platform,
        required=item.required,
        status="reused",
        repository=child.repository,
        digest=child.digest,
    )
    _record_end(item, result, workshop.emit)
    return result


def cancelled(item: PlannedPlatform) -> BuildResult:
    """Give the result of a platform whose build was not begun or not ended."""
    return BuildResult(
        platform=item.platform,
        required=item.required,
        status="cancelled",
        repository=repository_of(item.staging.reference),
    )
