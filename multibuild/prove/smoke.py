"""The configured test, run in a child at its exact digest, on the builder: emulated or native."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from multibuild.build.process import Limits, run_process
from multibuild.build.progress import Progress
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.models import SmokeTest


@dataclass(frozen=True, kw_only=True, slots=True)
class TestOutcome:
    """How a child's test ended. `detail` is the last lines it printed, when it failed."""

    __test__ = False

    platform: Platform
    status: Literal["passed", "failed", "skipped"]
    seconds: float
    detail: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Solve:
    """Where a test runs: on which builder, through which buildx (argv), and the file that takes what it prints."""

    platform: Platform
    builder: str
    buildx: Sequence[str]
    log: Path


async def run_test(test: SmokeTest, child: str, solve: Solve) -> TestOutcome:
    """Run `test.run` on top of `child` (repository@digest): exit code 0 passes.

    One throw-away solve: `--no-cache`, or a second run would be answered from cache and test nothing;
    `type=cacheonly`, so nothing is stored or pushed. No network unless the test asks for it.
    """
    platform = solve.platform
    with (
        tempfile.TemporaryDirectory(prefix="multibuild-test-") as scratch,
        solve.log.open("w", encoding="utf-8") as log,
    ):
        progress = Progress(write=lambda line: _write(log, line), started=_not_shown)
        folder = Path(scratch)
        (folder / "Dockerfile").write_text(dockerfile(test, child), encoding="utf-8")
        argv = (
            *solve.buildx,
            "build",
            *("--progress", "rawjson"),
            *("--builder", solve.builder),
            *("--platform", str(platform)),
            "--no-cache",
            "--provenance=false",
            *("--output", "type=cacheonly"),
            ".",
        )
        ended = await run_process(
            argv, cwd=folder, on_line=progress.feed, limits=Limits(timeout=test.timeout)
        )
        progress.finish()
    if ended.ending == "timeout":
        return TestOutcome(
            platform=platform,
            status="failed",
            seconds=ended.seconds,
            detail=f"no end after {test.timeout:.0f} s",
        )
    if ended.code == 0:
        return TestOutcome(platform=platform, status="passed", seconds=ended.seconds)
    evidence = progress.evidence()
    code = re.search(r"exit code: \d+", evidence.message)
    words = [*evidence.tail[-5:], code[0] if code else evidence.message]
    return TestOutcome(platform=platform, status="failed", seconds=ended.seconds, detail="\n".join(words))


def dockerfile(test: SmokeTest, child: str) -> str:
    """Write the recipe; exec form, so an image without a shell can be tested and nothing is interpreted."""
    network = "" if test.network else "--network=none "
    cpu = f"ENV QEMU_CPU={_quoted(test.emulator_cpu)}\n" if test.emulator_cpu else ""
    return f"FROM {child}\n{cpu}RUN {network}{json.dumps(list(test.run))}\n"


def _quoted(text: str) -> str:
    """Quote a value of ENV, in which a backslash, a quote and a dollar sign have a meaning."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", " ".join(text.split())) + '"'


def _write(log: TextIO, line: str) -> None:
    log.write(line + "\n")


def _not_shown(_text: str) -> None:
    """The steps of the throw-away solve are of no interest."""
