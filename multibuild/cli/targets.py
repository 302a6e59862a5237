"""The tags that `merge` and `promote` publish to, as the user names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from multibuild.errors import UsageError
from multibuild.oci.reference import Destination, Reference

if TYPE_CHECKING:
    from multibuild.journal.events import Emit, Event


def destinations(references: Iterable[Reference]) -> tuple[Destination, ...]:
    """Return the destinations by repository, in the order they are first named; UsageError for a digest."""
    tags: dict[Reference, dict[str, None]] = {}
    for reference in references:
        if reference.digest:
            raise UsageError(f"{reference}: a digest cannot be published to", hint="name a tag")
        tags.setdefault(reference.with_tag(None), {})[reference.tag or "latest"] = None
    return tuple(Destination(repository=repository, tags=tuple(names)) for repository, names in tags.items())


def announce_tags(say: Callable[[str], None]) -> Emit:
    """Return a function that says the previous digest of each tag."""
    from multibuild.journal.events import TagPlanned

    def emit(event: Event, /) -> None:
        if isinstance(event, TagPlanned):
            say(f"{event.ref} was {event.before or 'not there'}")

    return emit
