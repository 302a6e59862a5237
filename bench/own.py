"""Memory and CPU time of multibuild itself, without the docker processes it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from bench.builds import Size
from bench.measure import Case, Contestant
from bench.project import BASE, PYTHONPATH, ROOT, TWELVE, Project

MORE = (
    *("linux/amd64/v2", "linux/amd64/v3", "linux/amd64/v4"),
    *(f"linux/arm64/v8.{level}" for level in range(1, 10)),
)
"""Further platforms, twenty-four in all: CPU levels, which every base image serves."""


def memory(scratch: Path, size: Size) -> Case:
    """Return the case of the orchestrator's largest resident size while twelve platforms print large logs."""
    return Case(
        name=f"memory, 12 platforms, {size.log} MB of log",
        ours=Contestant(
            name="multibuild",
            run=lambda: own_use("bench.talk", "orchestrate", str(scratch / "talk"), str(size.log))["peak_mb"],
        ),
        target=120.0,
        unit="MB",
    )


def per_platform(scratch: Path, size: Size) -> Case:
    """Return the case of the CPU time per platform: the difference between 1 and 24, over 23."""
    projects = [
        Project(
            folder=scratch / f"trivial-{len(platforms)}",
            dockerfile=f"FROM {BASE}\nRUN : {{fresh}}; true\n",
            platforms=platforms,
        )
        for platforms in (TWELVE[:1], (*TWELVE, *MORE))
    ]

    def write() -> None:
        for project in projects:
            project.write()

    def slope() -> float:
        one, all_ = (_cpu(project) for project in projects)
        return (all_ - one) / (len(projects[1].platforms) - 1)

    return Case(
        name="CPU per platform, 1 to 24, trivial RUN",
        ours=Contestant(name="multibuild all", run=slope, before=write),
        target=0.15,
        unit="s",
    )


def _cpu(project: Project) -> float:
    flags = (
        "all",
        "-f",
        str(project.config),
        "--state-dir",
        project.state_dir,
        "--progress",
        "quiet",
    )
    return own_use("bench.own", *flags)["cpu"]


def own_use(module: str, *words: str) -> dict[str, float]:
    """Return the usage that a module prints as the last line of stderr."""
    done = subprocess.run(
        (sys.executable, "-m", module, *words),
        cwd=ROOT,
        env={**os.environ, **PYTHONPATH},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(
            f"{module} {' '.join(words)[:100]}: exit code {done.returncode}\n{done.stderr[-2000:]}"
        )
    usage: dict[str, float] = json.loads(done.stderr.strip().splitlines()[-1])
    return usage


def print_own_use() -> None:
    """Print what this process used, without its children."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps({"cpu": used.ru_utime + used.ru_stime, "peak_mb": used.ru_maxrss / 1024}), file=sys.stderr
    )


if __name__ == "__main__":
    from multibuild.cli.startup import main

    code = main(sys.argv[1:])
    print_own_use()
    sys.exit(code)
