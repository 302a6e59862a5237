"""A run on a terminal: a live table with a row per platform."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING

from multibuild.cli.display.chosen_rows import Choice, choose, counts
from multibuild.cli.display.event_text import line_text, row_name
from multibuild.cli.display.row import Row
from multibuild.cli.streams import harmless, live
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import PlatformEvent, RunPlanned
from multibuild.terminal import one_line

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

_STEP_SHARE = 0.5
"""The share of the free width for a step's name when there is also a last line to show."""


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
                    (entry.image, name): Row(name=row_name(entry.image, name), image=entry.image)
                    for name in event.platforms
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
        """Draw the table a last time, of one image every row, and an empty line before the summary.

        The summary of several images has all of their platforms.
        """
        self._closing = True
        self._live.stop()
        self._console.print()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        """Draw the rows for the terminal as wide and high as it is now (rich's protocol)."""
        with self._lock:
            rows, height = list(self._rows.values()), console.size.height - 1
            if self._closing and not any(row.image for row in rows):
                height = len(rows)
            yield from table_lines(rows, width=options.max_width, height=height, now=time.monotonic())


def table_lines(rows: Sequence[Row], *, width: int, height: int, now: float) -> list[Text]:
    """Draw rows in `width` cells; what `height` lines do not hold is counted, of several images by image."""
    from rich.text import Text

    choice = choose(rows, height)
    all_names = dict(zip(map(id, rows), _names(rows, width), strict=True))
    names = [all_names[id(row)] for row in choice.rows]
    # Of several images the column keeps its width when other rows are chosen.
    longest = max(map(len, all_names.values() if choice.images else names), default=0)
    widths = {
        "name": longest,
        "state": max((len(row.state) for row in choice.rows), default=0),
        "elapsed": max((len(row.elapsed(now)) for row in choice.rows), default=0),
        "attempt": max((len(_attempt(row)) for row in choice.rows), default=0),
    }
    lines = [_row_line(row, name, widths, width, now) for row, name in zip(choice.rows, names, strict=True)]
    lines += [
        Text(f"{image.ljust(longest)}  {counts(of)}", style="dim", no_wrap=True)
        for image, of in choice.images
    ]
    if choice.others:
        lines.append(Text(_others(choice), style="dim", no_wrap=True, overflow="ellipsis"))
    for line in lines:
        line.truncate(width, overflow="ellipsis")
    return lines


def _names(rows: Sequence[Row], width: int) -> list[str]:
    """Return the rows' names, without `linux/` where they would take more than a third of the width."""
    names = [row.name for row in rows]
    if any(row.image for row in rows) and 3 * max(map(len, names)) > width:
        names = [
            name.replace(f"{row.image} linux/", f"{row.image} ", 1)
            for name, row in zip(names, rows, strict=True)
        ]
    return names


def _others(choice: Choice) -> str:
    images = len({row.image for row in choice.others})
    of = f"{images} image{'' if images == 1 else 's'}: " if any(row.image for row in choice.others) else ""
    return f"… and {of}{counts(choice.others)}"


def _row_line(row: Row, name: str, widths: Mapping[str, int], width: int, now: float) -> Text:
    from rich.text import Text

    line = Text(no_wrap=True, overflow="ellipsis")
    line.append(name.ljust(widths["name"]) + "  ")
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
