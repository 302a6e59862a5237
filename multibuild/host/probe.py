"""Executes a tiny program of each architecture through the builder: the only proof that a platform runs.

BuildKit's list is no proof: it never has mipsle and arm/v5, which run, and keeps what was configured by hand.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from multibuild.buildx.process import ProcessLimits, run_process
from multibuild.buildx.rawjson_progress import Progress
from multibuild.failures.classes import BUILDER_GONE
from multibuild.failures.classify import classify
from multibuild.failures.evidence import Evidence
from multibuild.frozen import frozen
from multibuild.platforms import Platform
from multibuild.qemu.probe_program import PROBE_EXIT_CODE, build_probe
from multibuild.terminal import shorten

SOLVE_TIMEOUT_S = 60.0
"""For one solve of all platforms; it takes about a second."""

PROCESS = re.compile(r'process "(?:/dev/\.buildkit_qemu_emulator )?/probe"')
"""The probe's name in BuildKit's message about a RUN that failed; an emulator of BuildKit's own stands before it."""

# No network: to set one up and tear it down took the engine longer than all the rest of twelve probes.
_DOCKERFILE = """FROM scratch
ARG TARGETARCH
COPY probe-${TARGETARCH} /probe
RUN --network=none ["/probe"]
"""


MAX_PRINTED = 300
"""Characters of that line."""


TOO_LITTLE = "memory=512k"
"""A limit under which no container starts: its runtime alone needs several megabytes."""

NO_RESOURCE_FLAG = "unknown flag: --resource"


@frozen
class ProbeResult:
    """The result of one platform's probe; `detail` is the builder's own message when it did not run."""

    platform: Platform
    runs: bool
    detail: str = ""

    @property
    def executed(self) -> bool:
        """Whether the program was started; otherwise the builder itself failed."""
        return self.runs or PROCESS.search(self.detail) is not None

    @property
    def builder_is_gone(self) -> bool:
        """Whether there was no builder to start it, or none any more."""
        if self.executed:
            return False
        return classify(Evidence(message=self.detail, step="", tail=())).kind.name in BUILDER_GONE


async def probe_platforms(
    builder: str,
    platforms: Sequence[Platform],
    buildx: Sequence[str],
    environ: Mapping[str, str] | None = None,
) -> tuple[ProbeResult, ...]:
    """Probe all platforms in one solve; only if that fails, one by one. Nothing is stored or pushed."""
    if not platforms:
        return ()
    code, _ = await _solve(builder, platforms, buildx, environ, exit_code=0)
    if code == 0:
        return tuple(ProbeResult(platform=platform, runs=True) for platform in platforms)
    gate = asyncio.Semaphore(4)

    async def alone(platform: Platform) -> ProbeResult:
        async with gate:
            _, message = await _solve(builder, (platform,), buildx, environ, exit_code=PROBE_EXIT_CODE)
        runs = re.search(rf"exit code: {PROBE_EXIT_CODE}\b", message) is not None
        return ProbeResult(platform=platform, runs=runs, detail="" if runs else message)

    return tuple(await asyncio.gather(*(alone(platform) for platform in platforms)))


async def step_limits_fault(
    builder: str, native: Platform, buildx: Sequence[str], environ: Mapping[str, str] | None = None
) -> str:
    """Return why a builder that runs its own platform does not limit what steps may use; "" if it does.

    Neither buildx nor BuildKit says so. buildx has `--resource` since 0.35; BuildKit applies it since 0.31, unless it
    cannot write to its cgroups (rootless), and an older one passes over it: frontends ignore attributes that they do
    not know. So a program is started with less memory than a container needs.
    """
    flags = ("--resource", TOO_LITTLE)
    code, message = await _solve(builder, (native,), buildx, environ, exit_code=0, flags=flags)
    if code == 0:
        return "a step ran in less memory than a container needs"
    if NO_RESOURCE_FLAG in message:
        return "buildx has no --resource"
    return "" if PROCESS.search(message) else message or "the builder gave no reason"


async def _solve(
    builder: str,
    platforms: Sequence[Platform],
    buildx: Sequence[str],
    environ: Mapping[str, str] | None,
    *,
    exit_code: int,
    flags: Sequence[str] = (),
) -> tuple[int, str]:
    """Run programs that exit with `exit_code` in one solve, with further `flags`; return buildx's code and message."""
    # The message about a failed probe is enough of its log.
    progress = Progress(write_log=lambda _text: None, on_step=lambda _step: None)
    with tempfile.TemporaryDirectory(prefix="multibuild-probe-") as scratch:
        folder = Path(scratch)
        (folder / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
        for architecture in {platform.architecture for platform in platforms}:
            path = folder / f"probe-{architecture}"
            path.write_bytes(build_probe(architecture, exit_code))
            path.chmod(0o755)
        argv = (*buildx, *_arguments(builder, platforms, flags))
        process = await run_process(
            argv,
            cwd=folder,
            on_line=progress.feed,
            limits=ProcessLimits(timeout=SOLVE_TIMEOUT_S),
            environ=environ,
        )
    return process.code, _detail(progress.evidence())


def _detail(evidence: Evidence) -> str:
    """Return BuildKit's message with the last line of the step, where the container's runtime says what is wrong."""
    message = re.sub(r"^(failed to (build|solve): )+", "", evidence.message)
    printed = [line.strip() for line in evidence.tail if line.strip()] if evidence.step else []
    return f"{message}: {shorten(printed[-1], MAX_PRINTED)}" if printed else message


def _arguments(builder: str, platforms: Sequence[Platform], flags: Sequence[str]) -> tuple[str, ...]:
    """Return the arguments: `--no-cache`, as a cached RUN proves nothing; `cacheonly`, to leave no dangling image."""
    return (
        "build",
        *("--progress", "rawjson"),
        *("--builder", builder),
        *("--platform", ",".join(map(str, platforms))),
        *flags,
        "--no-cache",
        "--provenance=false",
        *("--output", "type=cacheonly"),
        ".",
    )
