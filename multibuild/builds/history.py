"""What earlier runs and the context tell of builds before they start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING

from multibuild.build.shared import SharedWork
from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.builds.reuse import past_seconds
from multibuild.frozen import frozen
from multibuild.journal.events import AttemptEnded, PlatformEnded, PlatformInputs
from multibuild.journal.journal import read_events
from multibuild.journal.runs import RunDirectory, State

if TYPE_CHECKING:
    from multibuild.platforms import Platform

RUNS_READ = 5


@frozen
class BuildHistory:
    """`seconds`: how long platforms took. `failed`: those of which an attempt failed. `context_bytes`: by Dockerfile.

    `known`: platforms that were built before from exactly these inputs, so that the builder should have them cached.
    `shared`: those that run nothing of their own, and what they share.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    context_bytes: Mapping[str, int] = field(default_factory=dict)
    known: frozenset[Platform] = frozenset()
    shared: Mapping[Platform, SharedWork] = field(default_factory=dict)


def read_history(state: State, current: RunDirectory, inputs: PlanFingerprints) -> BuildHistory:
    """Read the last runs."""
    built: set[tuple[str, str | None]] = set()
    failed: set[str] = set()
    for run in [run for run in state.runs() if run.id < current.id][:RUNS_READ]:
        named: dict[str, str] = {}
        for event in read_events(run.journal_path):
            match event:
                case PlatformInputs(platform=platform, inputs=str(digest)) if digest:
                    named[platform] = digest
                case PlatformEnded(platform=platform, status="succeeded"):
                    built.add((platform, named.get(platform, "")))
                case AttemptEnded(platform=platform, outcome=outcome) if outcome not in {"ok", "cancelled"}:
                    failed.add(platform)
    return BuildHistory(
        seconds=past_seconds(state, current, RUNS_READ),
        failed=frozenset(failed),
        context_bytes=inputs.context_bytes,
        shared=inputs.shared,
        known=frozenset(
            platform for platform, told in inputs.platforms.items() if (str(platform), told.name) in built
        ),
    )
