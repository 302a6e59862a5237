"""The commands of a run spread over several machines, and the one that cleans up: `matrix`, `import`, `clean`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multibuild.cli import options as o

commands = typer.Typer()


@commands.command(
    epilog=o.examples(
        "echo matrix=$(multibuild matrix --format github) >> $GITHUB_OUTPUT",
        "multibuild matrix --format gitlab > multibuild-matrix.yml",
        "multibuild matrix --shards 3",
    )
)
def matrix(
    kind: Annotated[str, typer.Option("--format", help="github, gitlab or json.")] = "json",
    shards: Annotated[
        int | None, typer.Option("--shards", min=1, help="At most so many jobs.", show_default=False)
    ] = None,
    runner: Annotated[
        str | None,
        typer.Option("--runner", help="For platforms that name no runner of their own.", show_default=False),
    ] = None,
    platform: o.Platforms = None,
    tag: o.Tags = None,
    set_: o.Sets = None,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Print the platforms as jobs of a CI system.

    Each with its runner.
    """
    from multibuild.cli import fan_out, runs

    request = runs.Request(
        file=file, state_dir=state_dir, platforms=tuple(platform or ()), tags=tuple(tag or ()),
        sets=tuple(set_ or ()), json=json, quiet=quiet, verbose=verbose,
    )  # fmt: skip
    raise typer.Exit(fan_out.matrix(request, "json" if json else kind, shards=shards, runner=runner))


@commands.command(
    "import",
    epilog=o.examples("multibuild import runs/* && multibuild merge", "multibuild import /mnt/arm64-state"),
)
def import_(
    runs: Annotated[
        list[Path], typer.Argument(help="State or run directories that `build` left on other machines.")
    ],
    tag: o.Tags = None,
    set_: o.Sets = None,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Take in runs made on other machines.

    They are checked; `merge` joins them.
    """
    from multibuild.cli import fan_out
    from multibuild.cli.runs import Request

    request = Request(
        file=file, state_dir=state_dir, tags=tuple(tag or ()), sets=tuple(set_ or ()),
        json=json, quiet=quiet, verbose=verbose,
    )  # fmt: skip
    raise typer.Exit(fan_out.import_runs(request, runs))


@commands.command(
    epilog=o.examples(
        "multibuild clean --dry-run", "multibuild clean --keep 5", "multibuild clean --only staged"
    )
)
def clean(
    keep: Annotated[int, typer.Option("--keep", min=0, help="Leave so many of the newest runs.")] = 0,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="runs, staged or builders (repeatable).", show_default=False),
    ] = None,
    builder: o.Builder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only list what would be removed.")] = False,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Remove what runs and setup made.

    Staged children, old runs, builders; never what a tag or an index still holds.
    """
    from multibuild.cli import cleaning
    from multibuild.cli.runs import Request

    request = Request(
        file=file, state_dir=state_dir, builder=builder, json=json, quiet=quiet, verbose=verbose
    )
    raise typer.Exit(cleaning.clean(request, only or (), keep=keep, dry_run=dry_run))
