"""An entry of the journal: an event with its time, and its form in JSON."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, fields
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from multibuild.frozen import frozen
from multibuild.journal.events import EVENTS, JSON_KEYS, Event, ImageEvent, UnknownEvent
from multibuild.journal.shapes import FIELD_SHAPES, is_duration
from multibuild.json_types import has_shape, is_count

YEARS = range(1970, 9999)
"""Years of a time in UTC: a machine without a clock says 1970, and after 9998 a time zone leads out of Python's."""


_NUMBERS = {float: is_duration, int: is_count}
"""Conditions of numbers: those of events are seconds, or count something."""


class MalformedEvent(ValueError):
    """An event `name` whose fields are not those of its class, or out of range."""

    def __init__(self, name: str) -> None:
        super().__init__(f"a field of {name} is missing, of another type, or out of range")
        self.name = name


def read_event(name: str, values: Mapping[str, Any]) -> Event:
    """Return an event from its journal form; MalformedEvent when a field is not what its class has."""
    cls = EVENTS.get(name)
    if cls is None:
        return UnknownEvent(name=name, fields=dict(values))
    arguments = {}
    for item in fields(cls):  # type: ignore[arg-type]
        key = JSON_KEYS.get(item.name, item.name)
        if key not in values and (item.default is not MISSING or item.default_factory is not MISSING):
            continue
        value = values.get(key)
        shape = FIELD_SHAPES.get((name, key))
        if not _is_of_type(value, types_of(name)[item.name]) or (shape and not has_shape(value, shape)):
            raise MalformedEvent(name)
        arguments[item.name] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)


@cache
def types_of(name: str) -> Mapping[str, Any]:
    """Return the types of an event's fields by their names."""
    return get_type_hints(EVENTS[name])


def _is_of_type(value: Any, hint: Any) -> bool:
    # A bool is an int to Python, and an int a float to JSON.
    if hint in _NUMBERS:
        return _NUMBERS[hint](value)
    if type(value) is hint or hint is Any:
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_is_of_type(value, member) for member in arguments)
    if origin is tuple:
        return isinstance(value, list) and all(_is_of_type(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_is_of_type(item, arguments[1]) for item in value.values())
    return False


_IMAGE_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}\Z")
"""The name of an image in a config file; a part of paths."""


@frozen
class JournalEntry:
    """An event and when it happened; `time` is aware and in UTC.

    `image` is the name of the image that the event belongs to, as the config has it under `images`; empty in a run of a
    file that describes one, and for what belongs to the run.
    """

    time: datetime
    event: Event
    image: str = ""

    def is_of(self, image: str) -> bool:
        """Whether a reader of one image sees it: an event of that image, or of the run."""
        return self.image == image or (not self.image and not isinstance(self.event, ImageEvent))

    def to_json(self) -> dict[str, Any]:
        """Return the journal's form. The fields stay apart: some events have a field `name` of their own."""
        time = self.time.isoformat(timespec="milliseconds")
        image = {"image": self.image} if self.image else {}
        return {"time": time, **image, "name": self.event.name, "fields": self.event.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> JournalEntry:
        """Read the journal's form; KeyError, TypeError or ValueError for anything else."""
        time, name, values = document["time"], document["name"], document["fields"]
        if not isinstance(name, str) or not isinstance(values, Mapping):
            raise TypeError("an entry is a time, a name and fields")
        return cls(
            time=_read_time(time),
            event=read_event(name, values),
            image=_read_image(document.get("image", "")),
        )


def _read_image(text: Any) -> str:
    """Return the name of an image, "" for none; ValueError for what is none."""
    if isinstance(text, str) and (not text or _IMAGE_NAME.match(text)):
        return text
    raise ValueError(f"{text!r} is no name of an image")


def _read_time(text: str) -> datetime:
    """Return a time in UTC; ValueError for one without a zone, or of no year of a run."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' names no time zone")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"'{text}' is no time of a run") from error
    if moment.year not in YEARS:
        raise ValueError(f"'{text}' is no time of a run")
    return moment
