"""What tags held before runs that did not finish moving them, from journals. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from multibuild.frozen import frozen
from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import TagEnded, TagPlanned

_IN_PLACE = frozenset({"moved", "unchanged"})


@frozen
class TagMoves:
    """The tags of one image that a run moved. `finished`: a publication with tags of the image came to its end.

    `unfinished` maps (reference, digest that it was moved to) to the digest before, None where the tag did not exist;
    of publications that did not end, without the tags that were put back.
    """

    finished: bool = False
    unfinished: Mapping[tuple[str, str], str | None] = field(default_factory=dict)


def tag_moves(entries: Sequence[JournalEntry], image: str) -> TagMoves:
    """Return the tags of `image` that the run of `entries`, those of all its images, moved.

    Images that are published together are finished together: a kill between two of them leaves both unfinished.
    """
    finished = False
    unfinished: dict[tuple[str, str], str | None] = {}
    for planned, statuses in _publications(entries):
        own = [event for owner, event in planned if owner == image]
        if all(statuses.get(event.ref) in _IN_PLACE for _, event in planned):
            finished = finished or bool(own)
            continue
        for event in own:
            if event.before != event.after and statuses.get(event.ref) != "put-back":
                unfinished[event.ref, event.after] = event.before
    return TagMoves(finished=finished, unfinished=unfinished)


def _publications(
    entries: Sequence[JournalEntry],
) -> Iterator[tuple[list[tuple[str, TagPlanned]], dict[str, str]]]:
    """Yield the planned tags of each publication, with their images, and how each tag ended.

    All tags are planned before the first one moves: one that is planned after that is of the next publication.
    """
    planned: list[tuple[str, TagPlanned]] = []
    statuses: dict[str, str] = {}
    for entry in entries:
        match entry.event:
            case TagPlanned() as event:
                if statuses:
                    yield planned, statuses
                    planned, statuses = [], {}
                planned.append((entry.image, event))
            case TagEnded() as event:
                statuses[event.ref] = event.status
    if planned:
        yield planned, statuses
