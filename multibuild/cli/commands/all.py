"""`all` and `build`: a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from multibuild.cli.commands.plan import plan
from multibuild.cli.if_changed import recall, unchanged_runs
from multibuild.cli.request import (
    BuildRequest,
    Request,
    RunRequest,
    chosen_platforms,
    load_project,
    state_of,
)
from multibuild.cli.streams import copy_report, print_json
from multibuild.errors import UsageError
from multibuild.regular_file import is_folder

if TYPE_CHECKING:
    from multibuild.config.project import LoadedProject
    from multibuild.journal.run_context import Command
    from multibuild.workflow.remember.recall import Recalled


def all_(request: RunRequest) -> int:
    """Build, test, prove, merge, move the tags.

    Sets up what is missing, builds every platform on its own, and moves no tag before everything holds.
    """
    return _run(request, "publish")


def build(request: BuildRequest) -> int:
    """Build and push every platform's child; no tag is moved."""
    if request.hand_over and request.if_changed:
        raise UsageError(
            "--hand-over and --if-changed exclude each other",
            hint="leave one out: --resume takes what was handed over before",
        )
    return _run(request, "build")


def _run(request: RunRequest, command: Literal["build", "publish"]) -> int:
    if request.dry_run:
        return plan(request)
    if request.commands:
        raise UsageError(
            "--commands shows what would be run, and this would run it",
            hint="write `multibuild plan --commands`, or add --dry-run",
        )
    project = load_project(request)
    check_before_run(request, project, builds=True, publishes=command == "publish")
    if request.if_changed and _is_unchanged(request, project, command):
        return 0
    recalled = recall(request, project) if request.if_changed and command == "publish" else {}
    if not recalled or not all(image.holds for image in recalled.values()):
        _require_clean(request, project)
    return start(request, project, command, recalled)


def _require_clean(request: RunRequest, project: LoadedProject) -> None:
    """Raise ConfigError when the lint finds what would put the wrong architecture into an image."""
    from multibuild.workflow.lint import require_clean

    require_clean(project.images, chosen_platforms(request), request.say)


def check_before_run(request: Request, project: LoadedProject, *, builds: bool, publishes: bool) -> None:
    """Raise ConfigError or UsageError for missing files, variables or platforms before a run starts."""
    from multibuild.config.referenced_files import check_environment, check_files, check_signing
    from multibuild.plan.plan import choose_images, require_listed

    # What builds nothing needs no secrets of builds: they stay on the machines that build.
    check_files(*project.images, secrets=builds)
    for loaded in project.images:
        if builds:
            check_environment(loaded, os.environ)
        if publishes:
            check_signing(loaded, os.environ)
    if request.report is not None and not is_folder(request.report.absolute().parent):
        raise UsageError(
            f"--report {request.report}: there is no directory {request.report.parent}", hint="make it first"
        )
    if project.several:
        choose_images(project.images, chosen_platforms(request))
    else:
        require_listed(project.images[0], chosen_platforms(request))


def start(
    request: Request,
    project: LoadedProject,
    command: Command,
    recalled: Mapping[str, Recalled] = MappingProxyType({}),
) -> int:
    """Execute a run, which builds nothing that is `recalled`; return the exit code."""
    from multibuild.cli.execute import execute
    from multibuild.engine.docker import DockerEngine

    state, only = state_of(request, *project.images), chosen_platforms(request)
    return execute(request, project, only, state, command=command, engine=DockerEngine(), recalled=recalled)


def _is_unchanged(request: RunRequest, project: LoadedProject, command: Literal["build", "publish"]) -> bool:
    """Compare every image with its last successful run; record in the journals that they still hold."""
    from datetime import UTC, datetime

    from multibuild.journal.entry import JournalEntry
    from multibuild.journal.events import RunConfirmed
    from multibuild.journal.journal import Journal

    state = state_of(request, *project.images)
    with state.lock():
        runs = unchanged_runs(request, project, command, state)
        if runs is None:
            return False
        for path in dict.fromkeys(run.journal_path for run in runs):
            with Journal(path) as journal:
                journal.append(JournalEntry(time=datetime.now(UTC), event=RunConfirmed(command=command)))
    newest = max(runs, key=lambda run: run.order)
    if request.json:
        print_json(newest.report())
    if request.report is not None:
        copy_report(newest.report(), request.report)
    return True
