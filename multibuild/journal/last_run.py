"""The last run's children and their proofs, from plan.json and journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from multibuild.frozen import frozen
from multibuild.journal.events import ContentEnded, Event, PlatformEnded, SmokeTestEnded
from multibuild.journal.journal import read_events
from multibuild.journal.runs import RunDirectory
from multibuild.plan.spec import repository_of


@frozen
class RecordedChild:
    """A child in a journal: the repository of its staging, its digest, and the results of its proofs.

    `test` and `content` are "passed", "failed", "skipped", or "" without a result; `checked` is the number of binaries
    that the proof of content read.
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
    """Return the newest run in which a platform ended; `runs` are newest first."""
    for run in runs:
        plan = run.load_plan()
        events = read_events(run.journal_path)
        if plan and any(isinstance(event, PlatformEnded) for event in events):
            return LastRun(run=run.id, plan=plan, children=recorded_children(plan, events))
    return None


def recorded_children(plan: Mapping[str, Any], events: Sequence[Event]) -> dict[str, RecordedChild]:
    """Return a journal's children by platform. A later child replaces an earlier one and that one's proofs."""
    staged = {item["platform"]: repository_of(item["staging"]["reference"]) for item in plan["platforms"]}
    children: dict[str, RecordedChild] = {}
    proofs: dict[tuple[str, str], str] = {}
    checked: dict[str, int] = {}
    for event in events:
        match event:
            case PlatformEnded(platform=platform, digest=str(digest)) if digest:
                repository = event.repository or staged.get(platform, "")
                if platform in children and children[platform].digest != digest:
                    proofs = {key: status for key, status in proofs.items() if key[0] != platform}
                children[platform] = RecordedChild(platform=platform, repository=repository, digest=digest)
            case SmokeTestEnded() | ContentEnded():
                proofs[event.platform, event.name] = event.status
                if isinstance(event, ContentEnded):
                    checked[event.platform] = event.checked
    return {
        platform: replace(
            child,
            test=proofs.get((platform, SmokeTestEnded.name), ""),
            content=proofs.get((platform, ContentEnded.name), ""),
            checked=checked.get(platform, 0),
        )
        for platform, child in children.items()
    }
