"""One attempt: buildx run once for one platform, its log written, its end judged."""

from __future__ import annotations

import asyncio
import errno
import json
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, TextIO

from multibuild.builds.export import Export
from multibuild.builds.failover import Failover
from multibuild.builds.result import Attempt, Outcome
from multibuild.buildx.classify import Failure, classify, failure_of, wrong_base
from multibuild.buildx.process import ProcessLimits, ProcessResult, StartFailed, run_process
from multibuild.buildx.progress import Progress, Step
from multibuild.buildx.retry import Budget
from multibuild.buildx.slots import Slots
from multibuild.frozen import frozen
from multibuild.journal.events import AttemptEnded, AttemptStarted, Emit, LogLine, StepStarted
from multibuild.journal.runs import RunDirectory, open_log
from multibuild.plan.build_command import build_arguments
from multibuild.plan.plan import PlannedPlatform
from multibuild.qemu.activity import EmulatorActivity
from multibuild.qemu.local import emulator_version

AUTO_STALL = 600.0
"""Seconds of silence after which `stall_timeout: auto` looks at the emulators; BuildKit is silent while a RUN is."""

STATE_HINT = "free disk space where the state is (or name another place with --state-dir), then `--resume`"

PERMANENT_WARNING = "wrong-base-platform"


@frozen
class BuildContext:
    """What every platform's build shares. `buildx` is the client's argv, `environ` its environment.

    `project` is the working directory; `stall` is in seconds; `run` takes logs, and children that are not pushed.
    """

    buildx: tuple[str, ...]
    environ: Mapping[str, str]
    project: Path
    run: RunDirectory
    slots: Slots
    budget: Budget
    failover: Failover
    stall: float | Literal["auto"] | None
    emit: Emit


class WrongBase(Exception):
    """The base image is of another architecture; going on would build something that lies."""


async def make_attempt(planned: PlannedPlatform, context: BuildContext, number: int) -> Attempt:
    """Run buildx once and tell how it went; a failure is in the result. A cancellation is recorded and raised."""
    name = begin_attempt(planned, context, number)
    began = time.monotonic()
    end = _End(outcome="cancelled")
    try:
        end = await _logged(planned, context, context.run.path / name)
    except OSError as error:
        end = _End(outcome="failed", failure=_own_trouble(error))
    finally:
        made = Attempt(
            number=number,
            seconds=time.monotonic() - began,
            outcome=end.outcome,
            log=name,
            digest=end.digest,
            failure=end.failure,
            steps=end.steps,
        )
        end_attempt(planned, context, made)
    return made


def begin_attempt(planned: PlannedPlatform, context: BuildContext, number: int) -> str:
    """Record that an attempt begins; gives the name of its log, relative to the run directory."""
    name = f"logs/{planned.slug}.{number}.log"
    context.emit(
        AttemptStarted(platform=str(planned.platform), number=number, node=planned.node.builder, log=name)
    )
    return name


def end_attempt(planned: PlannedPlatform, context: BuildContext, made: Attempt) -> None:
    """Record how an attempt ended."""
    context.emit(
        AttemptEnded(
            platform=str(planned.platform),
            number=made.number,
            seconds=round(made.seconds, 3),
            outcome=made.outcome,
            log=made.log,
            **_failure_fields(made.failure),
        )
    )


def progress_of(planned: PlannedPlatform, context: BuildContext, log: TextIO) -> Progress:
    """Make what follows a platform's build: into its log, and to whoever watches."""
    platform = str(planned.platform)
    return Progress(
        write_log=lambda line: print(line, file=log),
        on_step=lambda step: context.emit(StepStarted(platform=platform, step=step)),
        on_line=lambda line: context.emit(LogLine(platform=platform, text=line)),
    )


@frozen
class _End:
    """How buildx ended: what an attempt is made of."""

    outcome: Outcome
    failure: Failure | None = None
    digest: str = ""
    steps: tuple[Step, ...] = ()


async def _logged(planned: PlannedPlatform, context: BuildContext, path: Path) -> _End:
    """Run buildx and write its log, a line at a time on the disk. OSError when that cannot be."""
    with open_log(path) as log:
        progress = progress_of(planned, context, log)
        try:
            end = await _ended(planned, context, progress)
        finally:
            progress.finish()
    return replace(end, steps=progress.steps())


