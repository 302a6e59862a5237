"""Conversion of values to JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date
from typing import Any


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
