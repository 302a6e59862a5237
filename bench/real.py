"""Cases of real work: a C program and a Python module compiled under emulation, and the lint of many Dockerfiles.

They build on the lab's toolchain images, which are made first (`python3 -m builders.lab toolchains`).
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.builds import Size
from bench.measure import Case, Contestant
from bench.project import OURS, PYTHONPATH, REGISTRY, ROOT, Project

EMULATED = ("linux/arm64", "linux/mips64le", "linux/s390x")
PYTHON = ("linux/amd64", "linux/arm64", "linux/s390x")
"""The platforms that the lab has a Python for."""

C_DOCKERFILE = f"""FROM {REGISTRY}/toolchains/gcc:latest AS build
WORKDIR /src
COPY configure Makefile.in ./
RUN : {{fresh}}; ./configure
COPY src src
RUN make && make check && make install DESTDIR=/out
FROM {REGISTRY}/toolchains/debian:latest
COPY --from=build /out/ /
ENTRYPOINT ["crcsum"]
"""
"""examples/c-autotools, with `configure` in a step of its own: a changed source does not run it again."""

_changes = itertools.count(1)


@dataclass(frozen=True, kw_only=True)
class RealProject(Project):
    """A project with sources: those of an example. `changed` gets a new comment each time it is written."""

    example: str
    changed: str = ""

    def write(self) -> None:
        """Write sources, Dockerfile and configs."""
        shutil.copytree(ROOT / "examples" / self.example, self.folder, dirs_exist_ok=True)
        super().write()
        if self.changed:
            with (self.folder / self.changed).open("a") as source:
                source.write(f"/* {self.folder} {next(_changes)} */\n")


def real_c(scratch: Path, size: Size) -> Case:
    """Return the case of configure and make of a C program, three emulated platforms, nothing cached."""
    project = _c_project(scratch / "real-c")
    return _case("C: configure and make, 3 emulated platforms, cold", project, 1.0)


def real_c_changed(scratch: Path, size: Size) -> Case:
    """Return the same with one source file changed: each contestant has its own change, and the rest is cached."""
    project = _c_project(scratch / "real-c-changed", changed="src/crc32.c")
    # Once, so that no cache has it from an earlier run; not each time.
    whole = project.dockerfile.replace("{fresh}", str(project.folder))
    project = RealProject(**{**vars(project), "dockerfile": whole})
    project.write()
    project.one_solve()()
    return _case("C: one source file changed, 3 emulated platforms", project, 1.05)


def real_py(scratch: Path, size: Size) -> Case:
    """Return the case of a Python program with a module in C, three platforms, nothing cached."""
    _make_toolchains()
    text = (ROOT / "examples" / "python-c-extension" / "Dockerfile").read_text()
    text = _with_lab_images(text, {"PYTHON": "python", "PYTHON_SLIM": "python-slim"})
    text = text.replace("RUN make", "RUN : {fresh}; make", 1)
    project = RealProject(
        folder=scratch / "real-py", dockerfile=text, platforms=PYTHON, example="python-c-extension"
    )
    return _case("Python with a module in C, 3 platforms, cold", project, 1.0)


def lint(scratch: Path, size: Size) -> Case:
    """Return the case of 100 Dockerfiles linted by one command: processor time, with no peer."""
    folder = scratch / "lint"
    folder.mkdir()
    texts = [path.read_text() for path in sorted((ROOT / "examples").glob("*/Dockerfile"))]
    files = [folder / f"{number}.Dockerfile" for number in range(100)]
    for number, file in enumerate(files):
        file.write_text(texts[number % len(texts)])
    return Case(
        name="lint of 100 Dockerfiles, processor time",
        ours=Contestant(name="multibuild lint", run=lambda: _cpu_seconds("lint", *map(str, files))),
        target=2.0,
    )


def _case(name: str, project: RealProject, target: float) -> Case:
    def contestant(name: str, run: Callable[[], float]) -> Contestant:
        return Contestant(name=name, run=run, before=project.write)

    return Case(
        name=name,
        ours=contestant("multibuild all", project.ours("--progress", "quiet")),
        peers=(contestant("one solve", project.one_solve()), contestant("bake", project.bake())),
        floors=(
            contestant("floor: a process each, by hand", project.by_hand(at_once=len(project.platforms))),
        ),
        target=target,
    )


def _c_project(folder: Path, *, changed: str = "") -> RealProject:
    _make_toolchains()
    return RealProject(
        folder=folder, dockerfile=C_DOCKERFILE, platforms=EMULATED, example="c-autotools", changed=changed
    )


def _make_toolchains() -> None:
    subprocess.run([sys.executable, "-m", "builders.lab", "toolchains"], cwd=ROOT, check=True)


def _with_lab_images(text: str, images: Mapping[str, str]) -> str:
    """Give the ARGs of base images the lab's images for defaults: peers have no flag for them in common."""
    for name, image in images.items():
        text = re.sub(
            rf"^ARG {name}=.*$", f"ARG {name}={REGISTRY}/toolchains/{image}:latest", text, flags=re.MULTILINE
        )
    return text


def _cpu_seconds(*words: str) -> float:
    """Return the user and system time of multibuild; what it finds is no failure here."""
    process = subprocess.Popen(
        (*OURS, *words),
        cwd=ROOT,
        env={**os.environ, **PYTHONPATH},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in LINT_CODES:
        raise RuntimeError(f"multibuild {' '.join(words)[:100]}: exit code {process.returncode}")
    return usage.ru_utime + usage.ru_stime


LINT_CODES: Sequence[int] = (0, 1, 2)
"""Nothing, or mistakes found."""