async def _ended(planned: PlannedPlatform, context: BuildContext, progress: Progress) -> _End:
    export = Export.of(planned, context.run)
    with tempfile.TemporaryDirectory() as scratch:
        metadata = Path(scratch) / "metadata.json"
        try:
            argv = _arguments(planned, context, export, metadata)
            ended = await _run(planned, context, progress, argv)
            outcome, failure = judge(ended, progress, emulated=planned.emulated)
            if failure is not None:
                return _End(
                    outcome=outcome, failure=export.with_disk_hint(await with_emulator(failure, planned))
                )
            digest = built_digest(read_metadata(metadata))
            await export.keep(digest)
            return _End(outcome=outcome, digest=digest)
        except ValueError as error:
            return _End(outcome="failed", failure=failure_of("unknown", f"buildx ended well, but {error}"))
        except WrongBase as error:
            return _End(outcome="failed", failure=failure_of(PERMANENT_WARNING, str(error)))
        except StartFailed as error:
            return _End(outcome="failed", failure=failure_of("usage", str(error)))
        finally:
            export.discard()


def _arguments(
    planned: PlannedPlatform, context: BuildContext, export: Export, metadata: Path
) -> tuple[str, ...]:
    command, *rest = build_arguments(planned, export.folder)
    return (
        *(*context.buildx, command),
        *("--progress", "rawjson"),
        *("--metadata-file", str(metadata)),
        *rest,
    )


def _own_trouble(error: OSError) -> Failure:
    """Name what kept us, not the build, from going on: the disk that holds the state, most likely."""
    full = error.errno in {errno.ENOSPC, errno.EDQUOT}
    said = f"{error.filename or 'the log'} could not be written: {error.strerror or error}"
    found = failure_of("no-space" if full else "unknown", said)
    return replace(found, kind=replace(found.kind, hint=STATE_HINT))


async def _run(
    planned: PlannedPlatform, context: BuildContext, progress: Progress, argv: Sequence[str]
) -> ProcessResult:
    seen = 0

    def on_line(line: bytes) -> None:
        nonlocal seen
        progress.feed(line)
        for warning in progress.warnings[seen:]:
            if (trouble := wrong_base(warning)) is not None:
                raise WrongBase(trouble)
        seen = len(progress.warnings)

    limits = _limits(planned, context.stall)
    return await run_process(
        argv, cwd=context.project, on_line=on_line, limits=limits, environ=context.environ
    )


def _limits(planned: PlannedPlatform, stall: float | Literal["auto"] | None) -> ProcessLimits:
    """`auto` watches emulated platforms only: nothing tells a native RUN that computes from one that hangs."""
    if stall != "auto":
        return ProcessLimits(timeout=planned.timeout, stall=stall)
    if not planned.emulated:
        return ProcessLimits(timeout=planned.timeout)
    busy = EmulatorActivity(planned.platform.row.qemu)
    return ProcessLimits(timeout=planned.timeout, stall=AUTO_STALL, is_busy=busy.is_busy)


def judge(ended: ProcessResult, progress: Progress, *, emulated: bool) -> tuple[Outcome, Failure | None]:
    """Turn the end of buildx into an outcome and, unless it is good, its class."""
    if ended.end_reason == "timeout":
        return "timeout", failure_of("timeout", f"no end after {ended.seconds:.0f} s")
    if ended.end_reason == "stalled":
        return "stalled", failure_of("stalled", "no output, no event")
    if ended.code == 0:
        return "ok", None
    progress.finish()
    return "failed", classify(progress.evidence(), code=ended.code, emulated=emulated)


async def with_emulator(failure: Failure, planned: PlannedPlatform) -> Failure:
    """Name the emulator and its version in the hint of a crash: that is what a person can change."""
    emulator = planned.node.emulators.get(str(planned.platform))
    if emulator is None or not failure.kind.name.startswith("qemu-"):
        return failure
    version = await asyncio.to_thread(emulator_version, emulator)
    now = f"{emulator}, version {version}" if version else emulator
    return replace(failure, kind=replace(failure.kind, hint=f"{failure.hint} (now: {now})"))


def read_metadata(path: Path) -> dict[str, Any]:
    """Read buildx's metadata file, which is written only on success; ValueError when it is not there or not whole."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"its metadata file cannot be read: {error}") from error
    return document if isinstance(document, dict) else {}


def built_digest(metadata: Mapping[str, Any]) -> str:
    """Give the child's digest of one target's metadata; ValueError when it names none."""
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
