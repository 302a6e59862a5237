"""Recording of events: in the journal and on the display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Protocol

from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import Event, RunEnded, StageEnded, StageStarted
from multibuild.journal.journal import Journal, unwritable


class Say(Protocol):
    """Shows the user a message of one line."""

    def __call__(self, text: str, /) -> None:
        """Show a message."""


class Display(Protocol):
    """Output for the user during a run."""

    def show(self, entry: JournalEntry) -> None:
        """Show an event."""

    def say(self, text: str) -> None:
        """Show a message."""

    def close(self) -> None:
        """Restore the terminal."""


class Recorder:
    """Passes events to the journal first, then to listeners and the display; safe from several threads as those are.

    A display that cannot be written to any more (a closed pipe) does not end a run.
    """

    def __init__(self, journal: Journal | None, display: Display) -> None:
        """Without a `journal` (a command without a run), events are only displayed."""
        self._journal = journal
        self._display = display
        self._listeners: tuple[Callable[[Event], None], ...] = ()
        self._ended = False

    def record(self, event: Event, /) -> None:
        """Record an event now. EnvironmentFault when the journal cannot be written.

        Events after a run's end, from threads that have not ended, are dropped.
        """
        if self._ended:
            return
        entry = JournalEntry(time=datetime.now(UTC), event=event)
        if self._journal is not None and event.journaled:
            try:
                self._journal.append(entry)
            except OSError as error:
                raise unwritable(error) from error
        self._ended = self._ended or isinstance(event, RunEnded)
        for listener in self._listeners:
            listener(event)
        with suppress(OSError):
            self._display.show(entry)

    @contextmanager
    def listening(self, listener: Callable[[Event], None]) -> Iterator[None]:
        """Call `listener` with every event as it is recorded, inside the block."""
        self._listeners = (*self._listeners, listener)
        try:
            yield
        finally:
            self._listeners = tuple(other for other in self._listeners if other is not listener)

    def say(self, text: str, /) -> None:
        """Show the user a message; it is not journaled."""
        if self._ended:
            return
        with suppress(OSError):
            self._display.say(text)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record a stage's start and end, also when it fails; seconds are wall time."""
        start = time.monotonic()
        self.record(StageStarted(stage=name))
        try:
            yield
        finally:
            self.record(StageEnded(stage=name, seconds=round(time.monotonic() - start, 3)))
