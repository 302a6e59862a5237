"""The journal: append-only, one event a line. A kill at any instant loses at most the line that is being written.

A loss of power loses no durable event, nor any event before it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from multibuild.errors import EnvironmentFault
from multibuild.files import sync_folder
from multibuild.frozen import frozen
from multibuild.journal.entry import JournalEntry, MalformedEvent
from multibuild.journal.events import Event
from multibuild.json_types import as_json
from multibuild.redact import redacted_values

logger = logging.getLogger(__name__)


class Journal:
    """Writer of events; safe from several threads. OSError when the disk is full."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending, with mode 0600: it may contain the output of builds."""
        self._file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        self._lock = threading.Lock()
        # A kill, or a disk that filled up, can leave half a line: the next event must not become part of it.
        self._torn = _ends_torn(self._file)
        self._synced = True
        sync_folder(path.parent)

    def append(self, entry: JournalEntry) -> None:
        """Write one entry, in one write; a durable one is on the disk afterwards, and all before it."""
        document = redacted_values(entry.to_json())
        line = json.dumps(document, ensure_ascii=False, separators=(",", ":"), default=as_json) + "\n"
        data = line.encode("utf-8", "replace")
        with self._lock:
            data = b"\n" + data if self._torn else data
            self._torn = True
            written = os.write(self._file, data)
            while written < len(data):
                written += os.write(self._file, data[written:])
            self._torn = False
            self._synced = entry.event.durable
            if self._synced:
                os.fsync(self._file)

    def close(self) -> None:
        """Sync and close the file; EnvironmentFault when it cannot be synced. A second call does nothing."""
        with self._lock:
            file, self._file = self._file, -1
            if file < 0:
                return
            try:
                if not self._synced:
                    os.fsync(file)
            except OSError as error:
                raise unwritable(error) from error
            finally:
                os.close(file)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@frozen
class JournalReading:
    """A journal's content. `damaged` are the numbers (from 1) of unreadable lines before the last one.

    `malformed` are the names of events among them whose fields are not those of their class. `torn`: the last line is
    incomplete, as after a kill.
    """

    entries: tuple[JournalEntry, ...]
    damaged: tuple[int, ...] = ()
    malformed: frozenset[str] = frozenset()
    torn: bool = False


def scan_journal(path: Path) -> JournalReading:
    """Read a journal and its damage; empty when there is none. OSError when it cannot be read."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return JournalReading(entries=())
    entries: list[JournalEntry] = []
    unreadable: list[int] = []
    malformed: set[str] = set()
    lines = content.split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line:
            continue
        try:
            entries.append(JournalEntry.from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            unreadable.append(number)
            malformed |= {error.name} if isinstance(error, MalformedEvent) else set()
    torn = bool(unreadable) and bool(lines[-1]) and unreadable[-1] == len(lines)
    return JournalReading(
        entries=tuple(entries),
        damaged=tuple(unreadable[:-1] if torn else unreadable),
        malformed=frozenset(malformed),
        torn=torn,
    )


def read_journal(path: Path) -> tuple[JournalEntry, ...]:
    """Read a journal's entries as `scan_journal` does, with a warning about unreadable lines before the last."""
    reading = scan_journal(path)
    if reading.damaged:
        logger.warning(
            "%s: %d unreadable lines left out (the first is line %d); what they said is missing below",
            path,
            len(reading.damaged),
            reading.damaged[0],
        )
    return reading.entries


def read_events(path: Path) -> tuple[Event, ...]:
    """Read the events of a journal as `read_journal` does, without their times."""
    return tuple(entry.event for entry in read_journal(path))


def unwritable(error: OSError) -> EnvironmentFault:
    """Return the error of a journal that cannot be written."""
    return EnvironmentFault(
        f"the journal cannot be written: {error.strerror or error}",
        hint="free disk space where the state is (or name another place with --state-dir), then `--resume`",
    )


def _ends_torn(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"
