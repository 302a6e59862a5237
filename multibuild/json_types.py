"""Conversion of values to JSON types, and JSON from outside: parsed within limits, and compared with a shape."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any, TypeAlias

MAX_JSON_DEPTH = 100
"""Lists and objects within each other; ours have about ten, and Python's recursion ends at a thousand."""

MAX_JSON_VALUES = 1_000_000
"""Values of a document: each takes some hundred bytes of memory, whatever its length in the file."""

MAX_INTEGER_DIGITS = 18
"""Digits of an integer: 64 bits, as other readers of JSON have."""

Shape: TypeAlias = "Callable[[Any], bool] | Mapping[str, Shape] | Sequence[Shape]"
"""What a JSON value must look like: a condition, an object's keys ("key?" may be absent), or a list of such items."""


def parse_json(data: str | bytes) -> Any:
    """Parse JSON that others wrote; ValueError for anything that is damaged, endless, deep, or no finite number."""
    text = data.decode("utf-8") if isinstance(data, bytes) else data
    openers = text.count("[") + text.count("{")
    if openers + text.count(",") > MAX_JSON_VALUES:
        raise ValueError(f"it has more than {MAX_JSON_VALUES} values")
    try:
        document = _DECODER.decode(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if openers > MAX_JSON_DEPTH:
        _require_flat(document)
    return _without_surrogates(document) if "\\ud" in text.lower() else document


def has_shape(value: Any, shape: Shape) -> bool:
    """Whether a JSON value looks like a shape; further keys of an object are allowed."""
    if isinstance(shape, Mapping):
        return isinstance(value, dict) and all(
            has_shape(value[name], inner) if (name := key.rstrip("?")) in value else key.endswith("?")
            for key, inner in shape.items()
        )
    if isinstance(shape, Sequence):
        return isinstance(value, list) and all(has_shape(item, shape[0]) for item in value)
    return shape(value)


def optional(shape: Shape) -> Callable[[Any], bool]:
    """Return the shape of a value that may be null."""
    return lambda value: value is None or has_shape(value, shape)


def is_text(value: Any) -> bool:
    """Whether it is a string."""
    return isinstance(value, str)


def is_flag(value: Any) -> bool:
    """Whether it is true or false."""
    return isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Whether it is a finite number, of either sign."""
    return type(value) in {int, float} and math.isfinite(value)


def is_count(value: Any) -> bool:
    """Whether it is a whole number from 0."""
    return type(value) is int and value >= 0


def as_json(value: Any) -> Any:
    """Convert dataclasses to objects, tuples and sets to lists, times to RFC 3339, bytes to text.

    Values with a text form of their own (Platform, Path) become that text. Sets are sorted, so that equal values give
    equal JSON.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return sorted((as_json(item) for item in value), key=str)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [as_json(item) for item in value]
    if is_dataclass(value) and not isinstance(value, type) and type(value).__str__ is object.__str__:
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    return _text(value)


def _text(value: object) -> str:
    if isinstance(value, bytes | bytearray):
        return value.decode("utf-8", "replace")
    return value.isoformat() if isinstance(value, date) else str(value)


def _without_surrogates(document: Any) -> Any:
    """Return a document with "?" for halves of surrogate pairs, which no encoding of Unicode has."""
    text = json.dumps(document, ensure_ascii=False)
    return _DECODER.decode(text.encode("utf-8", "replace").decode("utf-8"))


def _require_flat(document: Any) -> None:
    """Raise ValueError for a document that is more than MAX_JSON_DEPTH deep."""
    level: list[Any] = [document]
    for _ in range(MAX_JSON_DEPTH):
        level = [item for value in level for item in _items(value)]
    if level:
        raise ValueError(f"it is more than {MAX_JSON_DEPTH} deep")


def _items(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MAX_INTEGER_DIGITS:
        raise ValueError(f"an integer has more than {MAX_INTEGER_DIGITS} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:20]} is no finite number")
    return value


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")


_DECODER = json.JSONDecoder(parse_constant=_no_number, parse_float=_finite, parse_int=_integer)
