"""What earlier runs tell of the next builds: durations, failures, and what the builder should have cached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

from multibuild.builds.fingerprint import PlanFingerprints
from multibuild.buildx.vertex import Step
from multibuild.frozen import frozen
from multibuild.journal.events import AttemptEnded, PlatformEnded, PlatformInputs
from multibuild.journal.runs import RunDirectory
from multibuild.plan.planned_platform import PlannedPlatform
from multibuild.platforms import Platform

MAX_RUNS = 5
"""Runs that are read, newest first: older ones say little of the next."""


@frozen
class BuildHistory:
    """`seconds`: how long platforms took. `failed`: those of which an attempt failed. `context_bytes`: by Dockerfile.

    `cached`: platforms that were built before from exactly these inputs, so that the builder should have them cached.
    `vertices`: BuildKit's digests of RUN steps that ran. A step that depends on files of the context has another one in
    every build, so that the same digest means the same work.
    """

    seconds: Mapping[str, float] = field(default_factory=dict)
    failed: frozenset[str] = frozenset()
    context_bytes: Mapping[str, int] = field(default_factory=dict)
    cached: frozenset[Platform] = frozenset()
    vertices: frozenset[str] = frozenset()

    def ran_before(self, step: Step, planned: PlannedPlatform) -> bool:
        """Whether an earlier run did the work that a RUN step of this run did again, though a cache was allowed."""
        if step.cached or planned.spec.no_cache or " RUN " not in step.name:
            return False
        return step.vertex in self.vertices or planned.platform in self.cached


def read_history(runs: Sequence[RunDirectory], fingerprints: PlanFingerprints) -> BuildHistory:
    """Return what earlier `runs` (newest first) tell of builds with these fingerprints."""
    built: set[tuple[str, str | None]] = set()
    seconds: dict[str, float] = {}
    failed: set[str] = set()
    vertices: set[str] = set()
    for run in runs[:MAX_RUNS]:
        digests: dict[str, str] = {}
        for event in run.events():
            match event:
                case PlatformInputs(platform=platform, inputs=str(digest)) if digest:
                    digests[platform] = digest
                case PlatformEnded(platform=platform, status="succeeded"):
                    built.add((platform, digests.get(platform, "")))
                    vertices |= _run_vertices(event.steps or ())
                case AttemptEnded(platform=platform, outcome="ok"):
                    seconds[platform] = max(event.seconds, seconds.get(platform, 0.0))
                case AttemptEnded(platform=platform, outcome=outcome) if outcome != "cancelled":
                    failed.add(platform)
    return BuildHistory(
        seconds=seconds,
        failed=frozenset(failed),
        context_bytes=fingerprints.context_bytes,
        cached=frozenset(
            platform
            for platform, fingerprint in fingerprints.platforms.items()
            if (str(platform), fingerprint.digest) in built
        ),
        vertices=frozenset(vertices),
    )


def _run_vertices(steps: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the vertices of a journal's RUN steps that ran; its text may be of another version or damaged."""
    return {
        str(step["vertex"])
        for step in steps
        if step.get("vertex") and not step.get("cached") and " RUN " in str(step.get("name"))
    }


def past_seconds(runs: Sequence[RunDirectory]) -> dict[tuple[str, str], float]:
    """Return how long successful attempts took in earlier `runs` (newest first): the longest one of each platform.

    By the name of the image, "" in a file of one, and the platform. A run whose steps were all cached says nothing of
    one that builds.
    """
    longest: dict[tuple[str, str], float] = {}
    for run in runs[:MAX_RUNS]:
        for entry in run.all_entries():
            if isinstance(event := entry.event, AttemptEnded) and event.outcome == "ok":
                unit = entry.image, event.platform
                longest[unit] = max(event.seconds, longest.get(unit, 0.0))
    return longest
