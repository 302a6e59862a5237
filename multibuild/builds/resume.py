"""Children of unfinished runs, and which of them `--resume` reuses."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field, replace
from types import MappingProxyType

from multibuild.background import run_in_background
from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.inputs import PendingFingerprints, journal_inputs, with_dependencies
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
from multibuild.journal.last_run import is_child
from multibuild.journal.local_children import adopt, is_local_child, remove_stale
from multibuild.journal.recorder import Recorder
from multibuild.journal.run_context import RunContext
from multibuild.journal.runs import RunDirectory, State
from multibuild.journal.unfinished_tags import tag_moves
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.children import RememberedChild
from multibuild.plan.plan import Plan
from multibuild.platforms import Platform


@frozen
class FinishedChild:
    """A child that an earlier run built; `fingerprint` is the digest of what went into it.

    `mtime_stamp` is that of the files before the build; None where the run saw that none changed until its end.
    """

    platform: str
    repository: str
    digest: str
    fingerprint: str
    mtime_stamp: str | None = None


@frozen
class UnfinishedRuns:
    """Unfinished runs: their `ids`, their children by (platform, fingerprint), and what tags held before they moved.

    `tags` maps (reference, index digest) to the digest before, None where the tag did not exist. A run that published
    and failed later, or without some optional platforms, has children and no tags: its tags are where they belong.
    `earlier_runs` are all, newest first: a child that no registry holds is in the directory of one of them.
    """

    ids: tuple[str, ...] = ()
    children: Mapping[tuple[str, str], FinishedChild] = field(default_factory=dict)
    tags: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    earlier_runs: tuple[RunDirectory, ...] = ()


def read_unfinished_runs(state: State, current: RunDirectory) -> UnfinishedRuns:
    """Read the runs between the last one that succeeded and the current one; newer ones win.

    Several are read, because a resumed run may itself have been killed before it journaled what it reused.
    """
    earlier_runs = state.runs_before(current)
    ids: list[str] = []
    children: dict[tuple[str, str], FinishedChild] = {}
    for run in earlier_runs:
        events = run.events()
        status = next((event.status for event in events if isinstance(event, RunEnded)), None)
        if status == "succeeded":
            break
        ids.append(run.id)
        for child in _children(events):
            children.setdefault((child.platform, child.fingerprint), child)
    tags = read_unfinished_tags(state, current)
    return UnfinishedRuns(ids=tuple(ids), children=children, tags=tags, earlier_runs=earlier_runs)


def read_unfinished_tags(state: State, current: RunDirectory) -> dict[tuple[str, str], str | None]:
    """Return `UnfinishedRuns.tags` alone, which a run without `--resume` rolls back, too, if it fails to publish.

    A run that planned no tag ended before it published, or does not, as a `build` that succeeded between two that were
    killed; its journal is not read as JSON.
    """
    tags: dict[tuple[str, str], str | None] = {}
    for run in state.runs_before(current):
        if not run.mentions(TagPlanned.name):
            continue
        entries = run.all_entries()
        moves = tag_moves(entries, run.image)
        status = next((entry.event.status for entry in entries if isinstance(entry.event, RunEnded)), None)
        if moves.finished or status in {"succeeded", "partial"}:
            break
        # Older runs win here: the oldest has what the tag held before any of them moved it.
        tags |= moves.unfinished
    return tags


def _children(events: Sequence[Event]) -> Iterator[FinishedChild]:
    """Yield the children of a run; none where files changed while builds read them."""
    kinds = set(map(type, events))
    if InputsChanged in kinds:
        return
    mtime_stamp: str | None = ""
    fingerprints: dict[str, str | None] = {}
    for event in events:
        match event:
            case InputsNamed():
                mtime_stamp = None if InputsHeld in kinds else event.stamp
            case PlatformInputs():
                fingerprints[event.platform] = event.inputs
            case PlatformEnded(status="succeeded" | "reused", digest=str(digest)) if digest:
                if fingerprint := fingerprints.get(event.platform):
                    yield FinishedChild(
                        platform=event.platform,
                        repository=event.repository,
                        digest=digest,
                        fingerprint=fingerprint,
                        mtime_stamp=mtime_stamp,
                    )


@frozen
class Reusable:
    """A run's fingerprints, the children that need no build, and what tags held before (see UnfinishedRuns)."""

    fingerprints: PlanFingerprints
    children: Mapping[Platform, FinishedChild]
    tags: Mapping[tuple[str, str], str | None]


