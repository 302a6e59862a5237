"""One attempt: buildx runs once for one platform, its log is written, its end is classified."""

from __future__ import annotations

import errno
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TextIO

from multibuild.builds.dependencies import ImageBuilds
from multibuild.builds.export import Export
from multibuild.builds.failover import Failover
from multibuild.builds.hang_watch import HangWatch
from multibuild.builds.history import BuildHistory
from multibuild.builds.judge import Observation, cancelled_failure, judge
from multibuild.builds.patience import Patience
from multibuild.builds.result import Attempt
from multibuild.buildx.attempt_retries import Budget
from multibuild.buildx.process import ProcessLimits, ProcessResult, StartFailed, run_process
from multibuild.buildx.rawjson_progress import Progress
from multibuild.buildx.slots import Rank, Slots
from multibuild.failures.classify import Failure, failure_of, wrong_base
from multibuild.frozen import frozen
from multibuild.journal.events import AttemptEnded, AttemptStarted, Emit, LogLine, StepStarted
from multibuild.journal.runs import RunDirectory, open_log
from multibuild.plan.build_command import build_arguments
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.qemu.activity import EmulatorActivity
from multibuild.qemu.step_activity import StepActivity

AUTO_STALL_S = 600.0
"""Seconds of silence after which `stall_timeout: auto` looks at the emulators; BuildKit is silent while a RUN is."""

STATE_HINT = "free disk space where the state is (or name another place with --state-dir), then `--resume`"


@frozen
class BuildContext:
    """What every platform's build shares. `buildx` is the client's argv, `environ` its environment.

    `project` is the working directory; `run` takes logs, and children that are not pushed. `stall` is in seconds, and
    so is `crash_timeout`: of silence after an emulator's crash, None for any time. `all_local` is whether all that
    builds can be seen in this machine's /proc. `rank` says which of the builds that wait for a slot goes first.
    """

    buildx: tuple[str, ...]
    environ: Mapping[str, str]
    project: Path
    run: RunDirectory
    slots: Slots
    budget: Budget
    failover: Failover
    stall: float | Literal["auto"] | None
    crash_timeout: float | None
    all_local: bool
    emit: Emit
    images: ImageBuilds
    rank: Callable[[PlannedPlatform], Rank]
    history: BuildHistory


class WrongBase(Exception):
    """BuildKit warned that the base image is of another architecture: the child would be, too."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.failure = failure_of("wrong-base-platform", message)


async def make_attempt(
    planned: PlannedPlatform,
    context: BuildContext,
    number: int,
    patience: Patience,
    on_end: Callable[[Attempt], None],
) -> Attempt:
    """Run buildx once; a failure is in the attempt. A cancellation is recorded and raised.

    `on_end` gets the attempt in every case.
    """
    log = begin_attempt(planned, context, number)
    attempt = Attempt(number=number, seconds=0.0, outcome="cancelled", log=log)
    began = time.monotonic()
    try:
        with open_log(context.run.path / log) as file:
            observation = observe(planned, context, patience, file)
            try:
                attempt = await _run_buildx(attempt, context, observation)
            finally:
                attempt = observed(attempt, observation)
    except OSError as error:
        attempt = replace(attempt, outcome="failed", failure=_state_failure(error))
    finally:
        attempt = replace(attempt, seconds=time.monotonic() - began)
        end_attempt(planned, context, attempt)
        on_end(attempt)
    return attempt


def begin_attempt(planned: PlannedPlatform, context: BuildContext, number: int) -> str:
    """Record that an attempt begins; return its log's path, relative to the run directory."""
    log = context.run.log_name(planned.slug, number)
    context.emit(
        AttemptStarted(platform=str(planned.platform), number=number, node=planned.node.builder, log=log)
    )
    return log


def end_attempt(planned: PlannedPlatform, context: BuildContext, attempt: Attempt) -> None:
    """Record how an attempt ended."""
    context.emit(
        AttemptEnded(
            platform=str(planned.platform),
            number=attempt.number,
            seconds=round(attempt.seconds, 3),
            outcome=attempt.outcome,
            log=attempt.log,
            **_failure_fields(attempt.failure),
        )
    )


def observe(planned: PlannedPlatform, context: BuildContext, patience: Patience, log: TextIO) -> Observation:
    """Return the observation of a platform's build, which writes its log and emits its events."""
    platform = str(planned.platform)
    progress = Progress(
        write_log=lambda line: print(line, file=log),
        on_step=lambda step: context.emit(StepStarted(platform=platform, step=step)),
        on_line=lambda line: context.emit(LogLine(platform=platform, text=line)),
    )
    qemu = planned.platform.row.qemu if planned.emulated else ""
    watch = HangWatch(
        progress,
        emulated=planned.emulated,
        patience=patience.after_crash,
        activity=StepActivity(qemu) if context.all_local else None,
    )
    return Observation(planned=planned, progress=progress, watch=watch, patience=patience)


