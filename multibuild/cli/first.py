"""The commands of first contact: `init` and shell completion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multibuild.cli import options as o


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.command(
        epilog=o.examples(
            "multibuild init",
            "multibuild init --image registry.example.org/team/app",
            "multibuild init --dockerfile docker/Dockerfile --platform all",
        )
    )(init)


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
    """Write a first config: the platforms that the Dockerfile's base images have, and why not others."""
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
