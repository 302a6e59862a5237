"""Tests of many platforms in one solve: half the time of a solve for each, and a tenth of the CPU time of clients.

BuildKit cancels the others when one fails. Who has a result by then keeps it; the rest is for a solve of its own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from multibuild.buildx.process import ProcessLimits, StartFailed
from multibuild.buildx.progress import Progress
from multibuild.journal.runs import open_log
from multibuild.platforms import Platform
from multibuild.prove.smoke.smoke_test import (
    RUN_STEP,
    SmokeRun,
    Solver,
    TestOutcome,
    dockerfile,
    failed,
    own_failure,
    run_seconds,
)

_CHOSEN = "FROM ${TARGETOS}-${TARGETARCH}${TARGETVARIANT:+-${TARGETVARIANT}}\n"
"""The stage of the platform that is asked for: stages bear the slugs of their platforms."""

_STAGE = re.compile(r"\[(?:\S+ )?(\S+) \d+/\d+\] ")
"""Steps are named "[linux/arm/v7 linux-arm-v7 2/2] RUN …", with the stage last."""

_KILLED = "exit code: 137"
"""Short of memory, most likely; beside so many others that is not the child's fault."""


async def run_together(trials: Sequence[SmokeRun], solver: Solver) -> dict[Platform, TestOutcome]:
    """Run the tests of one builder at once; gives the outcomes that are certain. All have the same timeout."""
    with ExitStack() as files:
        follower = _Follower(trials, files)
        limits = ProcessLimits(timeout=min(trial.test.timeout for trial in trials))
        try:
            ended = await solver.solve(recipe(trials), trials, follower.feed, limits)
        except StartFailed:
            return {}
        outcomes = follower.outcomes(succeeded=ended.code == 0 and ended.end_reason == "exited")
    return {outcome.platform: outcome for outcome in outcomes}


def recipe(trials: Iterable[SmokeRun]) -> str:
    """Write a stage for each, and a last one that picks. Each child is its own image, hence no common `FROM`."""
    stages = [dockerfile(trial.test, trial.base, stage=trial.platform.slug) for trial in trials]
    return "".join(("ARG TARGETOS TARGETARCH TARGETVARIANT\n", *stages, _CHOSEN))


class _Follower:
    """Gives each platform its share of the progress, and sees whose test has ended well."""

    def __init__(self, trials: Sequence[SmokeRun], files: ExitStack) -> None:
        self._trials = {trial.platform.slug: trial for trial in trials}
        self._progress = {slug: _progress(trial, files) for slug, trial in self._trials.items()}
        self._owners: dict[str, str] = {}
        self._passed: set[str] = set()

    def feed(self, line: bytes) -> None:
        """Take one line; what is no JSON is about all of them and decides for none."""
        try:
            document = json.loads(line) if line.startswith(b"{") else None
        except (ValueError, RecursionError):
            return
        if not isinstance(document, dict):
            return
        shares: dict[str, dict[str, list[Any]]] = {}
        for key in ("vertexes", "statuses", "logs"):
            for item in _objects(document, key):
                if (
                    slug := self._owner(item)
                    if key == "vertexes"
                    else self._owners.get(str(item.get("vertex")))
                ):
                    shares.setdefault(slug, {}).setdefault(key, []).append(item)
        for slug, share in shares.items():
            self._progress[slug].apply(share)

    def _owner(self, vertex: Mapping[str, Any]) -> str | None:
        name, digest = str(vertex.get("name")), str(vertex.get("digest"))
        found = _STAGE.match(name)
        if found is None or found[1] not in self._trials:
            return None
        self._owners[digest] = found[1]
        ended = vertex.get("completed") and not vertex.get("cached")
        if ended and not vertex.get("error") and RUN_STEP.match(name):
            self._passed.add(found[1])
        return found[1]

    def outcomes(self, *, succeeded: bool) -> Iterator[TestOutcome]:
        """Give what is certain, once the solve has ended."""
        for slug, trial in self._trials.items():
            progress = self._progress[slug]
            progress.finish()
            evidence, seconds = progress.evidence(), run_seconds(progress, 0.0)
            if slug in self._passed:
                yield TestOutcome(platform=trial.platform, status="passed", seconds=seconds)
            elif not succeeded and own_failure(evidence) not in {None, _KILLED}:
                yield failed(trial, evidence, seconds=seconds)


def _progress(trial: SmokeRun, files: ExitStack) -> Progress:
    log = files.enter_context(open_log(trial.log))
    return Progress(write_log=lambda line: print(line, file=log), on_step=lambda _step: None)


def _objects(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = document.get(key)
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