def observed(attempt: Attempt, observation: Observation) -> Attempt:
    """Return an ended attempt with its steps, and with a crash in the one that did not end by itself."""
    progress, watch = observation.progress, observation.watch
    progress.finish()
    cancelled, outlasted = attempt.outcome == "cancelled", attempt.outcome in {"timeout", "stalled"}
    return replace(
        attempt,
        failure=cancelled_failure(watch) if cancelled else attempt.failure,
        steps=progress.steps(),
        running_step=progress.running_step(),
        crashed_after=watch.crashed_after if outlasted else None,
    )


async def _run_buildx(attempt: Attempt, context: BuildContext, observation: Observation) -> Attempt:
    planned = observation.planned
    export = Export.of(planned, context.run)
    with tempfile.TemporaryDirectory() as scratch:
        metadata = Path(scratch) / "metadata.json"
        try:
            argv = buildx_argv(context, build_arguments(planned, export.folder), metadata)
            result = await _run(context, observation, argv)
            outcome, failure = await judge(result, observation, export)
            if failure is not None:
                return replace(attempt, outcome=outcome, failure=failure)
            digest = built_digest(read_metadata(metadata))
            await export.finalize(digest)
            return replace(attempt, outcome=outcome, digest=digest)
        except ValueError as error:
            failure = failure_of("unknown", f"buildx ended well, but {error}")
        except WrongBase as error:
            failure = error.failure
        except StartFailed as error:
            failure = failure_of("usage", str(error))
        finally:
            export.discard()
    return replace(attempt, outcome="failed", failure=failure)


def buildx_argv(context: BuildContext, arguments: Sequence[str], metadata: Path) -> tuple[str, ...]:
    """Return the whole command of `arguments`, whose first is buildx's own command."""
    command, *rest = arguments
    return (*context.buildx, command, "--progress", "rawjson", "--metadata-file", str(metadata), *rest)


def _state_failure(error: OSError) -> Failure:
    """Return the failure to write a log or a child: the disk of the state directory is full, most likely."""
    is_full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    message = f"{error.filename or 'the log'} could not be written: {error.strerror or error}"
    failure = failure_of("no-space" if is_full else "unknown", message)
    return replace(failure, kind=replace(failure.kind, hint=STATE_HINT))


async def _run(context: BuildContext, observation: Observation, argv: Sequence[str]) -> ProcessResult:
    progress, checked = observation.progress, 0

    def on_line(line: bytes) -> None:
        nonlocal checked
        progress.feed(line)
        checked = check_warnings(progress, checked)

    limits = _limits(observation, context)
    return await run_process(
        argv, cwd=context.project, on_line=on_line, limits=limits, environ=context.environ
    )


def check_warnings(progress: Progress, start: int) -> int:
    """Raise WrongBase if a warning from index `start` on is of a wrong base; return the number of warnings."""
    for warning in progress.warnings[start:]:
        if (message := wrong_base(warning)) is not None:
            raise WrongBase(message)
    return len(progress.warnings)


def _limits(observation: Observation, context: BuildContext) -> ProcessLimits:
    """`auto` watches what this machine emulates: nothing tells another RUN that computes from one that hangs."""
    limits = ProcessLimits(timeout=observation.patience.timeout, is_hung=observation.watch.is_hung)
    if context.stall != "auto":
        return replace(limits, stall=context.stall)
    if not observation.planned.emulated or not context.all_local:
        return limits
    activity = EmulatorActivity(observation.planned.platform.row.qemu)
    return replace(limits, stall=AUTO_STALL_S, is_busy=activity.is_busy)


def read_metadata(path: Path) -> dict[str, Any]:
    """Read buildx's metadata file, which is written only on success; ValueError when it is absent or truncated."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"its metadata file cannot be read: {error}") from error
    return document if isinstance(document, dict) else {}


def built_digest(metadata: Mapping[str, Any]) -> str:
    """Return the child's digest from one target's metadata; ValueError when there is none."""
    digest = metadata.get("containerimage.digest")
    if not isinstance(digest, str) or not digest.startswith("sha256:"):
        raise ValueError("its metadata file names no digest")
    return digest


def _failure_fields(failure: Failure | None) -> dict[str, str]:
    if failure is None:
        return {}
    return {
        "failure_class": failure.kind.name,
        "retry": failure.retry,
        "evidence": failure.evidence,
        "hint": failure.hint,
    }
