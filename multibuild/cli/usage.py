"""Typer's errors as UsageError: what was typed, the nearest name that exists, and the help to read."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from multibuild.errors import UsageError


def usage_error(error: Any) -> UsageError:
    """Convert an error of Typer's parser.

    Typer keeps its parser's classes private, so they are recognized by name, and by the attributes they document.
    """
    context: Any = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "multibuild"
    message, hint = _words(error, context, command)
    return UsageError(
        message if message.startswith("there is no command") else f"{command}: {message}", hint=hint
    )


def _words(error: Any, context: Any, command: str) -> tuple[str, str]:
    """Return message and hint."""
    see_help = f"`{command} --help` says what it takes"
    match type(error).__name__:
        case "NoSuchOption":
            if context.parent is None and error.option_name in _global_options(context):
                return (
                    f"{error.option_name} stands after the command",
                    f"like `{command} plan {error.option_name}`",
                )
            near = _near(error.option_name, _options(context))
            return f"there is no option {error.option_name}", _hint(near, f"`{command} --help` lists them")
        case "BadOptionUsage":
            return f"{error.option_name} {_needs(error)}", see_help
        case "MissingParameter":
            return f"{_name(error)} is missing", f"like `{_example(context, command)}`"
        case "BadParameter":
            return f"{_name(error)}: {_sentence(error.message)}", see_help
    return _words_by_text(error, context, see_help)


def _words_by_text(error: Any, context: Any, see_help: str) -> tuple[str, str]:
    typed = _typed(error)
    if typed is not None and error.message.startswith("No such command"):
        near = _near(typed, context.command.commands)
        return f"there is no command '{typed}'", _hint(near, "`multibuild --help` lists them")
    if error.message.startswith("Got unexpected extra argument"):
        return f"takes no further argument: {error.message.partition('(s) (')[2].rstrip(')')}", see_help
    return _sentence(error.message), see_help


def _typed(error: Any) -> str | None:
    """Return the name in "No such command 'x'."."""
    parts = str(getattr(error, "message", "")).split("'")
    return parts[1] if len(parts) > 2 else None


def _options(context: Any) -> list[str]:
    return [name for parameter in context.command.params for name in parameter.opts if name.startswith("--")]


def _global_options(context: Any) -> list[str]:
    """Return the options that every command has."""
    commands = context.command.commands.values()
    every = [{name for option in command.params for name in option.opts} for command in commands]
    return sorted(set.intersection(*every)) if every else []


def _near(typed: str, names: Iterable[str]) -> str | None:
    return next(iter(get_close_matches(typed, list(names), n=1, cutoff=0.5)), None)


def _hint(near: str | None, otherwise: str) -> str:
    return f"perhaps you meant {near}; {otherwise}" if near else otherwise


def _needs(error: Any) -> str:
    return "needs a value" if "requires" in error.message else "takes no value"


def _name(error: Any) -> str:
    parameter = getattr(error, "param", None)
    if parameter is None:
        return "a value"
    if parameter.param_type_name == "argument":
        return str(parameter.name).upper()
    return str(parameter.opts[0])


def _example(context: Any, command: str) -> str:
    """Return the first example of the command's help."""
    lines = (context.command.epilog or "").splitlines()
    return next((line.strip() for line in lines if line.startswith("  ")), f"{command} --help")


def _sentence(text: str) -> str:
    return (text[:1].lower() + text[1:]).rstrip(".")
