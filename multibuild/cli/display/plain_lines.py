"""A run as lines for CI and files: each line says whose it is, and is written whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from multibuild.cli.ci import inert
from multibuild.cli.display.event_text import as_shown, sentence, short_step
from multibuild.cli.display.folds import Folds
from multibuild.journal.events import AttemptEnded, JournalEntry, LogLine, PlatformEvent, StepStarted
from multibuild.terminal import human_seconds, shorten

OURSELVES = "multibuild"
"""Whose lines are those that are of no platform."""

LINE_CHARACTERS = 2000
"""Longest line shown; the log has all of it."""

FOLD_BYTES = 1024 * 1024
"""How much of a log's end goes into a fold."""


class PlainLines:
    """`linux/arm64 | what it says`. Where lines fold, each attempt's log follows it as a fold, instead of mixed in."""

    def __init__(self, stream: IO[str], *, folds: Folds | None = None, run: Path | None = None) -> None:
        """Write to `stream`; `run` is the directory that holds the logs which `attempt.ended` names."""
        self._stream = stream
        self._folds = folds if run is not None else None
        self._run = run
        self._lock = threading.Lock()

    def show(self, entry: JournalEntry) -> None:
        """Write the event in words."""
        event = entry.event
        who = event.platform if isinstance(event, PlatformEvent) else OURSELVES
        match event:
            case StepStarted():
                if not event.step.startswith("[internal]"):
                    self._write(_line(who, short_step(event.step)))
            case LogLine():
                if self._folds is None:
                    self._write(_line(who, as_shown(event.text)))
            case AttemptEnded() if self._folds is not None:
                self._write(*self._fold(event, self._folds), *_lines(who, sentence(event)))
            case _:
                self._write(*_lines(who, sentence(event)))

    def say(self, text: str) -> None:
        """Write a message."""
        self._write(*_lines(OURSELVES, text))

    def close(self) -> None:
        """Nothing to close."""

    def _write(self, *lines: str) -> None:
        if lines:
            with self._lock:
                self._stream.write("".join(lines))
                self._stream.flush()

    def _fold(self, ended: AttemptEnded, folds: Folds) -> Iterator[str]:
        """Give an attempt's log between the marks of a fold."""
        assert self._run is not None
        name, who = Path(ended.log).stem.replace(".", "_"), ended.platform
        title = f"{who}: attempt {ended.number} {ended.outcome}, {human_seconds(ended.seconds)}"
        yield folds.begin(name, title, time.time())
        for line in _end_of(self._run / ended.log):
            yield _line(who, as_shown(line))
        yield folds.end(name, time.time())


def _line(who: str, text: str) -> str:
    return inert(shorten(f"{who} | {text}", LINE_CHARACTERS).rstrip()) + "\n"


def _lines(who: str, text: str | None) -> list[str]:
    return [_line(who, as_shown(line)) for line in (text or "").splitlines()]


def _end_of(log: Path) -> list[str]:
    """Read the end of a log, from a whole line on; nothing when there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - FOLD_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return []
    return (
        lines[:-1] if size <= FOLD_BYTES else [f"… the first {size - FOLD_BYTES} bytes: {log}", *lines[1:-1]]
    )
