"""The display of a run: a live table, plain lines, JSON lines, or nothing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from multibuild.cli.display.folds import folds_of
from multibuild.cli.display.live_table import LiveTable
from multibuild.cli.display.plain_lines import PlainLines
from multibuild.cli.streams import json_text
from multibuild.errors import UsageError
from multibuild.journal.entry import JournalEntry
from multibuild.journal.recorder import Display

KINDS = ("auto", "tty", "plain", "quiet", "json")


def display_kind(kind: str) -> str:
    """Validate a kind of display; UsageError for an unknown one."""
    if kind not in KINDS:
        raise UsageError(f"--progress: '{kind}' is unknown", hint=f"one of {', '.join(KINDS)}")
    return kind


def make_display(
    kind: str,
    *,
    quiet: bool,
    verbose: bool = False,
    stream: IO[str] | None = None,
    environ: Mapping[str, str] = os.environ,
    run: Path | None = None,
) -> Display:
    """Choose the display; `auto` is a table on a terminal and lines elsewhere. UsageError for an unknown kind.

    `verbose` excludes the table: its lines would interrupt it. `run` is the directory with the logs that are folded.
    """
    stream = stream or sys.stderr
    display_kind(kind)
    if quiet or kind == "quiet":
        return Silent()
    if kind == "json":
        return JsonLines(stream)
    table = kind == "tty" or (kind == "auto" and _can_show_table(stream, environ))
    if table and not verbose:
        return LiveTable(stream)
    return PlainLines(stream, folds=folds_of(environ), run=run)


def _can_show_table(stream: IO[str], environ: Mapping[str, str]) -> bool:
    """Whether lines can be overwritten: some CI systems provide a terminal that keeps every frame."""
    return (
        stream.isatty() and environ.get("TERM", "dumb") not in {"dumb", "unknown"} and not environ.get("CI")
    )


class Silent:
    """Shows nothing: the CLI prints the errors."""

    def show(self, entry: JournalEntry) -> None:
        """Show nothing of an event."""

    def say(self, text: str) -> None:
        """Show nothing of a message."""

    def close(self) -> None:
        """Nothing to close."""


class JsonLines:
    """One JSON object a line, as in the journal; also steps and their output."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._lock = threading.Lock()

    def _write(self, document: Any) -> None:
        line = json_text(document) + "\n"
        with self._lock:
            self._stream.write(line)
            self._stream.flush()

    def show(self, entry: JournalEntry) -> None:
        """Write the event."""
        self._write(entry.to_json())

    def say(self, text: str) -> None:
        """Write a message as an event of its own."""
        self._write({"name": "message", "text": text})

    def close(self) -> None:
        """Nothing to close."""
