"""The commands that look back: `explain`, `report`, `runs`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multibuild.cli import options as o

commands = typer.Typer()


@commands.command(
    epilog=o.examples("multibuild explain build.log", "docker buildx build . 2>&1 | multibuild explain -")
)
def explain(
    log: Annotated[str, typer.Argument(help="A build log, or - for standard input.")],
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Say what a build log's failure is.

    Its class, whether it would be retried, and what to do.
    """
    from multibuild.cli import history

    raise typer.Exit(history.explain(log, json_output=json))


@commands.command(epilog=o.examples("multibuild report", "multibuild report 20260101-1200 --markdown"))
def report(
    run: Annotated[
        str | None, typer.Argument(help="A run's id, or its beginning; default the newest.")
    ] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="For a CI summary.")] = False,
    html: Annotated[
        Path | None, typer.Option("--html", help="Write the page there.", show_default=False)
    ] = None,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Show the report of a run."""
    from multibuild.cli import history, runs

    request = runs.Request(file=file, state_dir=state_dir, json=json, quiet=quiet, verbose=verbose)
    raise typer.Exit(history.report(request, run, markdown=markdown, page=html))


@commands.command("runs", epilog=o.examples("multibuild runs", "multibuild runs --json"))
def runs_(
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """List past runs, newest first."""
    from multibuild.cli import history, runs

    request = runs.Request(file=file, state_dir=state_dir, json=json, quiet=quiet, verbose=verbose)
    raise typer.Exit(history.runs(request))
