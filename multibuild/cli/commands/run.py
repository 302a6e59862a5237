"""The commands that make a run, or say what it would be: `plan`, `all`, `build`, `test`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from multibuild.cli import options as o
from multibuild.journal.run_context import Command

commands = typer.Typer()


@commands.command(
    epilog=o.examples("multibuild plan", "multibuild plan --commands", "multibuild plan --json")
)
def plan(
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    platform: o.Platforms = None,
    tag: o.Tags = None,
    set_: o.Sets = None,
    builder: o.Builder = None,
    jobs: o.Jobs = None,
    json: o.Json = False,
    commands: Annotated[bool, typer.Option("--commands", help="The exact docker commands.")] = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Say what `all` would do; change nothing, start no engine."""
    from multibuild.cli import runs

    given = locals()
    given.pop("runs")
    runs.show_plan(runs.request_of({k: v for k, v in given.items() if k != "commands"}), commands=commands)


@commands.command(
    "all", epilog=o.examples("multibuild all", "multibuild all --platform linux/arm64 --tag test")
)
def all_(
    context: typer.Context,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    platform: o.Platforms = None,
    tag: o.Tags = None,
    set_: o.Sets = None,
    builder: o.Builder = None,
    jobs: o.Jobs = None,
    resume: o.Resume = False,
    fail_fast: o.FailFast = False,
    progress: o.ProgressKind = "auto",
    report: o.ReportFile = None,
    if_changed: o.IfChanged = False,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Build, test, prove, merge, move the tags.

    Sets up what is missing, builds every platform on its own, and moves no tag before everything holds.
    """
    _run("publish", locals())


@commands.command(
    epilog=o.examples("multibuild build", "multibuild build --platform linux/arm64,linux/riscv64")
)
def build(
    context: typer.Context,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    platform: o.Platforms = None,
    tag: o.Tags = None,
    set_: o.Sets = None,
    builder: o.Builder = None,
    jobs: o.Jobs = None,
    resume: o.Resume = False,
    fail_fast: o.FailFast = False,
    progress: o.ProgressKind = "auto",
    report: o.ReportFile = None,
    if_changed: o.IfChanged = False,
    dry_run: o.DryRun = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Build and push every platform's child; no tag is moved."""
    _run("build", locals())


def _run(command: Command, given: dict[str, Any]) -> None:
    from multibuild.cli import runs

    engine = given.pop("context").obj
    dry_run = bool(given.pop("dry_run"))
    request = runs.request_of(given)
    if dry_run:
        runs.show_plan(request, commands=False)
        return
    raise typer.Exit(runs.run(request, command=command, engine=engine))


@commands.command("test", epilog=o.examples("multibuild test", "multibuild test --json"))
def retest(
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    progress: o.ProgressKind = "auto",
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Test every child of the last run again.

    Runs the configured test at each exact digest, each time it is asked.
    """
    from multibuild.cli import runs
    from multibuild.cli import verify as command

    request = runs.Request(
        file=file, state_dir=state_dir, progress=progress, json=json, quiet=quiet, verbose=verbose
    )
    raise typer.Exit(command.test(request))
