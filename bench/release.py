"""The time until a release is complete although steps and pushes fail now and then, as networks and registries do."""

from __future__ import annotations

import atexit
import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.builds import WORK, Size
from bench.flaky import Flaky
from bench.measure import Case, Command, Contestant
from bench.project import BASE, REGISTRY, Project, refused_download

SHARE = 0.1
"""Probability with which a platform's step fails, and with which the push of its image does: each by itself."""

MAX_TRIES = 60
"""After which a peer is taken to never end: twelve platforms pass at once in one of twelve tries."""

MAYBE_FAIL = "if [ $(($(od -An -N2 -tu2 /dev/urandom) % 1000)) -lt {permille} ]; then {download}; fi"
"""A refused connection, at random: it is drawn again in each try, for ours and for peers."""


@dataclass(frozen=True, kw_only=True)
class FlakyProject(Project):
    """A project whose images go through a registry that fails at times."""

    host: str

    @property
    def image(self) -> str:
        """Return the repository behind the relay."""
        return super().image.replace(REGISTRY, self.host, 1)


def release(scratch: Path, size: Size) -> Case:
    """Return the case of twelve platforms released to the end; compare means of many rounds, not one."""
    flaky = Flaky(int(REGISTRY.rpartition(":")[2]), share=SHARE).__enter__()
    atexit.register(flaky.__exit__)
    fail = MAYBE_FAIL.format(permille=round(SHARE * 1000), download=refused_download())
    project = FlakyProject(
        folder=scratch / "release",
        dockerfile=f"FROM {BASE}\nRUN set -e; : {{fresh}}; {WORK.format(loops=size.loops)}; {fail}\n",
        more={"retry": {"initial": "1s", "attempts": 6}},
        host=flaky.host,
    )
    sound = Project(
        folder=scratch / "release-sound",
        dockerfile=f"FROM {BASE}\nRUN set -e; : {{fresh}}; {WORK.format(loops=size.loops)}\n",
    )
    ours, resumed = project.ours("--progress", "quiet"), project.ours("--progress", "quiet", "--resume")
    return Case(
        name=f"a complete release of 12 platforms, {SHARE:.0%} of steps and pushes fail",
        ours=Contestant(name="multibuild all", run=_until_complete(ours, resumed), before=project.write),
        peers=(
            Contestant(
                name="one solve, run again until it succeeds",
                run=_until_complete(project.one_solve()),
                before=project.write,
            ),
        ),
        floors=(
            Contestant(name="floor: one solve, nothing fails", run=sound.one_solve(), before=sound.write),
        ),
        target=0.5,
    )


def _until_complete(first: Command, again: Command | None = None) -> Callable[[], float]:
    """Return a measure of the seconds of all tries until one succeeds. RuntimeError after MAX_TRIES."""

    def run() -> float:
        began = time.monotonic()
        for command in (first, *[again or first] * (MAX_TRIES - 1)):
            with contextlib.suppress(RuntimeError):
                command()
                return time.monotonic() - began
        raise RuntimeError(f"no success in {MAX_TRIES} tries")

    return run
