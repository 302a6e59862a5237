"""The page of the journal: every event class with its fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from types import NoneType, UnionType
from typing import Any, Final, get_args, get_origin

from docs.generator.markdown import code, page, table
from multibuild.journal.entry import types_of
from multibuild.journal.events import EVENTS, JSON_KEYS, Event

_TYPES: Final[Mapping[Any, str]] = {
    str: "string", int: "integer", float: "number", bool: "boolean", NoneType: "null",
    tuple: "array", Mapping: "object",
}  # fmt: skip


def journal_page() -> str:
    """Return the page of the events of `journal.jsonl` and of `--progress json`."""
    return page(
        "The journal",
        "A run writes what happens to `journal.jsonl` in its directory: a JSON object a line, with `time` (RFC 3339),"
        " `name` and `fields`, and `image` where it is of one of several images. `--progress json` prints the same"
        " lines, those that are not journaled too,"
        ' and messages: `{"name": "message", "text": "…"}`. `report.json`'
        " is made from it, and `--resume`, `--if-changed` and `merge` read it. A kill loses at most the line that is"
        " being written.",
        "The run goes on after an event that waits for the disk only when that event, and every one before it, is on"
        " the disk. A field with `?` may be absent. Fields and events may be added: pass over those you do not know.",
        table(
            ("event", "when, and what reads it", "fields", "waits for the disk"), map(_row, EVENTS.values())
        ),
    )


def _row(kind: type[Event]) -> tuple[str, ...]:
    waits = "not journaled" if not kind.journaled else "yes" if kind.durable else "no"
    return code(kind.name), " ".join((kind.__doc__ or "").split()), ", ".join(_fields(kind)), waits


def _fields(kind: type[Event]) -> Iterator[str]:
    for item in fields(kind):  # type: ignore[arg-type]
        optional = "?" if item.default is None else ""
        hint = types_of(kind.name)[item.name]
        yield f"{code(JSON_KEYS.get(item.name, item.name))}{optional} {_json_type(hint, absent=bool(optional))}"


def _json_type(hint: Any, *, absent: bool = False) -> str:
    if get_origin(hint) is UnionType:
        return " or ".join(_json_type(one) for one in get_args(hint) if not (absent and one is NoneType))
    return _TYPES[get_origin(hint) or hint]
