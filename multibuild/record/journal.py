"""The journal: append-only, one fsynced event a line, so that a kill at any instant loses at most that line."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from multibuild.record.events import Event


class Journal:
    """Writes events; safe from several threads. OSError when the disk is full: what is not journaled did not happen."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending; 0600, it may hold what a build printed."""
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        self._mend_torn_line(path)

    def _mend_torn_line(self, path: Path) -> None:
        """End a line that a kill left torn, so that the next event does not become part of it."""
        size = path.stat().st_size
        if size:
            with path.open("rb") as file:
                file.seek(size - 1)
                torn = file.read(1) != b"\n"
            if torn:
                os.write(self._file, b"\n")

    def append(self, event: Event) -> None:
        """Write one event and wait until it is on the disk."""
        line = json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":")) + "\n"
        with self._lock:
            os.write(self._file, line.encode("utf-8", "replace"))
            os.fsync(self._file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._file)


def read_journal(path: Path) -> tuple[Event, ...]:
    """Read the events; a torn line (the last one of a killed run) is left out. Empty when there is no journal."""
    events = []
    lines = path.read_bytes().splitlines() if path.exists() else []
    for line in lines:
        try:
            events.append(Event.from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            continue
    return tuple(events)
