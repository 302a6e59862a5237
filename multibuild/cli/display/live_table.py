"""A run on a terminal: a live table with a row per platform."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from multibuild.cli.display.event_text import (
    final_text,
    line_text,
    proof_end,
    row_name,
    sentence,
    short_step,
)
from multibuild.cli.streams import harmless, live
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    AttemptEnded,
    AttemptStarted,
    AttemptWaiting,
    ContentEnded,
    LogLine,
    PlatformEnded,
    PlatformEvent,
    RunPlanned,
    SmokeTestEnded,
    SmokeTestWaiting,
    StepStarted,
)
from multibuild.terminal import human_seconds, last_line, one_line

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

_STATE_PRIORITY = ("building", "failed", "retrying", "cancelled", "succeeded", "reused", "queued")
"""The rows to show when not all fit."""

_STEP_SHARE = 0.5
"""The share of the free width for a step's name when there is also a last line to show."""


@dataclass(kw_only=True, slots=True)
class Row:
    """A platform's row. `since` and `seconds` are seconds, of the monotonic clock and of wall time."""

    name: str
    state: str = "queued"
    since: float | None = None
    seconds: float | None = None
    attempt: int = 1
    step: str = ""
    last: str = ""

    def fold(self, event: PlatformEvent, now: float) -> None:
        """Update the row with an event of its platform."""
        match event:
            case AttemptStarted():
                self.state, self.since, self.attempt = "building", now, event.number
                self.step = self.last = ""
            case StepStarted():
                self.step, self.last = short_step(event.step), ""
            case LogLine():
                self.last = final_text(event.text) or self.last
            case AttemptEnded() if event.failure_class:
                self.step, self.last = event.failure_class, final_text(last_line(event.evidence))
            case AttemptWaiting():
                self.state, self.since = "retrying", None
                self.last = sentence(event) or ""
            case PlatformEnded():
                self.state, self.seconds = event.status, event.seconds
                if event.status != "failed":
                    self.step = self.last = ""
            case SmokeTestWaiting():
                self.step, self.last = "test", sentence(event) or ""
            case SmokeTestEnded() if event.status != "skipped":
                self.step = proof_end("test", event.status, event.failure_class)
                self.last = final_text(last_line(event.detail))
            case ContentEnded() if event.status != "skipped":
                self.step = proof_end("content", event.status)
                self.last = final_text(last_line(event.detail))

    def elapsed(self, now: float) -> str:
        """Return the duration, up to now while it runs; empty before."""
        elapsed = (
            self.seconds if self.seconds is not None else None if self.since is None else now - self.since
        )
        return "" if elapsed is None else human_seconds(elapsed)


class LiveTable:
    """The table, drawn four times a second; messages scroll above it, and it remains when the run ends."""

    def __init__(self, stream: IO[str]) -> None:
        """Start the table on a terminal, with colours according to the terminal and NO_COLOR."""
        from rich.console import Console
        from rich.live import Live

        self._rows: dict[tuple[str, str], Row] = {}
        self._lock = threading.Lock()
        self._closing = False
        self._console = Console(file=live(stream), highlight=False)
        self._live = Live(self, console=self._console, refresh_per_second=4, redirect_stdout=False)
        self._live.start()

    def show(self, entry: JournalEntry) -> None:
        """Update the row of the event's platform; print events of no platform above the table."""
        event = entry.event
        if isinstance(event, RunPlanned):
            with self._lock:
                self._rows |= {
                    (entry.image, name): Row(name=row_name(entry.image, name)) for name in event.platforms
                }
        elif isinstance(event, PlatformEvent) and (entry.image, event.platform) in self._rows:
            with self._lock:
                self._rows[entry.image, event.platform].fold(event, time.monotonic())
        elif (text := line_text(entry)) is not None:
            self.say(text)

    def say(self, text: str) -> None:
        """Print a message above the table."""
        from rich.text import Text

        self._console.print(Text(harmless(text)))

    def close(self) -> None:
        """Draw every row a last time, and an empty line before the summary."""
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

    visible = rows if len(rows) <= height else _most_important(rows, max(height - 1, 1))
    widths = {
        "name": max((len(row.name) for row in visible), default=0),
        "state": max((len(row.state) for row in visible), default=0),
        "elapsed": max((len(row.elapsed(now)) for row in visible), default=0),
        "attempt": max((len(_attempt(row)) for row in visible), default=0),
    }
    lines = [_row_line(row, widths, width, now) for row in visible]
    if len(visible) < len(rows):
        hidden = [row for row in rows if not any(row is other for other in visible)]
        counts = ", ".join(
            f"{count} {state}" for state, count in Counter(row.state for row in hidden).items()
        )
        lines.append(Text(f"… and {counts}", style="dim", no_wrap=True, overflow="ellipsis"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _row_line(row: Row, widths: Mapping[str, int], width: int, now: float) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(row.name.ljust(widths["name"]) + "  ")
    line.append(row.state.ljust(widths["state"]) + "  ", style=_STYLES.get(row.state, "dim"))
    line.append(row.elapsed(now).rjust(widths["elapsed"]) + "  ")
    line.append(_attempt(row).ljust(widths["attempt"]) + ("  " if widths["attempt"] else ""))
    step = Text(harmless(one_line(row.step)))
    if row.last:
        step.truncate(max(int((width - line.cell_len) * _STEP_SHARE), 8), overflow="ellipsis")
    line.append_text(step)
    line.append(f"  {harmless(one_line(row.last))}" if row.last else "", style="dim")
    line.rstrip()
    return line


def _attempt(row: Row) -> str:
    return f"#{row.attempt}" if row.attempt > 1 else ""


def _most_important(rows: Sequence[Row], number: int) -> list[Row]:
    """Choose the rows to show, in their order: running and failed ones before finished and queued ones."""
    rank = {state: index for index, state in enumerate(_STATE_PRIORITY)}
    chosen = sorted(rows, key=lambda row: rank.get(row.state, len(rank)))[:number]
    return [row for row in rows if any(row is other for other in chosen)]
