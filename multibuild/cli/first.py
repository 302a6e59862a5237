"""The commands of first contact: `init` and shell completion."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from multibuild.cli import options as o


def add_init(app: typer.Typer) -> None:
    """Add `init` to the program."""
    app.command(
        epilog=o.examples(
            "multibuild init",
            "multibuild init --image registry.example.org/team/app",
            "multibuild init --dockerfile docker/Dockerfile --platform all",
        )
    )(init)


def add_completion(app: typer.Typer) -> None:
    """Add `completion`, and what its scripts ask."""
    app.command(
        epilog=o.examples(
            "source <(multibuild completion bash)",
            "multibuild completion zsh > ~/.zfunc/_multibuild",
            "multibuild completion fish > ~/.config/fish/completions/multibuild.fish",
        )
    )(completion)
    app.command(hidden=True, epilog=o.examples("multibuild complete zsh -- plan --plat"))(complete)


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


def completion(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")],
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Print a shell's completion script.

    It offers commands and options, and your platforms, tags and runs.
    """
    from multibuild.cli.complete import SCRIPTS
    from multibuild.errors import UsageError

    if shell not in SCRIPTS:
        raise UsageError(f"completion: the shell '{shell}' is not known", hint="write bash, zsh or fish")
    print(SCRIPTS[shell], end="")


def complete(
    shell: Annotated[str, typer.Argument(help="bash, zsh or fish.")],
    words: Annotated[list[str], typer.Argument(help="What is typed; bash: the line.")],
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Print what may come next, one a line: asked by the scripts of `completion`."""
    from multibuild.cli import complete as command

    print("\n".join(command.complete(shell, words)))
