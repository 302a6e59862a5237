"""The program: its commands, in the order in which its help lists them."""

from __future__ import annotations

from typing import Annotated

import typer

from multibuild.cli.commands import editor, first, fleet, index, past, run
from multibuild.cli.options import examples

app = typer.Typer(
    name="multibuild",
    help="Build one Dockerfile for every architecture and publish one annotated index.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from multibuild import __version__

        print(f"multibuild {__version__}")
        raise typer.Exit


@app.callback(
    epilog=examples("multibuild plan", "multibuild all", "multibuild inspect registry.example.org/app:1")
)
def top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say it and exit.")
    ] = False,
) -> None:
    """Build one Dockerfile for every architecture and publish one annotated index."""


# Not `add_typer`: `main` narrows the program to the command that is called, by this very list.
for part in (first, run, index, past, fleet, editor):
    app.registered_commands += part.commands.registered_commands
