"""The commands for editors and shells: `schema`, `completion`."""

from __future__ import annotations

from typing import Annotated

import typer

from multibuild.cli import options as o

commands = typer.Typer()


@commands.command(epilog=o.examples("multibuild schema > multibuild.schema.json"))
def schema(
    json: o.Json = False,
    file: o.File = o.DEFAULT_FILE,
    state_dir: o.StateDir = None,
    verbose: o.Verbose = False,
    quiet: o.Quiet = False,
) -> None:
    """Print the JSON Schema of the config file."""
    from json import dumps

    from multibuild.config.schema import json_schema

    print(dumps(json_schema(), indent=2))


@commands.command(
    epilog=o.examples(
        "source <(multibuild completion bash)",
        "multibuild completion zsh > ~/.zfunc/_multibuild",
        "multibuild completion fish > ~/.config/fish/completions/multibuild.fish",
    )
)
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


@commands.command(hidden=True, epilog=o.examples("multibuild complete zsh -- plan --plat"))
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
