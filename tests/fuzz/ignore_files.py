"""Ignore files, each with paths: the first line lists the paths, the others are the file.

The answer is compared with a matcher of this module that follows patternmatcher step by step, and remembers what it
has tried.
"""

import posixpath
import random
from collections.abc import Sequence
from functools import cache

from fuzz.harness import Target, mutated
from multibuild.dockerfile.ignore import Ignore

PIECES = (
    "*",
    "**",
    "**/",
    "/",
    "?",
    "a",
    "b",
    "ab",
    ".",
    "!",
    "[a-c]",
    "[^a]",
    "[",
    "]",
    "\\",
    "\\*",
    "-",
    "é",
    " ",
    "#",
)
WORDS = tuple(piece.encode() for piece in PIECES)
MAX_COMPARED = 40
"""Characters of a pattern or path up to which the slow matcher answers, too."""


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    if generator.random() < 0.3:
        return mutated(generator, generator.choice(seeds), words=WORDS)
    names = " ".join(
        "".join(generator.choice(("a", "b", "/", ".", "ab", "-")) for _ in range(generator.randint(1, 12)))
        for _ in range(4)
    )
    lines = [
        "".join(generator.choice(PIECES) for _ in range(generator.choice((1, 3, 6, 60))))
        for _ in range(generator.randint(1, 5))
    ]
    return "\n".join([names, *lines]).encode()


def _run(case: bytes) -> None:
    names, _, text = case.decode("utf-8", "surrogateescape").partition("\n")
    lines = text.split("\n")
    ignore = Ignore(lines)
    for text_of_name in names.split(" ")[:20]:
        name = posixpath.normpath(text_of_name[:4096]).lstrip("/")
        matched: tuple[bool, ...] = ()
        for path in _with_parents(name):
            matched = ignore.matches(path, matched)
        expected = _expected(lines, name)
        assert expected is None or ignore.is_ignored(matched) is expected, name


def _with_parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]


def _expected(lines: Sequence[str], name: str) -> bool | None:
    """Return whether a path is ignored; None where the slow matcher does not answer."""
    patterns = []
    for line in lines:
        pattern = line.strip()
        if not pattern or line.startswith("#"):
            continue
        excepts = pattern.startswith("!")
        pattern = pattern[1:].strip() if excepts else pattern
        pattern = posixpath.normpath(pattern).lstrip("/") if pattern else "."
        if len(pattern) > MAX_COMPARED or len(name) > MAX_COMPARED or set(pattern) & set("[]\\"):
            return None
        if pattern not in {"", "."}:
            patterns.append((pattern, excepts))
    below = [False] * len(patterns)
    ignored = False
    for path in _with_parents(name):
        ignored = False
        for number, (pattern, excepts) in enumerate(patterns):
            if not below[number] and excepts is ignored:
                below[number] = matches(pattern, path)
            if below[number]:
                ignored = not excepts
    return ignored


def matches(pattern: str, path: str) -> bool:
    """Whether a pattern of stars, question marks and letters matches a path."""
    if pattern.startswith("**") and not set(pattern[2:]) & set("*?"):
        return path.endswith(pattern[2:]) or path == pattern[2:].removeprefix("/")

    @cache
    def here(at: int, place: int) -> bool:
        if at == len(pattern):
            return place == len(path)
        if pattern.startswith("**", at):
            following = at + 3 if pattern.startswith("**/", at) else at + 2
            if following == len(pattern):
                return True
            starts = [place, *(n + 1 for n in range(place, len(path)) if path[n] == "/")]
            return any(here(following, start) for start in starts)
        if pattern[at] == "*":
            return here(at + 1, place) or (place < len(path) and path[place] != "/" and here(at, place + 1))
        takes = place < len(path) and (
            path[place] != "/" if pattern[at] == "?" else path[place] == pattern[at]
        )
        return takes and here(at + 1, place + 1)

    return here(0, 0)


TARGETS = (Target(name="ignore-files", make=_make, run=_run),)
