"""How a run is shown while it happens: a live table, plain lines, JSON lines, or nothing but messages."""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Any

from multibuild.errors import UsageError
from multibuild.record.events import Event
from multibuild.record.recorder import Display
from multibuild.record.text import human_seconds, printable

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

KINDS = ("auto", "tty", "plain", "quiet", "json")


def display_kind(kind: str) -> str:
    """Check a kind before anything is begun; UsageError for an unknown one."""
    if kind not in KINDS:
        raise UsageError(f"--progress: '{kind}' is unknown", hint=f"one of {', '.join(KINDS)}")
    return kind


def make_display(kind: str, *, quiet: bool, stream: IO[str] | None = None) -> Display:
    """Choose the display; `auto` is a table on a terminal and lines elsewhere. UsageError for an unknown kind."""
    stream = stream or sys.stderr
    display_kind(kind)
    if quiet or kind == "quiet":
        return Silent()
    if kind == "json":
        return JsonLines(stream)
    if kind == "tty" or (kind == "auto" and stream.isatty()):
        return LiveTable(stream)
    return PlainLines(stream)


class Silent:
    """Shows nothing: errors come from the CLI's boundary."""

    def show(self, event: Event) -> None:
        """Show nothing of an event."""

    def say(self, text: str) -> None:
        """Show nothing of a message."""

    def close(self) -> None:
        """Nothing to close."""


class JsonLines:
    """One JSON object a line, as the journal has it, steps included."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._lock = threading.Lock()

    def _write(self, document: Any) -> None:
        with self._lock:
            print(json.dumps(document), file=self._stream, flush=True)

    def show(self, event: Event) -> None:
        """Write the event."""
        self._write(event.to_json())

    def say(self, text: str) -> None:
        """Write a message as an event of its own."""
        self._write({"name": "message", "text": text})

    def close(self) -> None:
        """Nothing to close."""


def sentence(event: Event) -> str | None:
    """Put an event into words, one line; None for what is not worth one."""
    f = event.fields
    who = f.get("platform", "")
    match event.name:
        case "stage.started":
            return f"== {f['stage']}"
        case "attempt.started":
            return f"{who}: building on {f['node']}" + (f", attempt {f['number']}" if f["number"] > 1 else "")
        case "attempt.ended" if f.get("class"):
            last = str(f.get("evidence") or "").strip().splitlines()[-1:] or [""]
            return f"{who}: attempt {f['number']} {f['outcome']} ({f['class']}): {last[0]}"
        case "attempt.waiting":
            return f"{who}: {f['reason']}, trying again in {human_seconds(f['seconds'])}"
        case "platform.ended":
            return f"{who}: {f['status']} in {human_seconds(f['seconds'])}"
        case "test.ended" if f["status"] != "skipped":
            return f"{who}: test {f['status']}"
        case "content.ended" if f["status"] == "failed":
            return f"{who}: content {f['status']}: {f.get('detail', '')}"
        case "index.composed":
            return f"index {f['digest']} with {f['entries']} entries"
        case "tag.ended":
            return f"{f['ref']}: {f['status']}"
    return None


class PlainLines:
    """A line per thing that happened, with the seconds since the start."""

    def __init__(self, stream: IO[str]) -> None:
        """Write to `stream`."""
        self._stream = stream
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def show(self, event: Event) -> None:
        """Write the event in words."""
        text = sentence(event)
        if text is not None:
            self.say(text)

    def say(self, text: str) -> None:
        """Write a message."""
        with self._lock:
            print(f"{time.monotonic() - self._began:7.1f}  {printable(text)}", file=self._stream, flush=True)

    def close(self) -> None:
        """Nothing to close."""


class LiveTable:
    """A table of platforms that follows the run, four times a second; messages scroll above it."""

    def __init__(self, stream: IO[str]) -> None:
        """Start the table on a terminal; colours as the terminal and NO_COLOR say."""
        from rich.console import Console
        from rich.live import Live

        self._rows: dict[str, dict[str, Any]] = {}
        self._console = Console(file=stream, highlight=False)
        self._live: Live = Live(
            get_renderable=self._table, console=self._console, refresh_per_second=4, transient=True
        )
        self._live.start()

    def show(self, event: Event) -> None:
        """Fold the event into its row."""
        f = event.fields
        if event.name == "run.planned":
            self._rows = {name: {"state": "waiting"} for name in f["platforms"]}
        elif (row := self._rows.get(f.get("platform", ""))) is not None:
            self._fold(event.name, f, row)
        elif (text := sentence(event)) is not None:
            self.say(text)

    def _fold(self, name: str, f: Any, row: dict[str, Any]) -> None:
        if name == "attempt.started":
            row.update(state="building", since=time.monotonic(), step="", tries=f["number"])
        elif name == "step":
            row["step"] = f["name"]
        elif name == "attempt.waiting":
            row.update(state="waiting", step=f"{f['reason']}, again in {human_seconds(f['seconds'])}")
        elif name == "platform.ended":
            row.update(state=f["status"], took=f["seconds"], step="")
        elif name in {"test.ended", "content.ended"} and f["status"] != "skipped":
            row["step"] = f"{name.split('.', maxsplit=1)[0]} {f['status']}"

    def say(self, text: str) -> None:
        """Print a message above the table."""
        from rich.text import Text

        self._console.print(Text(printable(text)))

    def close(self) -> None:
        """Take the table away; the summary follows on stdout."""
        self._live.stop()

    def _table(self) -> Table:
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, pad_edge=False, show_header=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis")
        for name, row in list(self._rows.items()):
            took = row.get("took")
            if took is None and row["state"] == "building":
                took = time.monotonic() - row["since"]
            table.add_row(
                name,
                Text(row["state"], style=_STYLES.get(row["state"], "")),
                "" if took is None else human_seconds(took),
                Text(printable(row.get("step", "")), style="dim"),
            )
        return table


_STYLES = {
    "succeeded": "green",
    "reused": "green",
    "building": "cyan",
    "failed": "bold red",
    "cancelled": "yellow",
}
