"""From a document to a model: pydantic's findings as lines a person can act on."""

from __future__ import annotations

import types
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from multibuild.config.document import Document, Path, dotted
from multibuild.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

STRING_MAPS = frozenset({"args", "labels", "annotations", "contexts", "driver_opts"})
"""Keys whose values are strings however they are written: `VERSION: 1.10` means the text 1.10."""


def validate(model: type[M], document: Document) -> M:
    """Validate a document; ConfigError with one FILE:LINE:COLUMN line per finding."""
    if not isinstance(document.data, Mapping):
        raise ConfigError(
            f"{document.place(())}: keys and values are wanted, like `version: 1`",
            hint="see the example in the README",
        )
    try:
        return model.model_validate(_as_written(document, document.data, ()))
    except ValidationError as error:
        found = [_explain(model, document, dict(item)) for item in error.errors(include_url=False)]
        lines = list(dict.fromkeys(line for line, _ in found))
        hints = list(dict.fromkeys(hint for _, hint in found if hint))
        raise ConfigError("\n".join(lines), hint="; ".join(hints[:3]) or None) from None


def _as_written(document: Document, value: Any, path: Path) -> Any:
    """Give scalars under string maps as the file has them, not as YAML reads them."""
    if isinstance(value, Mapping):
        return {key: _as_written(document, item, (*path, key)) for key, item in value.items()}
    if isinstance(value, list):
        return [_as_written(document, item, (*path, place)) for place, item in enumerate(value)]
    inside = len(path) >= 2 and path[-2] in STRING_MAPS
    scalar = isinstance(value, bool | int | float) or (value is not None and not isinstance(value, str))
    return document.raw.get(path, str(value)) if inside and scalar else value


def _explain(model: type[BaseModel], document: Document, item: Mapping[str, Any]) -> tuple[str, str | None]:
    path = tuple(part for part in item["loc"] if part not in _NOT_KEYS)
    path = _real_path(document.data, path)
    place, key = document.place(path), dotted(path)
    match item["type"]:
        case "extra_forbidden":
            names = _names_at(model, path[:-1])
            close = get_close_matches(str(path[-1]), names, n=1, cutoff=0.5)
            advice = f"perhaps you meant '{close[0]}'" if close else f"known here: {', '.join(names)}"
            return f"{place}: {key}: unknown key", advice
        case "missing":
            return f"{document.place(path[:-1])}: {key}: it is required and not there", None
        case "value_error":
            return f"{place}: {f'{key}: ' if key else ''}{item['ctx']['error']}", None
        case "string_type":
            value = document.raw.get(path)
            hint = f'quote it: "{value}"' if value is not None else None
            return f"{place}: {key}: text is wanted", hint
        case "literal_error":
            return f"{place}: {key}: one of {item['ctx']['expected']} is wanted", None
    return f"{place}: {key}: {item['msg'][:1].lower()}{item['msg'][1:]}", None


_NOT_KEYS = frozenset({"int", "float", "constrained-int", "literal['auto']", "function-before", "nullable"})


def _real_path(data: Any, path: Path) -> Path:
    """Cut what pydantic adds to a path (names of union members); the last part may be a missing key."""
    real: list[str | int] = []
    for number, part in enumerate(path):
        last = number == len(path) - 1
        if (isinstance(data, Mapping) and (part in data or last)) or (
            isinstance(data, list) and isinstance(part, int) and part < len(data)
        ):
            real.append(part)
            data = data.get(part) if isinstance(data, Mapping) else data[int(part)]
    return tuple(real)


def _names_at(model: type[BaseModel], path: Path) -> list[str]:
    """Give the keys a model has at a path."""
    current: Any = model
    for part in path:
        current = _inner(current)
        if isinstance(part, str) and isinstance(current, type) and issubclass(current, BaseModel):
            fields = {field.alias or name: field for name, field in current.model_fields.items()}
            current = fields[part].annotation if part in fields else None
    current = _inner(current)
    if isinstance(current, type) and issubclass(current, BaseModel):
        return [field.alias or name for name, field in current.model_fields.items()]
    return []


def _inner(annotation: Any) -> Any:
    """Give the model inside Optional, tuple or Mapping."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation
    for argument in reversed(get_args(annotation)) if get_origin(annotation) else ():
        found = _inner(argument)
        if isinstance(found, type) and issubclass(found, BaseModel):
            return found
    return None
