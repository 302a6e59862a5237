"""What happened, as values: the journal holds them, displays show them, the report is folded from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """One thing that happened. `time` is UTC; `fields` hold JSON types only."""

    time: datetime
    name: str
    fields: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Give the journal's form."""
        return {"time": self.time.isoformat(timespec="milliseconds"), "name": self.name, **self.fields}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Event:
        """Read the journal's form; KeyError or ValueError for anything else."""
        fields = {key: value for key, value in document.items() if key not in {"time", "name"}}
        return cls(time=datetime.fromisoformat(document["time"]), name=document["name"], fields=fields)


class Emit(Protocol):
    """Who writes down what happens."""

    def __call__(self, name: str, /, **fields: Any) -> None:
        """Record an event now."""
