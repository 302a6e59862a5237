"""`make bench`: each case against its peer, alternating, several times; only the ratios count.

The machine is shared and noisy, so ours and theirs run in turn and medians are compared.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

HELLO = Path(__file__).resolve().parents[1] / "examples" / "hello"
TWELVE = (
    "linux/amd64,linux/arm64,linux/arm/v7,linux/arm/v6,linux/arm/v5,linux/386,"
    "linux/mips64le,linux/mipsle,linux/ppc64le,linux/s390x,linux/riscv64,linux/loong64"
)
REGISTRY = "localhost:5000"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A case: argv of ours and of the peer, and the ratio we mean to keep."""

    name: str
    ours: Sequence[str]
    peer: Sequence[str]
    peer_name: str
    target: float


@dataclass(frozen=True, kw_only=True)
class Result:
    """Medians in seconds, their ratio, and the spread (largest over smallest) of each."""

    name: str
    peer: str
    ours_seconds: float
    peer_seconds: float
    ratio: float
    target: float
    spreads: tuple[float, float]


def cases(state: Path) -> tuple[Case, ...]:
    """Give the cases; `state` keeps our runs out of the person's own."""
    ours = (sys.executable, "-m", "multibuild")
    config = ("-f", str(HELLO / "multibuild.yaml"), "--state-dir", str(state))
    one_solve = (
        *("docker", "buildx", "build", "--builder", "default", "--platform", TWELVE),
        *(
            "--output",
            f"type=image,name={REGISTRY}/bench-solve:latest,push=true,oci-mediatypes=true,store=false",
        ),
        str(HELLO),
    )
    return (
        Case(
            name="--help",
            ours=(*ours, "--help"),
            peer=("docker", "buildx", "version"),
            peer_name="docker buildx version",
            target=1.0,
        ),
        Case(
            name="plan of 12 platforms",
            ours=(*ours, "plan", *config),
            peer=("docker", "buildx", "bake", "--print", "-f", str(HELLO.parents[1] / "bench" / "bake.json")),
            peer_name="bake --print",
            target=1.5,
        ),
        Case(
            name="cached, 12 platforms, with tests, proofs and tags",
            ours=(*ours, "all", *config, "--progress", "quiet"),
            peer=one_solve,
            peer_name="one solve",
            target=1.5,
        ),
    )


def measure(case: Case, times: int) -> Result:
    """Run both in turn."""
    ours, theirs = [], []
    for _ in range(times):
        ours.append(_seconds(case.ours))
        theirs.append(_seconds(case.peer))
    mine, other = statistics.median(ours), statistics.median(theirs)
    return Result(
        name=case.name,
        peer=case.peer_name,
        ours_seconds=round(mine, 3),
        peer_seconds=round(other, 3),
        ratio=round(mine / other, 2),
        target=case.target,
        spreads=(round(max(ours) / min(ours), 2), round(max(theirs) / min(theirs), 2)),
    )


def _seconds(argv: Sequence[str]) -> float:
    began = time.monotonic()
    subprocess.run(argv, check=True, capture_output=True, stdin=subprocess.DEVNULL)
    return time.monotonic() - began


def main(show: Callable[[str], None] = print) -> None:
    """Measure every case and print a table, or JSON."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = [measure(case, given.times) for case in cases(Path(folder) / "state")]
    if given.json:
        show(json.dumps([asdict(result) for result in results], indent=2))
        return
    show(f"{'case':50} {'ours':>7} {'peer':>7} {'ratio':>6} {'target':>6}  peer")
    for r in results:
        show(
            f"{r.name:50} {r.ours_seconds:7.2f} {r.peer_seconds:7.2f} {r.ratio:6.2f} {r.target:6.2f}  {r.peer}"
        )


if __name__ == "__main__":
    main()
