"""Cases that build: cold, cached, failing, with a large context, with a shared stage."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from bench.measure import Case, Command, Contestant, one_after_another, packed
from bench.project import BASE, EIGHT, OURS, ROOT, TWELVE, Project, refused_download

WORK = "i=0; while [ $i -lt {loops} ]; do echo $i | sha256sum; i=$((i+1)); done > /dev/null"
FAILED = frozenset({1})


@dataclass(frozen=True, kw_only=True)
class Size:
    """The amount of work: loops of a CPU-bound RUN, megabytes of a context, an image and a log.

    Starting twelve clients and an orchestrator costs a second, whatever the work: 300 loops of twelve platforms
    take twenty seconds on two cores, still far less than real builds.
    """

    loops: int = 300
    context: int = 300
    image: int = 100
    log: int = 100


QUICK = Size(loops=6, context=60, image=8, log=12)


def cold(scratch: Path, size: Size) -> Case:
    """Return the case of twelve platforms, nothing cached, CPU-bound under emulation."""
    project = Project(
        folder=scratch / "cold", dockerfile=f"FROM {BASE}\nRUN : {{fresh}}; {WORK.format(loops=size.loops)}\n"
    )
    ours, solve, bake = project.ours("--progress", "quiet"), project.one_solve(), project.bake()
    return Case(
        name="cold, 12 platforms, CPU-bound RUN",
        ours=Contestant(name="multibuild all", run=ours, before=project.write),
        peers=(
            Contestant(name="one solve", run=solve, before=project.write),
            Contestant(name="bake", run=bake, before=project.write),
            Contestant(name="shell loop", run=project.shell_loop(), before=project.write),
        ),
        floors=(
            Contestant(name="floor: a process each, by hand", run=project.by_hand(), before=project.write),
            Contestant(name="floor: CPU of one solve, packed", run=packed(solve), before=project.write),
        ),
        target=0.95,
    )


def cached(scratch: Path, size: Size) -> Case:
    """Return the case where nothing changed, with everything done again: proof and tags included."""
    project = _warm(scratch / "cached")
    return Case(
        name="cached, 12 platforms",
        ours=Contestant(name="multibuild all", run=project.ours("--progress", "quiet")),
        peers=_plain_peers(project),
        target=1.6,
    )


def if_changed(scratch: Path, size: Size) -> Case:
    """Return the same case with `--if-changed`."""
    project = _warm(scratch / "if-changed")
    return Case(
        name="cached, 12 platforms, --if-changed",
        ours=Contestant(
            name="multibuild all --if-changed", run=project.ours("--progress", "quiet", "--if-changed")
        ),
        peers=_plain_peers(project),
        target=0.5,
    )


def _warm(folder: Path) -> Project:
    project = Project(folder=folder, dockerfile=f"FROM {BASE}\nRUN : {{fresh}}; uname -m > /machine\n")
    project.write()
    for command in (project.ours("--progress", "quiet"), project.one_solve(), project.bake()):
        command()
    return project


def _plain_peers(project: Project) -> tuple[Contestant, ...]:
    return (
        Contestant(name="one solve", run=project.one_solve()),
        Contestant(name="bake", run=project.bake()),
    )


FAILING = "linux/s390x"
COMPILER_FAILS = "echo 'main.c:1: error: unknown type name' >&2; exit 1"


def transient(scratch: Path, size: Size) -> Case:
    """Return the case of a platform that loses the network at 90 % of its work; peers run everything again."""
    project = _failing(scratch / "transient", size, refused_download(), more={"retry": {"initial": "1s"}})
    floors = (
        Contestant(name="floor: a process each, by hand", run=project.by_hand(tries=2), before=project.write),
        Contestant(name="floor: one solve, no failure", run=_once(project)),
    )
    return _failing_case(
        "one platform fails transiently at 90 %", project, 0.6, project.ours("--progress", "quiet"), floors
    )


def permanent(scratch: Path, size: Size) -> Case:
    """Return the case of a platform that fails for good at 90 %, for a reason outside the project; fixed, resumed."""
    project = _failing(scratch / "permanent", size, COMPILER_FAILS)
    failing = project.ours("--progress", "quiet", codes=frozenset({4}))
    resumed = project.ours("--progress", "quiet", "--resume")
    return _failing_case(
        "one platform fails for good, fixed, resumed",
        project,
        0.5,
        one_after_another(failing, resumed),
        (Contestant(name="floor: one solve, then s390x alone", run=_once(project, FAILING)),),
    )


def _failing(folder: Path, size: Size, failure: str, more: dict[str, object] | None = None) -> Project:
    """Return a project in which s390x fails once: a cache mount of that run distinguishes its second try."""
    before, after = size.loops * 9 // 10, size.loops - size.loops * 9 // 10
    step = (
        f"RUN --mount=type=cache,id={{fresh}},target=/tried set -e; : {{fresh}}; {WORK.format(loops=before)}; "
        f'if [ "$TARGETARCH" = s390x ] && [ ! -e /tried/once ]; then touch /tried/once; {failure}; fi; '
        f"{WORK.format(loops=after)}"
    )
    return Project(folder=folder, dockerfile=f"FROM {BASE}\nARG TARGETARCH\n{step}\n", more=more or {})


def _failing_case(
    name: str, project: Project, target: float, ours: Callable[[], float], floors: tuple[Contestant, ...]
) -> Case:
    return Case(
        name=name,
        ours=Contestant(name="multibuild all", run=ours, before=project.write),
        peers=(
            Contestant(
                name="one solve, run again",
                run=one_after_another(project.one_solve(FAILED), project.one_solve()),
                before=project.write,
            ),
            Contestant(
                name="bake, run again",
                run=one_after_another(project.bake(FAILED), project.bake()),
                before=project.write,
            ),
        ),
        floors=floors,
        target=target,
    )


def _once(project: Project, *more: str) -> Callable[[], float]:
    """Return a lower bound: all the work once, without a failure, then that of the platforms in `more` alone."""
    whole = replace(project, dockerfile=project.dockerfile.replace("= s390x ]", "= none ]"))
    parts = (whole, *(replace(whole, platforms=(platform,)) for platform in more))

    def run() -> float:
        return sum(_fresh(part) for part in parts)

    return run


def _fresh(project: Project) -> float:
    project.write()
    return project.one_solve()()


def large_context(scratch: Path, size: Size) -> Case:
    """Return the case of a large, unknown context: BuildKit identifies it by its path, so the directory moves."""
    blob = scratch / "blob"
    with blob.open("wb") as file:
        for _ in range(size.context):
            file.write(os.urandom(1_000_000))
    moves = [0]
    dockerfile = f"FROM {BASE}\nRUN --mount=type=bind,target=/context : {{fresh}}; uname -m > /machine\n"

    def project() -> Project:
        # The context is new to the builder; the host is in the state already.
        folder, state = scratch / f"large-{moves[0]}", scratch / "large.state"
        return Project(folder=folder, dockerfile=dockerfile, platforms=EIGHT, state=state)

    def move() -> None:
        (project().folder / "blob").unlink(missing_ok=True)
        moves[0] += 1
        project().write()
        (project().folder / "blob").hardlink_to(blob)

    def ours() -> float:
        return project().ours("--progress", "quiet")()

    def bake() -> float:
        return project().bake()()

    def whole() -> float:
        return project().bake_and_index()()

    return Case(
        name=f"{size.context} MB context, 8 platforms, never seen",
        ours=Contestant(name="multibuild all", run=ours, before=move),
        peers=(Contestant(name="bake", run=bake, before=move),),
        floors=(Contestant(name="floor: bake, and an index of it", run=whole, before=move),),
        target=1.10,
    )


def shared_stage(scratch: Path, size: Size) -> Case:
    """Return the case of cross-compiling: one native stage that all platforms copy from."""
    work = WORK.format(loops=size.loops * 150)
    project = Project(
        folder=scratch / "shared",
        dockerfile=f"FROM --platform=$BUILDPLATFORM {BASE} AS native\nRUN : {{fresh}}; {work}; "
        f"echo made > /made\nFROM {BASE}\nCOPY --from=native /made /made\n",
        platforms=EIGHT,
    )
    return Case(
        name="shared native stage, 8 platforms",
        ours=Contestant(name="multibuild all", run=project.ours("--progress", "quiet"), before=project.write),
        peers=(Contestant(name="bake", run=project.bake(), before=project.write),),
        floors=(
            Contestant(
                name="floor: bake, and an index of it", run=project.bake_and_index(), before=project.write
            ),
        ),
        target=1.05,
    )


def start_up(scratch: Path, size: Size) -> Case:
    """Return the case of `--help` against `docker buildx version`."""
    return Case(
        name="--help",
        ours=Contestant(name="multibuild --help", run=_ours("--help")),
        peers=(Contestant(name="docker buildx version", run=Command(argv=("docker", "buildx", "version"))),),
        target=1.1,
    )


SMALLEST_COMMAND = """
import typer, yaml
from pydantic import BaseModel
class Model(BaseModel):
    name: str = ""
def main(name: str = "") -> None:
    Model.model_validate(yaml.safe_load("name: x"))
typer.run(main)
"""
"""One flag, one key: most of these libraries is imported at the first use, by typer's parameters as well."""


def plan(scratch: Path, size: Size) -> Case:
    """Return the case of a plan of twelve platforms against `bake --print`."""
    project = Project(folder=scratch / "plan", dockerfile=f"FROM {BASE}\n", platforms=TWELVE)
    project.write()
    printed = Command(argv=("docker", "buildx", "bake", "--print", "--file", "bake.json"), cwd=project.folder)
    libraries = Command(argv=(sys.executable, "-c", SMALLEST_COMMAND), cwd=project.folder)
    return Case(
        name="plan of 12 platforms",
        ours=Contestant(name="multibuild plan", run=project.ours(command="plan")),
        peers=(Contestant(name="bake --print", run=printed),),
        floors=(Contestant(name="floor: our libraries, a command with one flag", run=libraries),),
        target=1.6,
    )


def _ours(*words: str) -> Command:
    return Command(argv=(*OURS, *words), cwd=ROOT)
