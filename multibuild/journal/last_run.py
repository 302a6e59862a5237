"""What the last run left to merge: its children, and which proofs they passed. Pure: plan.json and journal in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from multibuild.frozen import frozen
from multibuild.journal.events import ContentEnded, Event, PlatformEnded, SmokeTestEnded
from multibuild.journal.journal import read_events
from multibuild.journal.runs import RunDirectory
from multibuild.plan.spec import repository_of


@frozen
class RecordedChild:
    """A child as a journal tells of it: where it was staged, its digest, and what became of its proofs.

    `test` and `content` are "passed", "failed", "skipped", or "" where the run did not get that far; `checked` is how
    many binaries the proof of content looked at.
    """

    platform: str
    repository: str
    digest: str
    test: str = ""
    content: str = ""
    checked: int = 0


@frozen
class LastRun:
    """A run, its plan.json, and its children by platform."""

    run: str
    plan: Mapping[str, Any]
    children: Mapping[str, RecordedChild]


def last_run(runs: Iterable[RunDirectory]) -> LastRun | None:
    """Find the newest run that got as far as ending a platform; `runs` are newest first."""
    for run in runs:
        plan = run.load_plan()
        events = read_events(run.journal_path)
        if plan and any(isinstance(event, PlatformEnded) for event in events):
            return LastRun(run=run.id, plan=plan, children=recorded_children(plan, events))
    return None


def recorded_children(plan: Mapping[str, Any], events: Sequence[Event]) -> dict[str, RecordedChild]:
    """Fold a journal into the children it tells of.

    A child of a later event takes an earlier one's place, and what was proved of that one says nothing of it.
    """
    staged = {item["platform"]: repository_of(item["staging"]["reference"]) for item in plan["platforms"]}
    found: dict[str, RecordedChild] = {}
    proofs: dict[tuple[str, str], str] = {}
    checked: dict[str, int] = {}
    for event in events:
        match event:
            case PlatformEnded(platform=platform, digest=str(digest)) if digest:
                repository = event.repository or staged.get(platform, "")
                if platform in found and found[platform].digest != digest:
                    proofs = {key: status for key, status in proofs.items() if key[0] != platform}
                found[platform] = RecordedChild(platform=platform, repository=repository, digest=digest)
            case SmokeTestEnded(platform=platform, status=status):
                proofs[platform, event.name] = status
            case ContentEnded(platform=platform, status=status):
                proofs[platform, event.name] = status
                checked[platform] = event.checked
    return {
        platform: RecordedChild(
            platform=platform,
            repository=child.repository,
            digest=child.digest,
            test=proofs.get((platform, SmokeTestEnded.name), ""),
            content=proofs.get((platform, ContentEnded.name), ""),
            checked=checked.get(platform, 0),
        )
        for platform, child in found.items()
    }
