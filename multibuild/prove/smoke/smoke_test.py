"""The configured smoke test, run in a child at its exact digest, on the builder: emulated or native."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from multibuild.buildx.process import ProcessLimits, ProcessResult, StartFailed, run_process
from multibuild.buildx.rawjson_progress import Progress
from multibuild.failures.classify import Failure, classify, failure_of
from multibuild.failures.evidence import Evidence
from multibuild.frozen import frozen
from multibuild.journal.events import SmokeTestEnded
from multibuild.journal.runs import open_log
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.sections import SmokeTest

SLOW_HINT = "raise `test.timeout`, or see what keeps the builder from pulling the child"

RUN_STEP = re.compile(r"\[[^\]]*\] RUN ")
"""BuildKit's name of the step that is the test."""

_EXIT_CODE = re.compile(r"did not complete successfully: (exit code: \d+)\s*\Z")


@frozen
class TestOutcome:
    """The outcome of a child's smoke test. `detail` is the last lines of a failed one's output.

    `environment_failure`, with status "failed": why the test could not run to its end, which is no fault of the child.
    `seconds` is the run time of the command.
    """

    __test__ = False

    platform: Platform
    status: Literal["passed", "failed", "skipped"]
    seconds: float = 0.0
    detail: str = ""
    environment_failure: Failure | None = None

    def event(self) -> SmokeTestEnded:
        """Return the outcome's event for the journal."""
        failure = self.environment_failure
        return SmokeTestEnded(
            platform=str(self.platform),
            status=self.status,
            seconds=round(self.seconds, 3),
            detail=self.detail,
            failure_class=failure.kind.name if failure else None,
            hint=failure.hint if failure else None,
        )


@frozen
class SmokeRun:
    """A smoke test of one child (repository@digest, or oci-layout://DIR@digest), and the log of its output."""

    platform: Platform
    test: SmokeTest
    child: str
    log: Path
    emulated: bool = True

    @property
    def base(self) -> str:
        """The child's name in FROM."""
        return f"child-{self.platform.slug}" if self.context else self.child

    @property
    def context(self) -> tuple[str, ...]:
        """The arguments that define `base` for a child outside a registry."""
        if not self.child.startswith("oci-layout://"):
            return ()
        return ("--build-context", f"child-{self.platform.slug}={self.child}")


@frozen
class Solver:
    """A builder and the argv of buildx."""

    builder: str
    buildx: Sequence[str]

    async def solve(
        self,
        dockerfile_text: str,
        smoke_runs: Sequence[SmokeRun],
        on_line: Callable[[bytes], None],
        limits: ProcessLimits,
    ) -> ProcessResult:
        """Build `dockerfile_text` for the platforms of `smoke_runs`, discard the result. Raises StartFailed.

        Without `--no-cache` a repeated test would come from the cache and test nothing; `type=cacheonly` stores and
        pushes nothing.
        """
        argv = (
            *self.buildx,
            "build",
            *("--progress", "rawjson"),
            *("--builder", self.builder),
            *("--platform", ",".join(str(smoke_run.platform) for smoke_run in smoke_runs)),
            *(word for smoke_run in smoke_runs for word in smoke_run.context),
            "--no-cache",
            "--provenance=false",
            *("--output", "type=cacheonly"),
            ".",
        )
        with tempfile.TemporaryDirectory(prefix="multibuild-test-") as scratch:
            folder = Path(scratch)
            (folder / "Dockerfile").write_text(dockerfile_text, encoding="utf-8")
            return await run_process(argv, cwd=folder, on_line=on_line, limits=limits)


async def run_test(smoke_run: SmokeRun, solver: Solver, *, attempt: int = 1) -> TestOutcome:
    """Run `test.run` on top of the child: exit code 0 passes. There is no network unless the test requests it.

    A further attempt's output is appended to the log.
    """
    dockerfile_text = dockerfile(smoke_run.test, smoke_run.base)
    steps: list[str] = []
    with open_log(smoke_run.log, append=attempt > 1) as log:
        if attempt > 1:
            print(f"=== attempt {attempt}", file=log)
        progress = Progress(write_log=lambda line: print(line, file=log), on_step=steps.append)
        try:
            limits = ProcessLimits(timeout=smoke_run.test.timeout)
            result = await solver.solve(dockerfile_text, (smoke_run,), progress.feed, limits)
        except StartFailed as error:
            return _not_run(smoke_run, failure_of("usage", str(error)))
        progress.finish()
    evidence = progress.evidence() if result.end_reason == "exited" else _open_evidence(progress)
    outcome = _outcome(smoke_run, result, evidence, began=any(map(RUN_STEP.match, steps)))
    return replace(outcome, seconds=run_seconds(progress, result.seconds))


def _outcome(smoke_run: SmokeRun, result: ProcessResult, evidence: Evidence, *, began: bool) -> TestOutcome:
    if result.end_reason == "timeout":
        detail = f"no end after {smoke_run.test.timeout:.0f} s"
        if began:
            detail = "\n".join([*evidence.tail[-5:], detail])
            return TestOutcome(platform=smoke_run.platform, status="failed", detail=detail)
        slow = failure_of("timeout", f"{detail}, and the test had not begun")
        return _not_run(smoke_run, replace(slow, kind=replace(slow.kind, hint=SLOW_HINT)))
    if result.code == 0:
        return TestOutcome(platform=smoke_run.platform, status="passed")
    failure = classify(evidence, code=result.code, emulated=smoke_run.emulated)
    if exit_code_text(evidence) is not None or failure.kind.name == "step-failed":
        return failed_outcome(smoke_run, evidence)
    return _not_run(smoke_run, failure)


def _open_evidence(progress: Progress) -> Evidence:
    """Return what the command had printed that a limit ended: QEMU's crash, perhaps, after which it hung."""
    open_steps = progress.open_steps()
    return open_steps[-1].evidence if open_steps else progress.evidence()


def exit_code_text(evidence: Evidence) -> str | None:
    """Return "exit code: N" if the command itself ended so: the test has failed, whatever its output."""
    match = _EXIT_CODE.search(evidence.message)
    return match[1] if match else None


def failed_outcome(smoke_run: SmokeRun, evidence: Evidence) -> TestOutcome:
    """Return the outcome of a test whose command failed, with the last lines of its output."""
    lines = [*evidence.tail[-5:], exit_code_text(evidence) or evidence.message]
    return TestOutcome(platform=smoke_run.platform, status="failed", detail="\n".join(lines))


def _not_run(smoke_run: SmokeRun, failure: Failure) -> TestOutcome:
    return TestOutcome(
        platform=smoke_run.platform, status="failed", detail=failure.evidence, environment_failure=failure
    )


def run_seconds(progress: Progress, default: float) -> float:
    """Return the command's run time by BuildKit's clock; `default` if it did not run."""
    return next((step.seconds for step in progress.steps() if RUN_STEP.match(step.name)), default)


def dockerfile(test: SmokeTest, child: str, *, stage: str = "") -> str:
    """Return the Dockerfile of a test; its exec form needs no shell in the image and interprets nothing."""
    network = "" if test.network else "--network=none "
    cpu = f"ENV QEMU_CPU={_quote(test.emulator_cpu)}\n" if test.emulator_cpu else ""
    alias = f" AS {stage}" if stage else ""
    return f"FROM {child}{alias}\n{cpu}RUN {network}{json.dumps(list(test.run))}\n"


def _quote(text: str) -> str:
    """Quote a value of ENV, in which a backslash, a quote and a dollar sign have a meaning."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", " ".join(text.split())) + '"'
