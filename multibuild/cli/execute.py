"""Execute a run; write its report however it ends."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from multibuild import __version__
from multibuild.cli.display.display import display_kind, make_display
from multibuild.cli.error_handler import as_refusal
from multibuild.cli.github import announce
from multibuild.cli.request import Request
from multibuild.cli.streams import copy_report, print_json
from multibuild.cli.supervise import supervise
from multibuild.engine.engine import Engine
from multibuild.errors import EnvironmentFault, MultibuildError
from multibuild.journal.events import RunEnded, RunStarted
from multibuild.journal.journal import Journal
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import Command, RunContext
from multibuild.journal.runs import RunDirectory, State
from multibuild.report.images import as_rows, make_run_report
from multibuild.workflow.run import run_stages

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig
    from multibuild.config.project import LoadedProject
    from multibuild.platforms import Platform
    from multibuild.workflow.remember.recall import Recalled


def execute(
    request: Request,
    project: LoadedProject,
    only: Sequence[Platform] | None,
    state: State,
    *,
    command: Command,
    engine: Engine,
    recalled: Mapping[str, Recalled] = MappingProxyType({}),
) -> int:
    """Execute and report a run; raise its error after the report was written and shown.

    `recalled` is what the registry remembers of each image.
    """
    display_kind(request.progress)
    with state.lock():
        run = state.new_run(datetime.now(UTC))
        display = make_display(request.progress, quiet=request.quiet, verbose=request.verbose, run=run.path)
        try:
            with Journal(run.journal_path) as journal:
                recorder = Recorder(journal, display)
                context = RunContext(
                    command=command,
                    engine=engine,
                    state=state,
                    run=run,
                    recorder=recorder,
                    resume=request.resume,
                    hand_over=request.hand_over or request.handed_over,
                )
                image = "" if project.several else project.images[0].config.image
                started = RunStarted(command=command, image=image, environment={"multibuild": __version__})
                failure = _record(_use_case(project, only, context, recalled), started, recorder)
        finally:
            display.close()
        report = write_report(run, project)
    announce(report, os.environ)
    _show(request, run, report)
    try:
        if request.report is not None:
            copy_report(report, request.report)
    except EnvironmentFault as error:
        failure = failure or error
    if failure is not None:
        raise failure
    return 0


def _record(
    work: Coroutine[object, object, str], started: RunStarted, recorder: Recorder
) -> BaseException | None:
    """Run `work` between the first and the last event of the journal; return the error that ended it."""
    try:
        recorder.record(started)
        status = supervise(work)
        recorder.record(RunEnded(status=status))
    except BaseException as error:
        failure = _translate(_first(error))
        with suppress(EnvironmentFault):  # a full disk fails the journal too
            recorder.record(event_of(failure))
        return failure
    finally:
        work.close()
    return None


def _use_case(
    project: LoadedProject,
    only: Sequence[Platform] | None,
    context: RunContext,
    recalled: Mapping[str, Recalled],
) -> Coroutine[object, object, str]:
    """Return the use case of a command."""
    if context.command == "merge" and context.hand_over:
        from multibuild.workflow.merge.handed_over import merge_handed_over

        return merge_handed_over(project, only, context)
    if context.command == "merge":
        from multibuild.workflow.merge.last_run import merge_last_run

        return merge_last_run(project, only, context)
    return run_stages(project, only, context, recalled)


def current_report(run: RunDirectory) -> dict[str, Any]:
    """Fold the journal of a run that is not over; nothing is written."""
    report = make_run_report(run.id, run.load_plan() or {}, run.all_entries())
    if "images" in report:
        images = [
            {**image, "status": "running", "platforms": _rows_so_far(image)} for image in report["images"]
        ]
        return {**report, "status": "running", "images": images}
    return {**report, "status": "running", "platforms": _rows_so_far(report)}


def _rows_so_far(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {**row, "status": "building" if row["attempts"] else "queued"}
        if row["status"] == "cancelled"
        else row
        for row in report["platforms"]
    ]


def write_report(run: RunDirectory, project: LoadedProject | None = None) -> dict[str, Any]:
    """Fold the journal into report.json, report.md and report.html in the run directory."""
    from multibuild.report.html.page import as_html
    from multibuild.report.markdown import as_markdown

    plan = run.load_plan() or {}
    if not plan and project is not None and project.several:
        plan = {"schema": 2, "images": [_planless(loaded) for loaded in project.images]}
    elif not plan and project is not None:
        plan = _planless(project.images[0])
    report = make_run_report(run.id, plan, run.all_entries())
    rows = as_rows(report)
    try:
        run.save_report(report, {"report.md": as_markdown(rows), "report.html": as_html(rows)})
    except OSError as error:
        print(
            f"warning: the report is not written: {error.strerror}; `multibuild report` makes it",
            file=sys.stderr,
        )
    return report


def _planless(loaded: LoadedConfig) -> dict[str, Any]:
    """Return what a run that ended before it had a plan would have made."""
    config = loaded.config
    image = {"image": config.image, "tags": list(config.tags), "fingerprint": "", "platforms": []}
    return {"name": loaded.name, **image} if loaded.name else image


def _first(error: BaseException) -> BaseException:
    """Return the first error that is no group: task groups wrap errors."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _translate(error: BaseException) -> BaseException:
    """Convert the error of a full or read-only disk to an EnvironmentFault; return others unchanged."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        where = f"{error.filename or 'a file of the run'}: cannot be written: "
        return EnvironmentFault(
            f"{where}{error.strerror}",
            hint="free disk space, then `--resume`; --state-dir names another place",
        )
    return error


def event_of(error: BaseException) -> RunEnded:
    """Return the last event of a run that an error ended, with the exit code that the command will have."""
    error = as_refusal(error) or error
    if isinstance(error, MultibuildError):
        code, message, hint = error.exit_code, error.message, error.hint
    elif isinstance(error, KeyboardInterrupt):
        code, message, hint = 130, "interrupted", None
    else:
        code, message, hint = 1, f"{type(error).__name__}: {error}", None
    status = "interrupted" if code == 130 else "failed"
    return RunEnded(status=status, error={"message": message, "hint": hint, "exit_code": code})


def _show(request: Request, run: RunDirectory, report: dict[str, Any]) -> None:
    """Print the report: JSON to stdout with --json, nothing with --progress json, otherwise the summary."""
    from multibuild.report.summary import as_text

    if request.json:
        print_json(report)
    elif request.progress != "json" and not request.quiet:
        width = min(100, shutil.get_terminal_size().columns) if sys.stdout.isatty() else 80
        # The error itself follows on stderr.
        print(as_text({**as_rows(report), "error": None}, width=width))
        page = run.path / "report.html"
        print(f"\nreport: {page}" if page.exists() else "", file=sys.stderr)
