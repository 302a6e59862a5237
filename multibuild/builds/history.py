"""What earlier runs and the context tell of builds before they start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.frozen import frozen
from multibuild.journal.events import AttemptEnded, PlatformEnded, PlatformInputs
from multibuild.journal.journal import read_events
from multibuild.journal.runs import RunDirectory
from multibuild.platforms import Platform

MAX_RUNS_READ = 5
"""Runs that are read, newest first: older ones say little of the next."""


@frozen
class BuildHistory:
    """`seconds`: how long platforms took. `failed`: those of which an attempt failed. `context_bytes`: by Dockerfile.

    `known`: platforms that were built before from exactly these inputs, so that the builder should have them cached.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    context_bytes: Mapping[str, int] = field(default_factory=dict)
    known: frozenset[Platform] = frozenset()


def read_history(earlier: Sequence[RunDirectory], inputs: PlanFingerprints) -> BuildHistory:
    """Read what the `earlier` runs (newest first) tell of builds from `inputs`."""
    built: set[tuple[str, str | None]] = set()
    failed: set[str] = set()
    for run in earlier[:MAX_RUNS_READ]:
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
        seconds=past_seconds(earlier),
        failed=frozenset(failed),
        context_bytes=inputs.context_bytes,
        known=frozenset(
            platform for platform, told in inputs.platforms.items() if (str(platform), told.name) in built
        ),
    )


def past_seconds(earlier: Sequence[RunDirectory]) -> dict[str, float]:
    """Return the seconds that each platform's good attempts took in the `earlier` runs (newest first), by platform.

    The longest of them counts: a run whose steps were all cached says nothing of one that builds.
    """
    longest: dict[str, float] = {}
    for run in earlier[:MAX_RUNS_READ]:
        for event in read_events(run.journal_path):
            if isinstance(event, AttemptEnded) and event.outcome == "ok":
                longest[event.platform] = max(event.seconds, longest.get(event.platform, 0.0))
    return longest
