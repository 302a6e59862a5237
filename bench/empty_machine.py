"""Cases of a machine that starts empty each time, as runners of a CI do: all it knows is what a registry remembers.

Each run has an engine of its own without images, cache or history, started anew (not timed), and no state of
multibuild's. Ours remembers in the index (`remember: true`), the peer in a registry cache of all stages (`mode=max`).
"""

from __future__ import annotations

import atexit
import itertools
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.builds import WORK, Size
from bench.measure import Case, Command, Contestant
from bench.project import BASE, ROOT, Project
from builders.lab.engine import Engine
from builders.lab.paths import lab

ENGINE = "bench"
CHANGED = "linux/s390x"

_changes = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class Remembering(Project):
    """A project with a source for each platform, which that platform alone copies, and a CPU-bound step after it."""

    def write(self) -> None:
        """Write it with its sources, where they are missing."""
        super().write()
        for platform in self.platforms:
            source = self.source(platform)
            source.parent.mkdir(exist_ok=True)
            if not source.exists():
                source.write_text(f"{platform}\n")

    def source(self, platform: str) -> Path:
        """Return the source of a platform."""
        return self.folder / "sources" / "".join(platform.split("/")[1:])

    def change(self, platform: str) -> None:
        """Change the source of a platform as it was never before."""
        self.source(platform).write_text(f"{self.folder} {next(_changes)}\n")

    def document(self) -> dict[str, Any]:
        """Return multibuild.yaml."""
        return {**super().document(), "remember": True}

    def cached_solve(self) -> Command:
        """Return one `docker buildx build` of all platforms that reads and writes a registry cache."""
        cache = f"type=registry,ref={self.image}:cache"
        return self.one_solve(flags=("--cache-from", cache, "--cache-to", f"{cache},mode=max"))


def unchanged(scratch: Path, size: Size) -> Case:
    """Return the case of a machine that finds out that there is nothing to do."""
    project = _project(scratch / "unchanged", size)
    libraries = "import typer, yaml, httpx; from pydantic import BaseModel, TypeAdapter"
    imports = Command(argv=(sys.executable, "-c", libraries), cwd=scratch)
    case = _case("nothing changed, empty machine, 12 platforms", project, target=0.1)
    return replace(case, floors=(Contestant(name="floor: our libraries, imported", run=imports),))


def one_changed(scratch: Path, size: Size) -> Case:
    """Return the case of a machine that has one platform of twelve to build: each run has a change of its own."""
    project = _project(scratch / "one-changed", size)
    return _case("one of 12 platforms changed, empty machine", project, changed=CHANGED, target=0.3)


def _project(folder: Path, size: Size) -> Remembering:
    """Return a project that no registry cache of an earlier benchmark knows."""
    dockerfile = (
        f"FROM {BASE}\nARG TARGETARCH\nARG TARGETVARIANT\n"
        "COPY sources/${TARGETARCH}${TARGETVARIANT} /source\n"
        f"RUN : {folder}; {WORK.format(loops=size.loops)}; uname -m > /machine\n"
    )
    return Remembering(folder=folder, dockerfile=dockerfile)


def _case(name: str, project: Remembering, *, changed: str = "", target: float) -> Case:
    """Return ours against one solve; both have released everything once, from a machine that is gone."""
    machine = _EmptyMachine(project.folder.parent)

    def prepare() -> None:
        machine.start()
        if changed:
            project.change(changed)

    def ours() -> float:
        command = replace(project, state=machine.state).ours("--if-changed", "--progress", "quiet")
        return machine.run(command)

    def peer() -> float:
        return machine.run(project.cached_solve())

    def alone() -> float:
        return machine.run(replace(project, platforms=(changed,)).one_solve())

    project.write()
    for release in (ours, peer):
        machine.start()
        release()
    return Case(
        name=name,
        ours=Contestant(name="multibuild all --if-changed", run=ours, before=prepare),
        peers=(Contestant(name="one solve, registry cache", run=peer, before=prepare),),
        floors=(Contestant(name=f"floor: {changed} alone, no cache", run=alone, before=prepare),)
        * bool(changed),
        target=target,
    )


class _EmptyMachine:
    """An engine that keeps nothing from one start to the next, and directories of multibuild that are new each time."""

    def __init__(self, scratch: Path) -> None:
        self._engine = Engine(lab=lab(), name=ENGINE)
        self._scratch = scratch
        self._starts = itertools.count(1)
        self._home = scratch
        atexit.register(self.stop)

    @property
    def state(self) -> Path:
        """Return the state directory of this start."""
        return self._home / "state"

    @property
    def environ(self) -> Mapping[str, str]:
        """Return the environment of a program on this machine."""
        return {
            "DOCKER_HOST": f"unix://{self._engine.socket}",
            "XDG_STATE_HOME": str(self._home / "xdg-state"),
            "XDG_CACHE_HOME": str(self._home / "xdg-cache"),
        }

    def start(self) -> None:
        """Start an empty engine, and let it find its emulators, as what prepares a runner does."""
        self.stop()
        self._home = self._scratch / f"machine-{next(self._starts)}"
        self._home.mkdir()
        _lab("up")
        self.run(Command(argv=("docker", "buildx", "inspect", "--bootstrap", "default")))

    def stop(self) -> None:
        """Stop the engine and delete all that it has."""
        _lab("down")
        shutil.rmtree(self._engine.data_root, ignore_errors=True)

    def run(self, command: Command) -> float:
        """Return the seconds of a command on this machine."""
        return replace(command, environ={**command.environ, **self.environ})()


def _lab(action: str) -> None:
    argv = (sys.executable, "-m", "builders.lab", "engine", ENGINE, action)
    subprocess.run(argv, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=True)
