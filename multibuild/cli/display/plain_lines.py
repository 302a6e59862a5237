"""A run as lines for CI and files: each begins with its platform and is written whole."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import IO

from multibuild.cli.display.event_text import final_text, line_text, row_name, sentence, short_step
from multibuild.cli.display.folds import Folds
from multibuild.cli.streams import harmless, live
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import AttemptEnded, LogLine, PlatformEvent, StepStarted
from multibuild.terminal import human_seconds, one_line, shorten

NO_PLATFORM = "multibuild"
"""The prefix of lines that belong to no platform."""

MAX_LINE_CHARACTERS = 2000
"""Longer lines are cut; the log has the whole."""

MAX_FOLD_BYTES = 1024 * 1024
"""The end of a log that goes into a fold."""


class PlainLines:
    """`linux/arm64 | text`. With folds, each attempt's log follows it as a fold instead of line by line."""

    def __init__(self, stream: IO[str], *, folds: Folds | None = None, run: Path | None = None) -> None:
        """Write to `stream`; `run` is the directory that holds the logs which `attempt.ended` names."""
        self._stream = stream
        self._folds = folds if run is not None else None
        self._run = run
        self._lock = threading.Lock()

    def show(self, entry: JournalEntry) -> None:
        """Write the text of an event."""
        event = entry.event
        of_platform = isinstance(event, PlatformEvent)
        prefix = row_name(entry.image, event.platform) if isinstance(event, PlatformEvent) else NO_PLATFORM
        match event:
            case StepStarted():
                if not event.step.startswith("[internal]"):
                    self._write(_line(prefix, short_step(event.step)))
            case LogLine():
                if self._folds is None:
                    self._write(_line(prefix, final_text(event.text)))
            case AttemptEnded() if self._folds is not None:
                self._write_fold(event, entry.image, self._folds)
                self._write(*_lines(prefix, sentence(event)))
            case _:
                self._write(*_lines(prefix, sentence(event) if of_platform else line_text(entry)))

    def say(self, text: str) -> None:
        """Write a message."""
        self._write(*_lines(NO_PLATFORM, text))

    def close(self) -> None:
        """Nothing to close."""

    def _write(self, *lines: str) -> None:
        if lines:
            with self._lock:
                self._stream.write("".join(lines))
                self._stream.flush()

    def _write_fold(self, event: AttemptEnded, image: str, folds: Folds) -> None:
        """Write an attempt's log as a fold, whose ends command the CI system."""
        assert self._run is not None
        name = "_".join(filter(None, (image, Path(event.log).stem))).replace(".", "_")
        prefix = row_name(image, event.platform)
        title = f"{prefix}: attempt {event.number} {event.outcome}, {human_seconds(event.seconds)}"
        lines = [_line(prefix, final_text(line)) for line in _end_of(self._run / event.log)]
        with self._lock:
            live(self._stream).write(folds.begin(name, harmless(one_line(title)), time.time()))
            self._stream.write("".join(lines))
            live(self._stream).write(folds.end(name, time.time()))
            self._stream.flush()


def _line(prefix: str, text: str) -> str:
    return shorten(f"{prefix} | {text}", MAX_LINE_CHARACTERS).rstrip() + "\n"


def _lines(prefix: str, text: str | None) -> list[str]:
    return [_line(prefix, final_text(line)) for line in (text or "").splitlines()]


def _end_of(log: Path) -> list[str]:
    """Read the end of a log, from a whole line on; nothing when there is none."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - MAX_FOLD_BYTES))
            lines = file.read().decode("utf-8", "replace").split("\n")
    except OSError:
        return []
    return (
        lines[:-1]
        if size <= MAX_FOLD_BYTES
        else [f"… the first {size - MAX_FOLD_BYTES} bytes: {log}", *lines[1:-1]]
    )
