"""What happened, as values: the journal holds them, displays show them, the report is folded from them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from multibuild.frozen import frozen


@frozen
class Event:
    """One thing that happened. `time` is aware and in UTC; `fields` hold JSON types only."""

    time: datetime
    name: str
    fields: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Give the journal's form. The fields stay apart: some events have a field `name` of their own."""
        time = self.time.isoformat(timespec="milliseconds")
        return {"time": time, "name": self.name, "fields": dict(self.fields)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Event:
        """Read the journal's form; KeyError, TypeError or ValueError for anything else."""
        time, name, fields = document["time"], document["name"], document["fields"]
        if not isinstance(name, str) or not isinstance(fields, Mapping):
            raise TypeError("an event is a time, a name and fields")
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            raise ValueError(f"'{time}' names no time zone")
        return cls(time=moment.astimezone(UTC), name=name, fields=dict(fields))


class Emit(Protocol):
    """Who writes down what happens."""

    def __call__(self, name: str, /, **fields: Any) -> None:
        """Record an event now."""
