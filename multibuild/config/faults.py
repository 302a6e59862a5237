"""What is wrong in a file, for people: place, key path, what, and the nearest thing that would be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from multibuild.config.document import Document, Key, dotted
from multibuild.errors import ConfigError


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing wrong with the value at `key`."""

    key: Key
    message: str
    hint: str | None = None


def fault(message: str, *, hint: str | None = None, at: Key = ()) -> PydanticCustomError:
    """Make the error a validator raises; `at` leads from the validated value to the part that is wrong."""
    return PydanticCustomError("multibuild", "{message}", {"message": message, "hint": hint, "at": at})


def config_error(document: Document, faults: Sequence[Fault]) -> ConfigError:
    """Put all faults into one error: a line each, in the order of the file."""
    faults = sorted(faults, key=lambda item: document.order_of(item.key))
    lines = [f"{document.place_of(item.key)}: {_where(item.key)}{item.message}" for item in faults]
    if len(faults) == 1:
        return ConfigError(lines[0], hint=faults[0].hint)
    hinted = [
        f"{line} ({item.hint})" if item.hint else line for line, item in zip(lines, faults, strict=True)
    ]
    return ConfigError("\n".join(hinted))


def faults_of(error: ValidationError, model: type[BaseModel], document: Document) -> list[Fault]:
    """Say in the user's words what pydantic found."""
    return [_fault(details, model, document) for details in error.errors(include_url=False)]


def _where(key: Key) -> str:
    return f"{dotted(key)}: " if key else ""


def _fault(details: ErrorDetails, model: type[BaseModel], document: Document) -> Fault:
    key: Key = tuple(part for part in details["loc"] if part != "[key]")
    context = details.get("ctx", {})
    match details["type"]:
        case "multibuild":
            return Fault(key=(*key, *context["at"]), message=context["message"], hint=context["hint"])
        case "extra_forbidden":
            return Fault(key=key, message="is no key multibuild knows", hint=_nearest_key(key, model))
        case "missing":
            return Fault(key=key, message="is required")
        case "literal_error":
            return _choice(key, details["input"], _choices(str(context["expected"])), document)
        case "bool_parsing" | "bool_type":
            return _choice(key, details["input"], ["true", "false"], document)
    return _wrong_type(key, details, document)


def _choice(key: Key, value: Any, valid: Sequence[str], document: Document) -> Fault:
    near = get_close_matches(str(value), valid, n=1)
    return Fault(
        key=key,
        message=f"must be {_alternatives(valid)}, not {_given(value, document.texts.get(key))}",
        hint=f"perhaps you meant '{near[0]}'" if near else None,
    )


def _wrong_type(key: Key, details: ErrorDetails, document: Document) -> Fault:
    kind, value = details["type"], details["input"]
    text = document.texts.get(key)
    if kind == "too_short":
        return Fault(key=key, message="must not be empty")
    if kind not in _WANTED:
        return Fault(key=key, message=details["msg"][:1].lower() + details["msg"][1:])
    hint = None
    if value is None:
        hint = "remove the key, or give it a value"
    elif kind == "string_type" and isinstance(value, bool | int | float):
        hint = f'write it in quotes: "{text or value}"'
    elif kind == "tuple_type" and isinstance(value, str):
        hint = f"write [{value}]"
    bound = next(iter(details.get("ctx", {}).values()), "")
    return Fault(
        key=key, message=f"must be {_WANTED[kind].format(bound)}, not {_given(value, text)}", hint=hint
    )


_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "greater_than": "more than {}",
    "greater_than_equal": "at least {}",
}


def _given(value: Any, text: str | None) -> str:
    match value:
        case None:
            return "empty"
        case bool() | int() | float():
            return f"the {'boolean' if isinstance(value, bool) else 'number'} {text or value}"
        case dict():
            return "a mapping"
        case list() | tuple():
            return "a list"
        case _:
            return f"'{value}'"


def _choices(expected: str) -> list[str]:
    """Read pydantic's `'min', 'max' or False`."""
    parts = expected.replace(" or ", ", ").split(", ")
    return [part.strip("'") if part.startswith("'") else part.lower() for part in parts]


def _alternatives(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _nearest_key(key: Key, model: type[BaseModel]) -> str:
    keys = key_names(_model_at(key[:-1], model) or model)
    near = get_close_matches(str(key[-1]).replace("-", "_").lower(), keys, n=1)
    return f"perhaps you meant '{near[0]}'" if near else f"there are {', '.join(keys)}"


def key_names(model: type[BaseModel]) -> list[str]:
    """The keys of a model as they are written in YAML."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(key: Key, model: type[BaseModel]) -> type[BaseModel] | None:
    """Follow a key path through the models to the one that says which keys stand there."""
    found: type[BaseModel] | None = model
    for part in key:
        if isinstance(part, int) or found is None:
            continue
        fields = {field.alias or name: field for name, field in found.model_fields.items()}
        if part in fields:
            found = next(_models_in(fields[part].annotation), None)
    return found


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    inner: Iterable[Any] = get_args(annotation)
    for part in inner:
        yield from _models_in(part)
