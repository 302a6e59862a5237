"""A run on a terminal: a table with a row per platform that follows what happens."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from multibuild.cli.display.event_text import as_shown, proof_end, sentence, short_step
from multibuild.journal.events import (
    AttemptEnded,
    AttemptStarted,
    AttemptWaiting,
    ContentEnded,
    JournalEntry,
    LogLine,
    PlatformEnded,
    PlatformEvent,
    RunPlanned,
    SmokeTestEnded,
    SmokeTestWaiting,
    StepStarted,
)
from multibuild.terminal import human_seconds, last_line, one_line, printable

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

_STYLES = {
    "succeeded": "green",
    "reused": "green",
    "building": "cyan",
    "retrying": "yellow",
    "failed": "bold red",
    "cancelled": "yellow",
}

_FIRST_SEEN = ("building", "failed", "retrying", "cancelled", "succeeded", "reused", "queued")
"""Which rows are shown when not all fit."""

_STEP_SHARE = 0.5
"""How much of the free width a step's name may take when there is also a last line to show."""


@dataclass(kw_only=True, slots=True)
class Row:
    """A platform as the table shows it. `since` and `took` are seconds, of the monotonic clock and of wall time."""

    name: str
    state: str = "queued"
    since: float | None = None
    took: float | None = None
    tries: int = 1
    step: str = ""
    last: str = ""

    def fold(self, event: PlatformEvent, now: float) -> None:
        """Take an event of this platform in."""
        match event:
            case AttemptStarted():
                self.state, self.since, self.tries = "building", now, event.number
                self.step = self.last = ""
            case StepStarted():
                self.step, self.last = short_step(event.step), ""
            case LogLine():
                self.last = as_shown(event.text) or self.last
            case AttemptEnded() if event.failure_class:
                self.step, self.last = event.failure_class, as_shown(last_line(event.evidence))
            case AttemptWaiting():
                self.state, self.since = "retrying", None
                self.last = sentence(event) or ""
            case PlatformEnded():
                self.state, self.took = event.status, event.seconds
                if event.status != "failed":
                    self.step = self.last = ""
            case SmokeTestWaiting():
                self.step, self.last = "test", sentence(event) or ""
            case SmokeTestEnded() if event.status != "skipped":
                self.step = proof_end("test", event.status, event.failure_class)
                self.last = as_shown(last_line(event.detail))
            case ContentEnded() if event.status != "skipped":
                self.step = proof_end("content", event.status)
                self.last = as_shown(last_line(event.detail))

    def elapsed(self, now: float) -> str:
        """How long it took, or takes up to now; empty while it does not run."""
        seconds = self.took if self.took is not None else None if self.since is None else now - self.since
        return "" if seconds is None else human_seconds(seconds)


class LiveTable:
    """The table, drawn four times a second; messages scroll above it, and it stays when the run ends."""

    def __init__(self, stream: IO[str]) -> None:
        """Start the table on a terminal; colours as the terminal and NO_COLOR say."""
        from rich.console import Console
        from rich.live import Live

        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._console = Console(file=stream, highlight=False)
        self._live = Live(self, console=self._console, refresh_per_second=4, redirect_stdout=False)
        self._live.start()

    def show(self, entry: JournalEntry) -> None:
        """Fold the event into its row; what is of no platform is said above the table."""
        event = entry.event
        if isinstance(event, RunPlanned):
            with self._lock:
                self._rows = {name: Row(name=name) for name in event.platforms}
        elif isinstance(event, PlatformEvent) and event.platform in self._rows:
            with self._lock:
                self._rows[event.platform].fold(event, time.monotonic())
        elif (text := sentence(event)) is not None:
            self.say(text)

    def say(self, text: str) -> None:
        """Print a message above the table."""
        from rich.text import Text

        self._console.print(Text(printable(text)))

    def close(self) -> None:
        """Draw it a last time, every row of it, and leave it there, apart from the summary that follows."""
        self._closing = True
        self._live.stop()
        self._console.print()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw the rows for the terminal as wide and high as it is now (rich's protocol)."""
        with self._lock:
            height = len(self._rows) if self._closing else console.size.height - 1
            yield from table_lines(
                list(self._rows.values()), width=options.max_width, height=height, now=time.monotonic()
            )


def table_lines(rows: Sequence[Row], *, width: int, height: int, now: float) -> list[Text]:
    """Draw rows in `width` cells; when there are more than `height` lines, the last line counts the others."""
    from rich.text import Text

    shown = rows if len(rows) <= height else _most_telling(rows, max(height - 1, 1))
    places = {
        "name": max((len(row.name) for row in shown), default=0),
        "state": max((len(row.state) for row in shown), default=0),
        "took": max((len(row.elapsed(now)) for row in shown), default=0),
        "tries": max((len(_tries(row)) for row in shown), default=0),
    }
    lines = [_row_line(row, places, width, now) for row in shown]
    if len(shown) < len(rows):
        hidden = [row for row in rows if not any(row is one for one in shown)]
        counts = ", ".join(
            f"{count} {state}" for state, count in Counter(row.state for row in hidden).items()
        )
        lines.append(Text(f"… and {counts}", style="dim", no_wrap=True, overflow="ellipsis"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _row_line(row: Row, places: Mapping[str, int], width: int, now: float) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(row.name.ljust(places["name"]) + "  ")
    line.append(row.state.ljust(places["state"]) + "  ", style=_STYLES.get(row.state, "dim"))
    line.append(row.elapsed(now).rjust(places["took"]) + "  ")
    line.append(_tries(row).ljust(places["tries"]) + ("  " if places["tries"] else ""))
    step = Text(one_line(row.step))
    if row.last:
        step.truncate(max(int((width - line.cell_len) * _STEP_SHARE), 8), overflow="ellipsis")
    line.append_text(step)
    line.append(f"  {one_line(row.last)}" if row.last else "", style="dim")
    line.rstrip()
    return line


def _tries(row: Row) -> str:
    return f"#{row.tries}" if row.tries > 1 else ""


def _most_telling(rows: Sequence[Row], number: int) -> list[Row]:
    """Choose the rows to show, in their order: what happens and what went wrong before what is over or to come."""
    rank = {state: place for place, state in enumerate(_FIRST_SEEN)}
    chosen = sorted(rows, key=lambda row: rank.get(row.state, len(rank)))[:number]
    return [row for row in rows if any(row is one for one in chosen)]
