"""`python3 -m closest WORD CANDIDATE…`, or `--self-test`."""

# ruff: noqa: T201

import platform
import sys

from closest import _distance, closest, distance

CASES = [
    ("", "", 0),
    ("kitten", "sitting", 3),
    ("", "arm64", 5),
    ("naïve", "naive", 1),
    # Beyond 16 bits: in C one character of four bytes, in the byte order of the machine.
    ("\N{WHITE HEAVY CHECK MARK}\N{GRINNING FACE}", "\N{WHITE HEAVY CHECK MARK}", 1),
]


def self_test() -> int:
    """Compare the extension with known distances; say what runs it."""
    failures = [(a, b, edits) for a, b, edits in CASES if {distance(a, b), distance(b, a)} != {edits}]
    for first, second, expected in failures:
        print(f"closest: {first!r} and {second!r} are not {expected} apart", file=sys.stderr)
    print(f"closest: {_distance.__file__} on {platform.machine()}: {'FAILED' if failures else 'ok'}")
    return 1 if failures else 0


def main(words: list[str]) -> int:
    """Print the candidate closest to the first word."""
    if words == ["--self-test"]:
        return self_test()
    if len(words) < 2:
        print("usage: python3 -m closest WORD CANDIDATE...", file=sys.stderr)
        return 2
    print(closest(words[0], words[1:]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
