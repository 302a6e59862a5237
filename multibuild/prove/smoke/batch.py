"""Smoke tests of many platforms in one solve: half the time of a solve each, and a tenth of the clients' CPU time.

BuildKit cancels the others when one fails. Platforms with a result by then keep it; the rest need solves of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from multibuild.buildx.process import ProcessLimits, StartFailed
from multibuild.buildx.rawjson_progress import Progress
from multibuild.journal.runs import open_log
from multibuild.platforms import Platform
from multibuild.prove.smoke.smoke_test import (
    RUN_STEP,
    SmokeRun,
    Solver,
    TestOutcome,
    dockerfile,
    exit_code_text,
    failed_outcome,
    run_seconds,
)

_TARGET_STAGE = "FROM ${TARGETOS}-${TARGETARCH}${TARGETVARIANT:+-${TARGETVARIANT}}\n"
"""The stage of the platform that is built: stages are named by the slugs of their platforms."""

_STEP_STAGE = re.compile(r"\[(?:\S+ )?(\S+) \d+/\d+\] ")
"""Steps are named "[linux/arm/v7 linux-arm-v7 2/2] RUN …", with the stage last."""

_KILLED = "exit code: 137"
"""Most likely a lack of memory, which beside so many other tests is not the child's fault."""


async def run_together(smoke_runs: Sequence[SmokeRun], solver: Solver) -> dict[Platform, TestOutcome]:
    """Run the tests of one builder at once; return the outcomes that are certain. All have the same timeout."""
    with ExitStack() as files:
        progress = _BatchProgress(smoke_runs, files)
        limits = ProcessLimits(timeout=min(smoke_run.test.timeout for smoke_run in smoke_runs))
        try:
            result = await solver.solve(batch_dockerfile(smoke_runs), smoke_runs, progress.feed, limits)
        except StartFailed:
            return {}
        outcomes = progress.outcomes(succeeded=result.code == 0 and result.end_reason == "exited")
    return {outcome.platform: outcome for outcome in outcomes}


def batch_dockerfile(smoke_runs: Iterable[SmokeRun]) -> str:
    """Return a stage for each platform and a last one that selects; each child is an image of its own."""
    stages = [dockerfile(one.test, one.base, stage=one.platform.slug) for one in smoke_runs]
    return "".join(("ARG TARGETOS TARGETARCH TARGETVARIANT\n", *stages, _TARGET_STAGE))


class _BatchProgress:
    """The progress of a solve, split by platform."""

    def __init__(self, smoke_runs: Sequence[SmokeRun], files: ExitStack) -> None:
        self._smoke_runs = {smoke_run.platform.slug: smoke_run for smoke_run in smoke_runs}
        self._progress = {slug: _progress(smoke_run, files) for slug, smoke_run in self._smoke_runs.items()}
        self._owners: dict[str, str] = {}
        self._passed: set[str] = set()

    def feed(self, line: bytes) -> None:
        """Apply one line of output. One that is no JSON concerns all platforms and decides for none."""
        try:
            document = json.loads(line) if line.startswith(b"{") else {}
        except (ValueError, RecursionError):
            return
        parts: dict[str, dict[str, list[Any]]] = {}
        for key in ("vertexes", "statuses", "logs"):
            for item in _objects(document, key):
                slug = self._owner(item) if key == "vertexes" else self._owners.get(str(item.get("vertex")))
                if slug:
                    parts.setdefault(slug, {}).setdefault(key, []).append(item)
        for slug, part in parts.items():
            self._progress[slug].apply(part)

    def _owner(self, vertex: Mapping[str, Any]) -> str | None:
        """Return the slug of a vertex's platform, and remember it for the vertex's logs."""
        name = str(vertex.get("name"))
        stage = _STEP_STAGE.match(name)
        if stage is None or stage[1] not in self._smoke_runs:
            return None
        self._owners[str(vertex.get("digest"))] = stage[1]
        is_complete = vertex.get("completed") and not vertex.get("cached") and not vertex.get("error")
        if is_complete and RUN_STEP.match(name):
            self._passed.add(stage[1])
        return stage[1]

    def outcomes(self, *, succeeded: bool) -> Iterator[TestOutcome]:
        """Return the certain outcomes after the end of the solve."""
        for slug, smoke_run in self._smoke_runs.items():
            progress = self._progress[slug]
            progress.finish()
            evidence, seconds = progress.evidence(), run_seconds(progress, 0.0)
            if slug in self._passed:
                yield TestOutcome(platform=smoke_run.platform, status="passed", seconds=seconds)
            elif not succeeded and exit_code_text(evidence) not in {None, _KILLED}:
                yield replace(failed_outcome(smoke_run, evidence), seconds=seconds)


def _progress(smoke_run: SmokeRun, files: ExitStack) -> Progress:
    log = files.enter_context(open_log(smoke_run.log))
    return Progress(write_log=lambda line: print(line, file=log), on_step=lambda _step: None)


def _objects(document: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = document.get(key)
    if isinstance(value, list):
        yield from (item for item in value if isinstance(item, dict))
