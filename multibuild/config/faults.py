"""What is wrong in a file, for people: place, key path, what, and the nearest thing that would be right."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from multibuild.config.document import Document, Key, dotted
from multibuild.errors import ConfigError
from multibuild.frozen import frozen

MOST_FAULTS = 10
"""A screen full; who has more has the wrong file."""

FEW_KEYS = 12
"""So many keys fit a line."""


@frozen
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
    if len(hinted) > MOST_FAULTS:
        hinted = [*hinted[:MOST_FAULTS], f"and {len(hinted) - MOST_FAULTS} more"]
    return ConfigError("\n".join(hinted), hint="`multibuild schema` describes every key")


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
            return Fault(
                key=key, message="is required", hint=f"like {_EXAMPLES.get(key[-1], f'{key[-1]}: …')}"
            )
        case "literal_error":
            return _choice(key, details["input"], _choices(str(context["expected"])), document)
        case "bool_parsing" | "bool_type":
            return _choice(key, details["input"], ["true", "false"], document)
    return _wrong_type(key, details, document)


def _choice(key: Key, value: Any, valid: Sequence[str], document: Document) -> Fault:
    near = get_close_matches(str(value), valid, n=1)
    hint = f"like {key[-1]}: {valid[0]}"
    if str(value) in valid:
        hint = f"write it without quotes: {value}"
    elif near:
        hint = f"perhaps you meant '{near[0]}'"
    message = f"must be {_alternatives(valid)}, not {_given(value, document.texts.get(key))}"
    return Fault(key=key, message=message, hint=hint)


def _wrong_type(key: Key, details: ErrorDetails, document: Document) -> Fault:
    kind, value = details["type"], details["input"]
    text = document.texts.get(key)
    if kind in {"too_short", "string_too_short"}:
        return Fault(
            key=key, message="must not be empty", hint=f"like {_EXAMPLES.get(key[-1], f'{key[-1]}: …')}"
        )
    if kind not in _WANTED:
        return Fault(key=key, message=details["msg"][:1].lower() + details["msg"][1:])
    bound = next(iter(details.get("ctx", {}).values()), "")
    message = f"must be {_WANTED[kind].format(bound)}, not {_given(value, text)}"
    return Fault(key=key, message=message, hint=_hint_of_type(kind, key, value, text))


def _hint_of_type(kind: str, key: Key, value: Any, text: str | None) -> str:
    if value is None:
        return "remove the key, or give it a value"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'write it in quotes: "{text or value}"'
    if kind == "tuple_type" and isinstance(value, str):
        return f"write [{', '.join(_words(value))}]"
    form = _FORMS.get(kind, "3")
    return f"like {_EXAMPLES.get(key[-1], f'{key[-1]}: {form}')}"


def _words(text: str) -> list[str]:
    """Take a list apart that was written as one text: by commas, else by a shell's rules."""
    import shlex

    try:
        return [word.strip() for word in text.split(",")] if "," in text else shlex.split(text) or [text]
    except ValueError:
        return [text]


_EXAMPLES: Mapping[str | int, str] = {
    "version": "version: 1",
    "image": "image: registry.example.org/team/app",
    "platforms": "platforms: [linux/amd64, linux/arm64]",
    "name": "name: linux/arm64",
    "run": "run: [app, --version]",
    "builder": "builder: auto",
    "test": "test: {run: [app, --version]}",
}
_FORMS: Mapping[str, str] = {
    "string_type": "text",
    "tuple_type": "[a, b]",
    "dict_type": "{KEY: value}",
    "model_type": "{KEY: value}",
    "float_type": "1.5",
    "greater_than_equal": "1",
}

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
    if near:
        return f"perhaps you meant '{near[0]}'"
    return f"there are {', '.join(keys)}" if len(keys) <= FEW_KEYS else "`multibuild schema` lists the keys"


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
