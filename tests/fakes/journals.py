"""Journals written from events."""

from datetime import UTC, datetime

from multibuild.journal.entry import JournalEntry
from multibuild.journal.journal import Journal, read_journal

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def write_events(path, *events, time=NOON):
    """Append events to a journal, all at the same time."""
    with Journal(path) as journal:
        for event in events:
            journal.append(JournalEntry(time=time, event=event))


def read_events(path):
    """Return the events of a journal, without their times."""
    return tuple(entry.event for entry in read_journal(path))
