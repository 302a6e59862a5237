"""Which tags a run left unfinished: those of publications that did not come to their end."""

from datetime import UTC, datetime

import pytest

from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import TagEnded, TagPlanned
from multibuild.journal.unfinished_tags import tag_moves

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def planned(image, before="old"):
    event = TagPlanned(ref=f"r/{image}:1", before=before, after=f"new-{image}")
    return JournalEntry(time=NOW, event=event, image=image)


def ended(image, status="moved"):
    event = TagEnded(ref=f"r/{image}:1", before="old", after=f"new-{image}", status=status)
    return JournalEntry(time=NOW, event=event, image=image)


def unfinished(image, before="old"):
    return {(f"r/{image}:1", f"new-{image}"): before}


@pytest.mark.parametrize(
    ("entries", "finished", "tags"),
    [
        ([], False, {}),
        ([planned("a")], False, unfinished("a")),
        ([planned("a", None)], False, unfinished("a", None)),
        ([planned("a", "new-a")], False, {}),
        ([planned("a"), ended("a")], True, {}),
        ([planned("a"), ended("a", "unchanged")], True, {}),
        ([planned("a"), planned("b"), ended("a")], False, unfinished("a")),
        ([planned("a"), planned("b"), ended("a"), ended("b")], True, {}),
        ([planned("a"), ended("a"), planned("b")], True, {}),
        ([planned("b"), ended("b"), planned("a")], False, unfinished("a")),
        ([planned("a"), planned("b"), ended("a"), ended("b", "failed"), ended("a", "put-back")], False, {}),
        ([planned("a"), planned("b"), ended("a"), ended("b", "failed"), ended("a", "left")], False, unfinished("a")),
    ],
)  # fmt: skip
def test_images_that_are_published_together_are_finished_together(entries, finished, tags):
    moves = tag_moves(entries, "a")
    assert (moves.finished, dict(moves.unfinished)) == (finished, tags)
