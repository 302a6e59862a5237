"""Children of unfinished runs: which of them a run need not build again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from multibuild.background import run_in_background
from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.inputs import Fingerprinting, journal_inputs
from multibuild.frozen import frozen
from multibuild.journal.events import (
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
from multibuild.journal.local_children import adopt, is_local_child, remove_stale
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import RunDirectory, State
from multibuild.oci.reference import Reference
from multibuild.oci.registries import RegistrySession
from multibuild.plan.plan import Plan
from multibuild.platforms import Platform


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


@frozen
class Reusable:
    """What goes into a run's platforms, the children that need no build, and what tags held before (see Unfinished)."""

    fingerprints: PlanFingerprints
    children: Mapping[Platform, FinishedChild]
    tags: Mapping[tuple[str, str], str | None]


async def find_reusable(plan: Plan, pending: Fingerprinting, context: RunContext) -> Reusable:
    """Journal what goes into each platform, and look for children of unfinished runs made of the same (`--resume`)."""
    recorder = context.recorder
    previous = unfinished(context.state, context.run) if context.resume else Unfinished()
    with recorder.stage("inputs"):
        fingerprints = await pending.result()
        journal_inputs(fingerprints, recorder)
        children = await reusable_children(plan, fingerprints, previous, context.run, recorder)
        remove_stale(context.state.runs(), context.run)
    if previous.runs:
        recorder.say(
            f"resuming {previous.runs[0]}: {len(children)} of {len(plan.platforms)} platforms are finished"
        )
    return Reusable(fingerprints=fingerprints, children=children, tags=previous.tags)


async def reusable_children(
    plan: Plan, inputs: PlanFingerprints, left: Unfinished, run: RunDirectory, recorder: Recorder
) -> dict[Platform, FinishedChild]:
    """Pick the finished children whose inputs are unchanged and which their registry still has.

    Those that no registry holds are taken over into `run`. One that is not where this plan stages is built anew. Of a
    run that did not get as far as looking whether its files had held, only a stamp tells that they have.
    """
    wanted = {
        platform: left.children.get((str(platform), name))
        for platform, found in inputs.platforms.items()
        if (name := found.name)
    }
    here = {planned.platform: planned.staging.kind == "layout" for planned in plan.platforms}
    found = {
        platform: child
        for platform, child in wanted.items()
        if child is not None
        and child.stamp in {None, inputs.stamp}
        and is_local_child(child.repository) == here[platform]
    }

    kept = {platform for platform, child in found.items() if is_local_child(child.repository)}

    def taken_over() -> set[Platform]:
        runs = left.holders
        return {p for p in kept if adopt(found[p].repository, found[p].digest, runs, run)}

    pushed = {platform: child for platform, child in found.items() if platform not in kept}
    there = await asyncio.to_thread(taken_over) | await run_in_background(
        lambda: _still_there(plan, pushed, recorder)
    )
    return {platform: child for platform, child in found.items() if platform in there}


def _still_there(plan: Plan, children: Mapping[Platform, FinishedChild], recorder: Recorder) -> set[Platform]:
    """Ask registries for children, all at once; gives the platforms whose child they have."""

    def check(child: FinishedChild) -> bool:
        reference = Reference.parse(f"{child.repository}@{child.digest}")
        return registries.of(reference.host).head(reference) is not None

    with RegistrySession(plan.registries, on_wait=recorder.say) as registries:
        found = registries.map(check, children.values())
    return {platform for platform, there in zip(children, found, strict=True) if there}
