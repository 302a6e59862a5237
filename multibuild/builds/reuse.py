"""What earlier runs finished and a later one need not repeat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from multibuild.frozen import frozen
from multibuild.journal.events import (
    AttemptEnded,
    Event,
    InputsChanged,
    InputsHeld,
    InputsNamed,
    PlatformEnded,
    PlatformInputs,
    RunEnded,
    TagPlanned,
)
from multibuild.journal.journal import read_events
from multibuild.journal.runs import RunDirectory, State


@frozen
class FinishedChild:
    """A child that an earlier run pushed or kept. `inputs` names what went into it.

    `stamp` is that of the files before the build; None where it is known that they held to its end.
    """

    platform: str
    repository: str
    digest: str
    inputs: str
    stamp: str | None = None


@frozen
class Unfinished:
    """What the unfinished runs left: children by (platform, inputs), and what tags held before they were moved.

    `tags` maps (reference, index digest) to the digest before, None where the tag did not exist. A run that published
    without some optional platforms leaves children and no tags: those are where they belong. `holders` are all earlier
    runs, newest first: a child that no registry holds is in the directory of one of them.
    """

    runs: tuple[str, ...] = ()
    children: Mapping[tuple[str, str], FinishedChild] = field(default_factory=dict)
    tags: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    holders: tuple[RunDirectory, ...] = ()


def unfinished(state: State, current: RunDirectory) -> Unfinished:
    """Read the runs after the last one that succeeded, the current one aside; newer ones win.

    Several are read, because a resumed run may itself have been killed before it had noted what it took over.
    """
    runs: list[str] = []
    children: dict[tuple[str, str], FinishedChild] = {}
    tags: dict[tuple[str, str], str | None] = {}
    published = False
    for run in state.runs():
        if run.id >= current.id:
            continue
        events = read_events(run.journal_path)
        ended = next((event.status for event in events if isinstance(event, RunEnded)), None)
        if ended == "succeeded":
            break
        planned = _tags(events)
        published = published or (ended == "partial" and bool(planned))
        runs.append(run.id)
        for child in _children(events):
            children.setdefault((child.platform, child.inputs), child)
        # Older runs win here: the oldest knows what the tag held before any of them moved it.
        tags |= {} if published else planned
    holders = tuple(run for run in state.runs() if run.id < current.id)
    return Unfinished(runs=tuple(runs), children=children, tags=tags, holders=holders)


def _tags(events: Sequence[Event]) -> dict[tuple[str, str], str | None]:
    """Give what the tags that a run planned to move held before."""
    return {
        (event.ref, event.after): event.before
        for event in events
        if isinstance(event, TagPlanned) and event.before != event.after
    }


def _children(events: Sequence[Event]) -> Iterator[FinishedChild]:
    """Give what a run pushed; nothing where files changed while builds read them."""
    kinds = set(map(type, events))
    if InputsChanged in kinds:
        return
    stamp: str | None = ""
    inputs: dict[str, str | None] = {}
    for event in events:
        match event:
            case InputsNamed():
                stamp = None if InputsHeld in kinds else event.stamp
            case PlatformInputs():
                inputs[event.platform] = event.inputs
            case PlatformEnded(status="succeeded" | "reused", digest=str(digest)) if digest:
                if name := inputs.get(event.platform):
                    yield FinishedChild(
                        platform=event.platform,
                        repository=event.repository,
                        digest=digest,
                        inputs=name,
                        stamp=stamp,
                    )


def past_seconds(state: State, current: RunDirectory, runs: int = 5) -> dict[str, float]:
    """How long each platform's good attempts took in the last runs: what is long starts first.

    The longest of them counts: a run whose steps were all cached says nothing of one that builds.
    """
    found: dict[str, float] = {}
    for run in [run for run in state.runs() if run.id < current.id][:runs]:
        for event in read_events(run.journal_path):
            if isinstance(event, AttemptEnded) and event.outcome == "ok":
                found[event.platform] = max(event.seconds, found.get(event.platform, 0.0))
    return found
