"""JSON as Go's encoding/json reads it, for the files of programs written in Go."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

_DECODER = json.JSONDecoder()
_SURROGATE = re.compile("[\ud800-\udfff]")


def first_value(text: str) -> Any:
    """Return the first value of a text, None for a blank one; what follows it is not read, as by json.Decoder.

    Raises ValueError for what is no JSON, RecursionError for deep nesting.
    """
    return split_value(text)[0]


def split_value(text: str) -> tuple[Any, str]:
    """Return the first value of a text and what follows it; raises as `first_value`."""
    text = text.strip(" \t\r\n")
    if not text:
        return None, ""
    value, end = _DECODER.raw_decode(text)
    return value, text[end:].strip(" \t\r\n")


def field_of(document: Mapping[str, Any], name: str) -> Any:
    """Return a field whatever the case of its name, None without one: the last that is not null wins."""
    values = [value for key, value in document.items() if key.lower() == name.lower() and value is not None]
    return values[-1] if values else None


def go_text(value: Any) -> str:
    r"""Return a text, "" for null; half of a pair of surrogates (`\ud800`) becomes U+FFFD. TypeError for no text."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError
    return _SURROGATE.sub("\ufffd", value)
