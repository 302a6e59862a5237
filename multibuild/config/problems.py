"""Problems in a config file as one error: location, key path, message, and the nearest valid spelling."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from multibuild.config.yaml_document import Document, KeyPath, dotted
from multibuild.errors import ConfigError
from multibuild.frozen import frozen
from multibuild.redact import REDACTED, is_secret_name, redacted
from multibuild.terminal import one_line, shorten

MAX_PROBLEMS = 10
"""A screenful; a file with more is most likely the wrong file."""

MAX_MESSAGE = 400
"""Characters of one problem, and of its hint: a few lines."""

MAX_QUOTED = 120
"""Characters of a value or key that a message quotes."""

MAX_LISTED_KEYS = 12
"""As many as fit a line."""

NOT_SHOWN = "its value is not shown, as it may hold a secret"


@frozen
class Problem:
    """A problem with the value at `key`."""

    key: KeyPath
    message: str
    hint: str | None = None


def invalid(message: str, *, hint: str | None = None, at: KeyPath = ()) -> PydanticCustomError:
    """Return the error for a validator to raise; `at` is the path from the validated value to the invalid part."""
    return PydanticCustomError("multibuild", "{message}", {"message": message, "hint": hint, "at": at})


def config_error(document: Document, problems: Sequence[Problem]) -> ConfigError:
    """Return one error with a line per problem, in the order of the file."""
    problems = sorted(
        (_without_secret(problem, document) for problem in problems),
        key=lambda problem: document.sort_key(problem.key),
    )
    lines = [f"{document.location_of(p.key)}: {_prefix(p.key)}{_short(p.message)}" for p in problems]
    if len(problems) == 1:
        return ConfigError(lines[0], hint=_short(problems[0].hint or "") or None)
    hinted = [
        f"{line} ({_short(p.hint)})" if p.hint else line for line, p in zip(lines, problems, strict=True)
    ]
    if len(hinted) > MAX_PROBLEMS:
        hinted = [*hinted[:MAX_PROBLEMS], f"and {len(hinted) - MAX_PROBLEMS} more"]
    return ConfigError("\n".join(hinted), hint="`multibuild schema` describes every key")


def problems_of(error: ValidationError, model: type[BaseModel], document: Document) -> list[Problem]:
    """Convert pydantic's errors to problems in the user's terms."""
    return [problem_of(details, model, document) for details in error_details(error)]


def error_details(error: ValidationError) -> list[ErrorDetails]:
    """Return pydantic's errors, without those that follow from others: a list of wrong entries is "too short" too."""
    return [
        details
        for details in error.errors(include_url=False)
        if details["type"] != "too_short" or not details["input"]
    ]


def _without_secret(problem: Problem, document: Document) -> Problem:
    """Return a problem that does not quote its value, where the key's name or a URL in it says that it is a secret."""
    value = str(_value_at(document.values, problem.key) or "")
    in_url = redacted(value) != value
    if not value or not (in_url or any(is_secret_name(str(part)) for part in problem.key)):
        return problem
    message = re.sub("'.*'", f"'{REDACTED}'", problem.message, flags=re.DOTALL)
    quotes_value = in_url or value in (problem.hint or "")
    return Problem(key=problem.key, message=message, hint=NOT_SHOWN if quotes_value else problem.hint)


def _value_at(values: Any, key: KeyPath) -> Any:
    for part in key:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _prefix(key: KeyPath) -> str:
    return f"{shorten(one_line(dotted(key)), MAX_QUOTED)}: " if key else ""


def _short(text: str) -> str:
    """Return a message as one line of bounded length: it may quote a value, and that be any text."""
    return shorten(one_line(text), MAX_MESSAGE)


def key_of(details: ErrorDetails) -> KeyPath:
    """Return the key of one of pydantic's errors."""
    return tuple(part for part in details["loc"] if part != "[key]")


def problem_of(details: ErrorDetails, model: type[BaseModel], document: Document) -> Problem:
    """Convert one of pydantic's errors."""
    key = key_of(details)
    context = details.get("ctx", {})
    match details["type"]:
        case "multibuild":
            return Problem(key=(*key, *context["at"]), message=context["message"], hint=context["hint"])
        case "extra_forbidden":
            return Problem(key=key, message="is no key multibuild knows", hint=_nearest_key(key, model))
        case "missing":
            return Problem(key=key, message="is required", hint=example(key))
        case "literal_error":
            return _choice(key, details["input"], _choices(str(context["expected"])), document)
        case "bool_parsing" | "bool_type":
            return _choice(key, details["input"], ["true", "false"], document)
    return _wrong_type(key, details, document)


