"""`completion` and `schema`: for shells and editors."""

from __future__ import annotations

from json import dumps
from typing import Annotated

from typer import Argument

from multibuild.cli.completion import SHELLS, fixed, script
from multibuild.cli.request import Request
from multibuild.errors import UsageError
from multibuild.frozen import frozen


@frozen
class CompletionRequest(Request):
    """The flags of `completion`."""

    shell: Annotated[str, Argument(help="bash, zsh or fish.", autocompletion=fixed(*SHELLS))]


def completion(request: CompletionRequest) -> int:
    """Print a shell's completion script.

    It offers commands and options, and your images, platforms, tags and runs.
    """
    if request.shell not in SHELLS:
        raise UsageError(
            f"completion: the shell '{request.shell}' is not known", hint="write bash, zsh or fish"
        )
    print(script(request.shell))
    return 0


def schema(request: Request) -> int:
    """Print the JSON Schema of the config file."""
    from multibuild.config.schema import json_schema

    print(dumps(json_schema(), indent=2))
    return 0
