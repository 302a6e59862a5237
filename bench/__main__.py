"""`make bench`: run every case against its peers, in turn, several times; write table, results.json and ratios.svg."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import builds, empty_machine, images, own, real, registry, release
from bench.builds import QUICK, Size
from bench.measure import Case, Result, measure
from bench.project import ROOT
from bench.show import plot, table

CASES: dict[str, Callable[[Path, Size], Case]] = {
    "cold": builds.cold,
    "cached": builds.cached,
    "if-changed": builds.if_changed,
    "unchanged-empty": empty_machine.unchanged,
    "one-changed-empty": empty_machine.one_changed,
    "transient": builds.transient,
    "permanent": builds.permanent,
    "context": builds.large_context,
    "shared-stage": builds.shared_stage,
    "images-cold": images.cold,
    "images-cached": images.cached,
    "images-failed": images.failed,
    "images-tiny-cold": images.tiny_cold,
    "images-tiny-failed": images.tiny_failed,
    "merge": registry.merge,
    "merge-docker": registry.merge_manifest,
    "merge-crane": registry.merge_crane,
    "promote": registry.promote,
    "proof": registry.proof,
    "help": builds.start_up,
    "plan": builds.plan,
    "memory": own.memory,
    "images-memory": images.memory,
    "per-platform": own.per_platform,
    "real-c": real.real_c,
    "real-c-changed": real.real_c_changed,
    "real-py": real.real_py,
    "lint": real.lint,
    "release": release.release,
}


def main() -> int:
    """Run the cases; return 1 when a target is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "out", nargs="?", type=Path, default=Path(__file__).parent / "out", help="where results go"
    )
    parser.add_argument("--case", action="append", choices=CASES, help="only this one (repeatable)")
    parser.add_argument("--rounds", type=int, help="runs of each contestant (5; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help="little work: checks that it runs, not how fast")
    options = parser.parse_args()
    # As pip does on installation; with PYTHONDONTWRITEBYTECODE a checkout is compiled at every start.
    compileall.compile_dir(ROOT / "multibuild", quiet=1)
    size = QUICK if options.quick else Size()
    rounds = options.rounds or (2 if options.quick else 5)
    results = [_measure(name, size, rounds) for name in options.case or CASES]
    options.out.mkdir(parents=True, exist_ok=True)
    document = {"machine": _machine(), "rounds": rounds, "results": [result.as_json() for result in results]}
    (options.out / "results.json").write_text(json.dumps(document, indent=2) + "\n")
    (options.out / "ratios.svg").write_text(plot(results))
    (options.out / "table.txt").write_text(table(results) + "\n")
    print(table(results))
    return 0 if all(result.met for result in results) else 1


def _measure(name: str, size: Size, rounds: int) -> Result:
    with tempfile.TemporaryDirectory(prefix="multibuild-bench-") as scratch:
        return measure(CASES[name](Path(scratch), size), rounds, _log)


def _log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _machine() -> dict[str, object]:
    return {"cpus": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main())
