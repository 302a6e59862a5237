"""Recording of events: in the journal and on the display."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from datetime import UTC, datetime
from typing import Protocol

from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import Event, ImageEvent, RunEnded, StageEnded, StageStarted
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


class _Output:
    """The journal and the display of a run, until its last event."""

    def __init__(self, journal: Journal | None, display: Display) -> None:
        self._journal = journal
        self._display = display
        self._ended = False

    def write(self, entry: JournalEntry) -> bool:
        """Journal an entry; False after the run's end."""
        if self._ended:
            return False
        if self._journal is not None and entry.event.journaled:
            try:
                self._journal.append(entry)
            except OSError as error:
                raise unwritable(error) from error
        self._ended = self._ended or isinstance(entry.event, RunEnded)
        return True

    def show(self, entry: JournalEntry) -> None:
        with suppress(OSError):
            self._display.show(entry)

    def say(self, text: str) -> None:
        if not self._ended:
            with suppress(OSError):
                self._display.say(text)


class Recorder:
    """Passes events to the journal first, then to listeners and the display; safe from several threads as those are.

    A display that cannot be written to any more (a closed pipe) does not end a run.
    """

    def __init__(self, journal: Journal | None, display: Display) -> None:
        """Without a `journal` (a command without a run), events are only displayed."""
        self._share(_Output(journal, display), "")

    def _share(self, output: _Output, image: str) -> Recorder:
        self._output = output
        self._image = image
        self._listeners: tuple[Callable[[Event], None], ...] = ()
        return self

    def of_image(self, name: str) -> Recorder:
        """Return a recorder of the same run whose events and messages are those of the image called `name`."""
        return copy(self)._share(self._output, name)  # noqa: SLF001 - of this class

    def record(self, event: Event, /) -> None:
        """Record an event now. EnvironmentFault when the journal cannot be written.

        Events after a run's end, from threads that have not ended, are dropped.
        """
        image = self._image if isinstance(event, ImageEvent) else ""
        entry = JournalEntry(time=datetime.now(UTC), event=event, image=image)
        if not self._output.write(entry):
            return
        for listener in self._listeners:
            listener(event)
        self._output.show(entry)

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
        self._output.say(f"{self._image}: {text}" if self._image else text)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Record a stage's start and end, also when it fails; seconds are wall time."""
        start = time.monotonic()
        self.record(StageStarted(stage=name))
        try:
            yield
        finally:
            self.record(StageEnded(stage=name, seconds=round(time.monotonic() - start, 3)))
