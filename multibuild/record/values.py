"""Values as JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from typing import Any


def as_json(value: Any) -> Any:
    """Turn dataclasses into objects, tuples into lists, and what has only a text form (Platform, Path) into it."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, Sequence | AbstractSet):
        return [as_json(item) for item in value]
    if is_dataclass(value) and type(value).__str__ is object.__str__:
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    return str(value)