def _choice(key: KeyPath, value: Any, valid: Sequence[str], document: Document) -> Problem:
    near = get_close_matches(str(value)[:MAX_QUOTED], valid, n=1)
    hint = f"like {key[-1]}: {valid[0]}"
    if str(value) in valid:
        hint = f"write it without quotes: {value}"
    elif near:
        hint = f"perhaps you meant '{near[0]}'"
    message = f"must be {_alternatives(valid)}, not {_shown(value, document.texts.get(key))}"
    return Problem(key=key, message=message, hint=hint)


def _wrong_type(key: KeyPath, details: ErrorDetails, document: Document) -> Problem:
    kind, value = details["type"], details["input"]
    text = document.texts.get(key)
    if kind == "too_long":
        bound = details.get("ctx", {}).get("max_length")
        return Problem(key=key, message=f"has more than {bound} entries", hint="is this the right file?")
    if kind in {"too_short", "string_too_short"}:
        return Problem(key=key, message="must not be empty", hint=example(key))
    if kind == "string_pattern_mismatch":
        return Problem(key=key, message=f"cannot be {_shown(value, text)}", hint=_NAME_HINT)
    if kind not in _TYPE_NAMES:
        return Problem(key=key, message=details["msg"][:1].lower() + details["msg"][1:])
    bound = next(iter(details.get("ctx", {}).values()), "")
    message = f"must be {_TYPE_NAMES[kind].format(bound)}, not {_shown(value, text)}"
    return Problem(key=key, message=message, hint=_hint_of_type(kind, key, value, text))


def _hint_of_type(kind: str, key: KeyPath, value: Any, text: str | None) -> str:
    if value is None:
        return "remove the key, or give it a value"
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f'write it in quotes: "{text or value}"'
    if kind == "tuple_type" and isinstance(value, str):
        return f"write [{', '.join(_words(value))}]"
    return example(key, _FORMS.get(kind, "3"))


def example(key: KeyPath, form: str = "…") -> str:
    """Return how a key is written, for a hint; of an entry its list."""
    if isinstance(key[-1], int) and len(key) > 1:
        return f"like {_EXAMPLES.get(key[-2], f'{key[-2]}: [{form}]')}"
    return f"like {_EXAMPLES.get(key[-1], f'{key[-1]}: {form}')}"


def _words(text: str) -> list[str]:
    """Split a list that was written as one text: at commas, else like a shell."""
    import shlex

    try:
        return [word.strip() for word in text.split(",")] if "," in text else shlex.split(text) or [text]
    except ValueError:
        return [text]


_NAME_HINT = "letters, digits, `_`, `.` and `-`, a letter or a digit first"
"""The one pattern of the models: that of names."""

_EXAMPLES: Mapping[str | int, str] = {
    "version": "version: 1",
    "image": "image: registry.example.org/team/app",
    "platforms": "platforms: [linux/amd64, linux/arm64]",
    "name": "name: linux/arm64",
    "run": "run: [app, --version]",
    "builder": "builder: auto",
    "secrets": "secrets: ['id=token,env=TOKEN']",
    "test": "test: {run: [app, --version]}",
}
_FORMS: Mapping[str, str] = {
    "string_type": "text",
    "tuple_type": "[a, b]",
    "dict_type": "{KEY: value}",
    "model_type": "{KEY: value}",
    "float_type": "1.5",
    "greater_than_equal": "1",
    "less_than_equal": "3",
}

_TYPE_NAMES = {
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
    "less_than_equal": "at most {}",
}


def _shown(value: Any, text: str | None) -> str:
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
            return f"'{shorten(str(value), MAX_QUOTED)}'"


def _choices(expected: str) -> list[str]:
    """Parse pydantic's `'min', 'max' or False`."""
    parts = expected.replace(" or ", ", ").split(", ")
    return [part.strip("'") if part.startswith("'") else part.lower() for part in parts]


def _alternatives(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _nearest_key(key: KeyPath, model: type[BaseModel]) -> str:
    keys = key_names(_model_at(key[:-1], model) or model)
    near = get_close_matches(str(key[-1])[:MAX_QUOTED].replace("-", "_").lower(), keys, n=1)
    if near:
        return f"perhaps you meant '{near[0]}'"
    few = len(keys) <= MAX_LISTED_KEYS
    return f"there are {', '.join(keys)}" if few else "`multibuild schema` lists the keys"


def key_names(model: type[BaseModel]) -> list[str]:
    """Return the keys of a model as in YAML."""
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(key: KeyPath, model: type[BaseModel]) -> type[BaseModel] | None:
    """Follow a key path to the model of its mapping."""
    current: type[BaseModel] | None = model
    for part in key:
        if isinstance(part, int) or current is None:
            continue
        fields = {field.alias or name: field for name, field in current.model_fields.items()}
        if part in fields:
            current = next(_models_in(fields[part].annotation), None)
    return current


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    inner: Iterable[Any] = get_args(annotation)
    for part in inner:
        yield from _models_in(part)
