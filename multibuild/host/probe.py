"""Really executes a tiny program of each architecture through the builder: the only proof that a platform runs.

What BuildKit lists is not: it never lists mipsle and arm/v5, which run, and keeps what was configured by hand.
"""

from __future__ import annotations

import asyncio
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from multibuild.buildx.process import ProcessLimits, run_process
from multibuild.buildx.progress import Progress
from multibuild.frozen import frozen
from multibuild.platforms import Platform
from multibuild.qemu.probe_program import PROBE_EXIT_CODE, build_probe

TOGETHER_LIMIT = 60.0
"""Seconds for one solve of all; it takes about one."""


PROGRAM = 'process "/probe"'
"""What BuildKit calls it in the message of a RUN that failed."""

# No network: to set one up and take it down took the engine longer than all the rest of twelve probes.
_DOCKERFILE = """FROM scratch
ARG TARGETARCH
COPY probe-${TARGETARCH} /probe
RUN --network=none ["/probe"]
"""


@frozen
class Probed:
    """What came of one platform's probe; `detail` is the builder's own words when it did not run."""

    platform: Platform
    runs: bool
    detail: str = ""

    @property
    def executed(self) -> bool:
        """Whether it was the program that failed; else the builder never came to start it."""
        return self.runs or PROGRAM in self.detail


async def probe_platforms(
    builder: str, platforms: Sequence[Platform], buildx: Sequence[str]
) -> tuple[Probed, ...]:
    """Probe all in one solve; only if that fails, one by one, which tells which. Nothing is stored or pushed."""
    if not platforms:
        return ()
    code, _ = await _solve(builder, platforms, buildx, exit_code=0)
    if code == 0:
        return tuple(Probed(platform=platform, runs=True) for platform in platforms)
    gate = asyncio.Semaphore(4)

    async def alone(platform: Platform) -> Probed:
        async with gate:
            _, message = await _solve(builder, (platform,), buildx, exit_code=PROBE_EXIT_CODE)
        runs = re.search(rf"exit code: {PROBE_EXIT_CODE}\b", message) is not None
        return Probed(platform=platform, runs=runs, detail="" if runs else message)

    return tuple(await asyncio.gather(*(alone(platform) for platform in platforms)))


async def _solve(
    builder: str, platforms: Sequence[Platform], buildx: Sequence[str], *, exit_code: int
) -> tuple[int, str]:
    progress = Progress(write_log=_ignored, on_step=_ignored)
    with tempfile.TemporaryDirectory(prefix="multibuild-probe-") as scratch:
        folder = Path(scratch)
        (folder / "Dockerfile").write_text(_DOCKERFILE, encoding="utf-8")
        for architecture in {platform.architecture for platform in platforms}:
            path = folder / f"probe-{architecture}"
            path.write_bytes(build_probe(architecture, exit_code))
            path.chmod(0o755)
        argv = (*buildx, *_arguments(builder, platforms))
        ended = await run_process(
            argv, cwd=folder, on_line=progress.feed, limits=ProcessLimits(timeout=TOGETHER_LIMIT)
        )
    return ended.code, re.sub(r"^(failed to (build|solve): )+", "", progress.evidence().message)


def _ignored(_text: str) -> None:
    """A probe keeps no log: its failure message is all there is to say."""


def _arguments(builder: str, platforms: Sequence[Platform]) -> tuple[str, ...]:
    """`--no-cache`: a cached RUN proves nothing; `type=cacheonly`: no output leaves dangling images."""
    return (
        "build",
        *("--progress", "rawjson"),
        *("--builder", builder),
        *("--platform", ",".join(map(str, platforms))),
        "--no-cache",
        "--provenance=false",
        *("--output", "type=cacheonly"),
        ".",
    )