async def find_reusable(
    plan: Plan,
    pending: PendingFingerprints,
    context: RunContext,
    images: Mapping[str, PlanFingerprints] = MappingProxyType({}),
    remembered: Sequence[RememberedChild] = (),
) -> Reusable:
    """Journal what goes into each platform; with `--resume`, find children of unfinished runs made of the same.

    `images` are the fingerprints of those that this one is built from. `remembered` are children of an index in the
    registry, which are reused as those of unfinished runs are.
    """
    recorder = context.recorder
    if context.resume:
        previous = read_unfinished_runs(context.state, context.run)
    else:
        previous = UnfinishedRuns(tags=read_unfinished_tags(context.state, context.run))
    previous = _with_remembered(previous, remembered)
    with recorder.stage("inputs"):
        fingerprints = with_dependencies(await pending.result(plan.name), plan, images)
        journal_inputs(fingerprints, recorder)
        children = await reusable_children(plan, fingerprints, previous, context.run, recorder)
        remove_stale(context.state.runs(), context.run)
        if previous.ids:
            recorder.say(
                f"resuming {previous.ids[0]}: {len(children)} of {len(plan.platforms)} platforms are finished"
            )
    return Reusable(fingerprints=fingerprints, children=children, tags=previous.tags)


def _with_remembered(runs: UnfinishedRuns, remembered: Sequence[RememberedChild]) -> UnfinishedRuns:
    """Return unfinished runs with remembered children before their own."""
    children = {
        (str(child.platform), child.fingerprint): FinishedChild(
            platform=str(child.platform),
            repository=child.repository,
            digest=child.image.digest,
            fingerprint=child.fingerprint,
        )
        for child in remembered
    }
    return replace(runs, children={**runs.children, **children})


async def reusable_children(
    plan: Plan,
    fingerprints: PlanFingerprints,
    previous: UnfinishedRuns,
    run: RunDirectory,
    recorder: Recorder,
) -> dict[Platform, FinishedChild]:
    """Return the finished children whose fingerprint is the same and which still exist; `run` adopts local ones.

    A child that is not where this plan stages is built anew. Of a run that was killed before it looked for changed
    files, the files must have the same stamp.
    """
    candidates: dict[Platform, FinishedChild] = {}
    for planned in plan.platforms:
        digest = fingerprints.platforms[planned.platform].digest or ""
        child = previous.children.get((str(planned.platform), digest))
        if (
            child is not None
            and child.mtime_stamp in {None, fingerprints.mtime_stamp}
            and is_child(child.repository, child.digest)
            and is_local_child(child.repository) == (planned.staging.kind == "layout")
        ):
            candidates[planned.platform] = child
    local = {platform: child for platform, child in candidates.items() if is_local_child(child.repository)}
    pushed = {platform: child for platform, child in candidates.items() if platform not in local}

    def adopt_local() -> set[Platform]:
        runs = previous.earlier_runs
        return {p for p, child in local.items() if adopt(child.repository, child.digest, runs, run)}

    existing = await asyncio.to_thread(adopt_local) | await run_in_background(
        lambda: _existing_in_registries(plan, pushed, recorder)
    )
    return {platform: child for platform, child in candidates.items() if platform in existing}


def _existing_in_registries(
    plan: Plan, children: Mapping[Platform, FinishedChild], recorder: Recorder
) -> set[Platform]:
    """Ask registries for children, all at once; return the platforms whose child exists."""

    def exists(child: FinishedChild) -> bool:
        # Registries that remove what has no tag remove the image, and leave the index that attests it.
        reference = Reference.parse(f"{child.repository}@{child.digest}")
        store = registries.of(reference.host)
        if store.head(reference) is None:
            return False
        digests = [entry.digest for entry in store.manifest(reference).entries]
        return all(store.head(reference.with_digest(digest)) is not None for digest in digests)

    with RegistrySession(plan.registries, on_wait=recorder.say) as registries:
        results = registries.map(exists, children.values())
    return {platform for platform, result in zip(children, results, strict=True) if result}
