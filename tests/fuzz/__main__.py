"""`PYTHONPATH=tests python -m fuzz [--cases N] [--seed N] [TARGET …]`: run many cases; exit 1 at the first fault."""

import argparse
import time
from pathlib import Path

from fuzz.harness import made_case, run_cases, targets


def main() -> None:
    """Run the named targets, or all of them; print the figures of each."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="TARGET")
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--case", type=int, help="write this case of one target to `case`, and run nothing")
    options = parser.parse_args()
    if unknown := set(options.names) - {target.name for target in targets()}:
        known = ", ".join(sorted(target.name for target in targets()))
        parser.error(f"no target {', '.join(sorted(unknown))}; there are {known}")
    chosen = [target for target in targets() if not options.names or target.name in options.names]
    if options.case is not None:
        Path("case").write_bytes(made_case(chosen[0], options.case, options.seed))
        return
    for target in chosen:
        began = time.process_time()
        count = run_cases(target, options.cases, options.seed)
        print(f"{target.name:20} {count:7} cases, {time.process_time() - began:.1f} s", flush=True)


if __name__ == "__main__":
    main()
