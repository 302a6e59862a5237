"""The journal: append-only, one event a line. A kill at any instant loses at most the line that is being written.

A loss of power loses no durable event, nor any event before it.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from multibuild.errors import EnvironmentFault
from multibuild.files import UnsafeFile, open_plain, open_private, sync_folder
from multibuild.frozen import frozen
from multibuild.journal.entry import JournalEntry, MalformedEvent
from multibuild.json_types import as_json, parse_json
from multibuild.redact import redacted_values

logger = logging.getLogger(__name__)

MAX_JOURNAL_BYTES = 64 << 20
"""Bytes of a journal that are read; a thousand attempts with their evidence take a few megabytes."""

MAX_LINE_BYTES = 8 << 20
"""Bytes of one event: the steps of a long build take some hundred kilobytes."""

MAX_JOURNAL_VALUES = 2_000_000
"""JSON values of a journal that are read: each takes some hundred bytes of memory."""

MAX_NAMED_LINES = 5
"""Unreadable lines that a warning names."""


class Journal:
    """Writer of events; safe from several threads. OSError when the disk is full."""

    def __init__(self, path: Path) -> None:
        """Open `path` for appending, with mode 0600: it may contain the output of builds. EnvironmentFault."""
        try:
            self._file = open_private(path, os.O_RDWR | os.O_APPEND)
        except OSError as error:
            raise unwritable(error) from error
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
    incomplete, as after a kill. `cut`: the journal is longer than what is read.
    """

    entries: tuple[JournalEntry, ...]
    damaged: tuple[int, ...] = ()
    malformed: frozenset[str] = frozenset()
    torn: bool = False
    cut: bool = False


def scan_journal(path: Path) -> JournalReading:
    """Read a journal and its damage; empty when there is none. OSError when it cannot be read."""
    try:
        handle = open_plain(path)
    except FileNotFoundError:
        return JournalReading(entries=())
    entries: list[JournalEntry] = []
    unreadable: list[int] = []
    malformed: set[str] = set()
    number, values, line = 0, 0, b"\n"
    with os.fdopen(handle, "rb") as file:
        for number, line in enumerate(_lines(file), start=1):
            values += line.count(b",") + line.count(b"[")
            if values > MAX_JOURNAL_VALUES:
                break
            if line == b"\n":
                continue
            try:
                entries.append(_parse(line))
            except (ValueError, KeyError, TypeError) as error:
                unreadable.append(number)
                malformed |= {error.name} if isinstance(error, MalformedEvent) else set()
        cut = values > MAX_JOURNAL_VALUES or bool(file.read(1))
    torn = not cut and unreadable[-1:] == [number] and not line.endswith(b"\n")
    return JournalReading(
        entries=tuple(entries),
        damaged=tuple(unreadable[:-1] if torn else unreadable),
        malformed=frozenset(malformed),
        torn=torn,
        cut=cut,
    )


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines of a journal, up to its limit; of one that is too long, only its first bytes."""
    remaining = MAX_JOURNAL_BYTES
    while remaining > 0 and (line := file.readline(min(MAX_LINE_BYTES, remaining))):
        remaining -= len(line)
        piece = line
        while (
            not piece.endswith(b"\n") and remaining > 0 and (piece := file.readline(min(1 << 16, remaining)))
        ):
            remaining -= len(piece)
        yield line


def _parse(line: bytes) -> JournalEntry:
    document = parse_json(line)
    if not isinstance(document, dict):
        raise TypeError("an entry is an object")
    return JournalEntry.from_json(document)


def read_journal(path: Path) -> tuple[JournalEntry, ...]:
    """Read a journal's entries as `scan_journal` does, with a warning about what is left out.

    A journal that cannot be read at all has no entries: no later command may fail because of it.
    """
    try:
        reading = scan_journal(path)
    except OSError as error:
        logger.warning("%s %s: it is not read", path, error.strerror or error)
        return ()
    if count := len(reading.damaged):
        lines = ", ".join(map(str, reading.damaged[:MAX_NAMED_LINES]))
        more = ", …" if count > MAX_NAMED_LINES else ""
        logger.warning(
            "%s: %d unreadable line%s left out (line %s%s); what they said is missing below",
            path, count, "s" * (count != 1), lines, more,
        )  # fmt: skip
    if reading.cut:
        logger.warning("%s: it is longer than any of ours; only its beginning is read", path)
    return reading.entries


def unwritable(error: OSError) -> EnvironmentFault:
    """Return the error of a journal that cannot be written."""
    space = "free disk space where the state is (or name another place with --state-dir), then `--resume`"
    return EnvironmentFault(
        f"the journal cannot be written: {error.strerror or error}",
        hint="name another place with --state-dir" if isinstance(error, UnsafeFile) else space,
    )


def _ends_torn(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"
