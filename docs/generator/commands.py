"""The page of commands, from the same source as `--help`."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import typer

from docs.generator.markdown import code, page, table
from multibuild.cli.app import program

COMMON = ("file", "state_dir", "verbose", "quiet", "json")
"""Options that every command takes; they are listed once."""


def commands_page() -> str:
    """Return the page."""
    group: Any = typer.main.get_command(program())
    first = next(iter(group.commands.values()))
    common = [option for option in first.params if option.name in COMMON]
    return page(
        "Commands",
        "stdout carries data, stderr carries progress and messages. `--help` of each command prints the same.",
        "## Options of every command",
        _options(common),
        *(_command(name, command) for name, command in group.commands.items()),
    )


def _command(name: str, command: Any) -> str:
    own = [part for part in command.params if part.name not in COMMON and part.name != "help"]
    arguments = [part for part in own if part.param_type_name == "argument"]
    options = [part for part in own if part.param_type_name == "option"]
    words = " ".join(["multibuild", name, *map(_placeholder, arguments)])
    parts = [f"## {name}", inspect.cleandoc(command.help or ""), code(words)]
    if arguments:
        parts.append(
            table(
                ("argument", "meaning"), ((code(_placeholder(part)), part.help or "") for part in arguments)
            )
        )
    if options:
        parts.append(_options(options))
    parts += ["Examples:", "\n".join(f"- {code(line)}" for line in _examples(command.epilog or ""))]
    return "\n\n".join(parts)


def _options(options: Iterable[Any]) -> str:
    return table(
        ("option", "meaning", "default"),
        ((_flags(option), option.help or "", _default(option)) for option in options),
    )


def _flags(option: Any) -> str:
    value = "" if option.is_flag else f" {option.name.strip('_').upper()}"
    return ", ".join(code(flag + value) for flag in [*option.opts, *option.secondary_opts])


def _placeholder(argument: Any) -> str:
    name = argument.name.upper() + ("..." if argument.nargs == -1 else "")
    return name if argument.required else f"[{name}]"


def _default(option: Any) -> str:
    return "" if option.is_flag or option.default is None else code(str(option.default))


def _examples(epilog: str) -> list[str]:
    # A backspace alone on a line keeps the lines after it as they are (Click); it is no example.
    lines = (line.strip("\b ") for line in epilog.splitlines())
    return [line for line in lines if line and line != "Examples:"]
