"""The configured test, run in a child at its exact digest, on the builder: emulated or native."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from multibuild.buildx.classify import Failure, classify, failure_of
from multibuild.buildx.process import ProcessLimits, ProcessResult, StartFailed, run_process
from multibuild.buildx.progress import Evidence, Progress
from multibuild.frozen import frozen
from multibuild.journal.events import SmokeTestEnded
from multibuild.journal.runs import open_log
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.models import SmokeTest

SLOW_HINT = "raise `test.timeout`, or see what keeps the builder from pulling the child"

RUN_STEP = re.compile(r"\[[^\]]*\] RUN ")
"""How BuildKit names the step that is the test."""

_EXIT = re.compile(r"did not complete successfully: (exit code: \d+)\s*\Z")


@frozen
class TestOutcome:
    """How a child's test ended. `detail` is the last lines it printed, when it failed.

    `trouble`, with status "failed": what kept the test from running to its own end, which says nothing of the child.
    `seconds` is how long the command ran.
    """

    __test__ = False

    platform: Platform
    status: Literal["passed", "failed", "skipped"]
    seconds: float
    detail: str = ""
    trouble: Failure | None = None

    def event(self) -> SmokeTestEnded:
        """Return what the journal has of it."""
        return SmokeTestEnded(
            platform=str(self.platform),
            status=self.status,
            seconds=round(self.seconds, 3),
            detail=self.detail,
            failure_class=self.trouble.kind.name if self.trouble else None,
            hint=self.trouble.hint if self.trouble else None,
        )


@frozen
class SmokeRun:
    """A test of one child (repository@digest, or oci-layout://DIR@digest), and the file that takes what it prints."""

    platform: Platform
    test: SmokeTest
    child: str
    log: Path
    emulated: bool = True

    @property
    def base(self) -> str:
        """What FROM calls the child."""
        return f"child-{self.platform.slug}" if self.context else self.child

    @property
    def context(self) -> tuple[str, ...]:
        """The arguments that make `base` known where it is no registry's."""
        if not self.child.startswith("oci-layout://"):
            return ()
        return ("--build-context", f"child-{self.platform.slug}={self.child}")


@frozen
class Solver:
    """Where tests run: on which builder, through which buildx (argv)."""

    builder: str
    buildx: Sequence[str]

    async def solve(
        self, recipe: str, trials: Sequence[SmokeRun], on_line: Callable[[bytes], None], limits: ProcessLimits
    ) -> ProcessResult:
        """Do one throw-away solve of what was written for `trials`. Raises StartFailed.

        `--no-cache`, or a second run would be answered from cache and test nothing; `type=cacheonly`, so nothing is
        stored or pushed.
        """
        argv = (
            *self.buildx,
            "build",
            *("--progress", "rawjson"),
            *("--builder", self.builder),
            *("--platform", ",".join(str(trial.platform) for trial in trials)),
            *(word for trial in trials for word in trial.context),
            "--no-cache",
            "--provenance=false",
            *("--output", "type=cacheonly"),
            ".",
        )
        with tempfile.TemporaryDirectory(prefix="multibuild-test-") as scratch:
            folder = Path(scratch)
            (folder / "Dockerfile").write_text(recipe, encoding="utf-8")
            return await run_process(argv, cwd=folder, on_line=on_line, limits=limits)


async def run_test(trial: SmokeRun, solver: Solver, *, attempt: int = 1) -> TestOutcome:
    """Run `test.run` on top of the child: exit code 0 passes. No network unless the test asks for it.

    A further attempt's output follows that of the earlier ones.
    """
    recipe = dockerfile(trial.test, trial.base)
    begun: list[str] = []
    with open_log(trial.log, append=attempt > 1) as log:
        if attempt > 1:
            print(f"=== attempt {attempt}", file=log)
        progress = Progress(write_log=lambda line: print(line, file=log), on_step=begun.append)
        try:
            limits = ProcessLimits(timeout=trial.test.timeout)
            ended = await solver.solve(recipe, (trial,), progress.feed, limits)
        except StartFailed as error:
            return not_run(trial, failure_of("usage", str(error)), seconds=0.0)
        progress.finish()
    outcome = _judged(trial, ended, progress.evidence(), began=any(map(RUN_STEP.match, begun)))
    return replace(outcome, seconds=run_seconds(progress, ended.seconds))


def _judged(trial: SmokeRun, ended: ProcessResult, evidence: Evidence, *, began: bool) -> TestOutcome:
    if ended.end_reason == "timeout":
        said = f"no end after {trial.test.timeout:.0f} s"
        if began:
            return TestOutcome(platform=trial.platform, status="failed", seconds=ended.seconds, detail=said)
        slow = failure_of("timeout", f"{said}, and the test had not begun")
        return not_run(trial, replace(slow, kind=replace(slow.kind, hint=SLOW_HINT)), seconds=ended.seconds)
    if ended.code == 0:
        return TestOutcome(platform=trial.platform, status="passed", seconds=ended.seconds)
    if own_failure(evidence) is not None:
        return failed(trial, evidence, seconds=ended.seconds)
    trouble = classify(evidence, code=ended.code, emulated=trial.emulated)
    if trouble.kind.name == "step-failed":
        return failed(trial, evidence, seconds=ended.seconds)
    return not_run(trial, trouble, seconds=ended.seconds)


def own_failure(evidence: Evidence) -> str | None:
    """Give "exit code: N" where the command itself ended so: the test has failed, whatever it printed."""
    found = _EXIT.search(evidence.message)
    return found[1] if found else None


def failed(trial: SmokeRun, evidence: Evidence, *, seconds: float) -> TestOutcome:
    """Give the outcome of a test that failed by itself, with its last words."""
    words = [*evidence.tail[-5:], own_failure(evidence) or evidence.message]
    return TestOutcome(platform=trial.platform, status="failed", seconds=seconds, detail="\n".join(words))


def not_run(trial: SmokeRun, trouble: Failure, *, seconds: float) -> TestOutcome:
    """Give the outcome of a test that something else kept from ending."""
    return TestOutcome(
        platform=trial.platform,
        status="failed",
        seconds=seconds,
        detail=trouble.evidence,
        trouble=trouble,
    )


def run_seconds(progress: Progress, otherwise: float) -> float:
    """Seconds that the command itself ran, by BuildKit's clock; `otherwise` where it did not come to that."""
    return next((step.seconds for step in progress.steps() if RUN_STEP.match(step.name)), otherwise)


def dockerfile(test: SmokeTest, child: str, *, stage: str = "") -> str:
    """Write the recipe; exec form, so an image without a shell can be tested and nothing is interpreted."""
    network = "" if test.network else "--network=none "
    cpu = f"ENV QEMU_CPU={_quoted(test.emulator_cpu)}\n" if test.emulator_cpu else ""
    named = f" AS {stage}" if stage else ""
    return f"FROM {child}{named}\n{cpu}RUN {network}{json.dumps(list(test.run))}\n"


def _quoted(text: str) -> str:
    """Quote a value of ENV, in which a backslash, a quote and a dollar sign have a meaning."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", " ".join(text.split())) + '"'
