"""Amounts of gates: sizes in bytes and growth in percent. Each with its own messages."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, WithJsonSchema

from multibuild.config.field_types import MAX_QUOTED
from multibuild.config.problems import invalid
from multibuild.terminal import human_bytes, shorten

MAX_SIZE_BYTES: Final = 1 << 60

MAX_GROWTH_PERCENT: Final = 100_000.0

_SIZE: Final = re.compile(r"(\d{1,18}(?:\.\d{1,9})?) ?([kKMGT]i?B|B)\Z")
_FACTORS: Final = {"k": 1, "m": 2, "g": 3, "t": 4}
_SIZE_HINT: Final = "like 250MB, 1.5GiB, or a number of bytes"
_GROWTH: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?%\Z")
_GROWTH_HINT: Final = "like 10%"


def parse_size(value: Any) -> int:
    """Parse a size to bytes: `250MB` (powers of 1000), `250MiB` (of 1024), or a number. Raises a validator's error."""
    text = value if isinstance(value, str) and len(value) <= MAX_QUOTED else ""
    if isinstance(value, int) and not isinstance(value, bool):
        size = value
    elif match := _SIZE.match(text):
        base = 1024 if "i" in match[2] else 1000
        size = int(float(match[1]) * base ** _FACTORS.get(match[2][0].lower(), 0))
    elif re.fullmatch(r"\d{1,19}", text):
        size = int(text)
    else:
        raise invalid(f"must be a size, not {quoted(value)}", hint=_SIZE_HINT)
    if not 0 < size <= MAX_SIZE_BYTES:
        raise invalid(
            f"must be more than nothing and at most {human_bytes(MAX_SIZE_BYTES)}, not {quoted(value)}",
            hint=_SIZE_HINT,
        )
    return size


def parse_growth(value: Any) -> float:
    """Parse a share to percent: `10%`. Raises a validator's error."""
    match = _GROWTH.match(value) if isinstance(value, str) else None
    if match is None:
        raise invalid(f"must be a percentage, not {quoted(value)}", hint=_GROWTH_HINT)
    if float(match[1]) > MAX_GROWTH_PERCENT:
        raise invalid(f"must be at most {MAX_GROWTH_PERCENT:.0f}%, not {quoted(value)}", hint=_GROWTH_HINT)
    return float(match[1])


def quoted(value: Any) -> str:
    """Return a value as a message quotes it."""
    if value is None:
        return "empty"
    if isinstance(value, dict | list | tuple):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{shorten(text, MAX_QUOTED)}'"


Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]}),
]
Growth = Annotated[float, BeforeValidator(parse_growth), WithJsonSchema({"type": "string"})]
