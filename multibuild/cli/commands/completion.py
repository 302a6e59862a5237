"""`completion` and `schema`: for shells and editors."""

from __future__ import annotations

from json import dumps
from typing import Annotated

from typer import Argument

from multibuild.cli.request import Request
from multibuild.errors import UsageError
from multibuild.frozen import frozen


@frozen
class CompletionRequest(Request):
    """The flags of `completion`."""

    shell: Annotated[str, Argument(help="bash, zsh or fish.")]


@frozen
class CompleteRequest(Request):
    """The flags of `complete`."""

    shell: Annotated[str, Argument(help="bash, zsh or fish.")]
    words: Annotated[tuple[str, ...], Argument(help="What is typed; bash: the line.")]


def completion(request: CompletionRequest) -> int:
    """Print a shell's completion script.

    It offers commands and options, and your platforms, tags and runs.
    """
    from multibuild.cli.complete import SCRIPTS

    if request.shell not in SCRIPTS:
        raise UsageError(
            f"completion: the shell '{request.shell}' is not known", hint="write bash, zsh or fish"
        )
    print(SCRIPTS[request.shell], end="")
    return 0


def complete(request: CompleteRequest) -> int:
    """Print what may come next, one a line: asked by the scripts of `completion`."""
    from multibuild.cli import complete as command

    print("\n".join(command.complete(request.shell, request.words)))
    return 0


def schema(request: Request) -> int:
    """Print the JSON Schema of the config file."""
    from multibuild.config.schema import json_schema

    print(dumps(json_schema(), indent=2))
    return 0
