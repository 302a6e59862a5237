"""The commands of first contact: `init`, `doctor`, `setup`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multibuild.cli import options as o

commands = typer.Typer()


@commands.command(
    epilog=o.examples(
        "multibuild init",
        "multibuild init --image registry.example.org/team/app",
        "multibuild init --dockerfile docker/Dockerfile --platform all",
    )
)
def init(
    image: Annotated[
        str | None,
        typer.Option("--image", help="Where to publish, without tag; else a guess.", show_default=False),
    ] = None,
    dockerfile: Annotated[
        Path | None, typer.Option("--dockerfile", help="Which one, if there are several.", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="The build stage; default the last.", show_default=False)
    ] = None,
    platform: Annotated[
        list[str] | None,
        typer.Option("--platform", help="Which platforms; `all` are all possible ones.", show_default=False),
    ] = None,
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Write a first config for a Dockerfile.

    It proposes the platforms that the base images really have, says why not others, and never overwrites.
    """
    from multibuild.cli import init as command

    flags = command.InitFlags(
        file=file,
        image=image,
        dockerfile=dockerfile,
        target=target,
        platforms=tuple(platform or ()),
        json=json,
        quiet=quiet,
    )
    raise typer.Exit(command.init(flags))


@commands.command(epilog=o.examples("multibuild doctor", "multibuild doctor --json"))
def doctor(
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    builder: o.Builder = None,
    json: o.Json = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Say whether the platforms can be built here.

    Runs a tiny program of each through the builder; for what does not run it says why, and what mends it.
    """
    from multibuild.cli import machine, runs

    request = runs.Request(
        file=file, state_dir=state_dir, builder=builder, json=json, quiet=quiet, verbose=verbose
    )
    raise typer.Exit(machine.doctor(request))


@commands.command(
    epilog=o.examples(
        "multibuild setup", "multibuild setup --dry-run", "multibuild setup --builder fleet.yaml"
    )
)
def setup(
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    builder: o.Builder = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be made.")] = False,
    recreate: Annotated[
        bool, typer.Option("--recreate", help="Mend a builder that drifted even where its cache is lost.")
    ] = False,
    json: o.Json = False,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Make emulators and builder ready; say what changed."""
    from multibuild.cli import machine, runs

    request = runs.Request(
        file=file, state_dir=state_dir, builder=builder, json=json, quiet=quiet, verbose=verbose
    )
    raise typer.Exit(machine.setup(request, change=not dry_run, recreate=recreate))
