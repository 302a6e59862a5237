"""A command: a function from its request, whose fields are its arguments and options, to an exit code."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from types import GenericAlias
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import typer

from multibuild.cli.request import Request
from multibuild.cli.verbose import set_verbose

R = TypeVar("R", bound=Request)


def register(app: typer.Typer, name: str, function: Callable[[R], int], examples: tuple[str, ...]) -> None:
    """Add a command to `app`; its help is the function's docstring, and ends with `examples`."""
    app.command(name, epilog=epilog(*examples))(_callback(function))


def epilog(*examples: str) -> str:
    r"""Return the end of a help text; `\b` keeps each example on its own line (Click)."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)


def _callback(function: Callable[[R], int]) -> Callable[..., None]:
    """Return a function for Typer, with a parameter for each field that is an argument or option."""
    request_type: type[R] = get_type_hints(function)["request"]
    hints = get_type_hints(request_type, include_extras=True)

    def callback(**values: Any) -> None:
        set_verbose(values["verbose"])
        tuples = {name: tuple(value or ()) for name, value in values.items() if _is_tuple(hints[name])}
        raise typer.Exit(function(request_type(**{**values, **tuples})))

    own = request_type.__annotations__
    ordered = sorted(fields(request_type), key=lambda field: field.name not in own)
    parameters = [_parameter(field, hints[field.name]) for field in ordered if _is_flag(hints[field.name])]
    callback.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    callback.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    callback.__doc__ = function.__doc__
    return callback


def _is_flag(hint: Any) -> bool:
    return get_origin(hint) is Annotated


def _is_tuple(hint: Any) -> bool:
    return get_origin(get_args(hint)[0]) is tuple


def _parameter(field: Field[Any], hint: Any) -> inspect.Parameter:
    """Return a field as a parameter; Typer reads repeatable ones as lists."""
    default = inspect.Parameter.empty if field.default is MISSING else field.default
    kind, *flags = get_args(hint)
    if _is_tuple(hint):
        values = GenericAlias(list, get_args(kind)[:1])
        hint = Annotated[(values if default == inspect.Parameter.empty else values | None, *flags)]
        default = default or None
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hint)
