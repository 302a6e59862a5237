"""Lines that look most like a cause, in a text of which no builder says how it ended."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

MAX_SUSPECTS = 8

_SUSPECT = re.compile(
    r"\b(?:error|fatal|failed|failure|cannot|can't|could not|couldn't|unable to|denied|refused|unauthorized"
    r"|forbidden|not found"
    r"|no such|timed? ?out|panic|segmentation fault|core dumped|killed|invalid|unknown|unexpected|traceback"
    r"|exception|aborted"
    r"|no space left|reset by peer|unreachable|exit (?:code|status))\b|\bE: |ERR!|E[A-Z]{5,12}\b",
    re.IGNORECASE,
)
MAX_CHARACTERS = 2000


def most_suspect(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the last lines that speak of an error."""
    suspects = [line for line in lines if _SUSPECT.search(line[:MAX_CHARACTERS])]
    return tuple(suspects[-MAX_SUSPECTS:])


LOUD = (
    "qemu: uncaught", "internal compiler error", "fatal", "panic", "segmentation fault", "core dumped",
    "illegal instruction",
    "killed", "no space left", "out of memory", "reset by peer", "timed out", "resolve", "error:", "err!",
    "unavailable",
)  # fmt: skip
"""Words in lower case of which a line is looked at in any case."""

MIN_LARGE_BATCH = 64
"""Lines from which on a search in all at once is faster than one in each."""

MAX_LOUD_LINES = 32
"""First and as many last lines of a batch that are looked at for each word."""


def loud_lines(lines: Sequence[str]) -> list[str]:
    """Return the lines of a large batch that speak loudest of an error, in their order; the work is bounded.

    A search for a word in all lines at once takes a hundredth of the time of a look at each of them.
    """
    if len(lines) < MIN_LARGE_BATCH:
        return [line for line in lines if any(map(line.lower().__contains__, LOUD))]
    text = "\n".join(lines)
    lower = text.lower()
    if len(lower) != len(text):  # a few letters are longer in lower case: positions would be others
        text = lower
    begins = {begin for word in LOUD for begin in _hits(lower, word)}
    ends = (text.find("\n", begin) for begin in sorted(begins))
    return [text[begin : end if end >= 0 else None] for begin, end in zip(sorted(begins), ends, strict=True)]


def _hits(lower: str, word: str) -> Iterator[int]:
    """Yield the begins of the first and the last lines that have a word."""
    position, limit = lower.find(word), MAX_LOUD_LINES
    while position >= 0 and limit:
        yield lower.rfind("\n", 0, position) + 1
        end = lower.find("\n", position)
        position, limit = (lower.find(word, end) if end >= 0 else -1), limit - 1
    position, limit = (lower.rfind(word) if position >= 0 else -1), MAX_LOUD_LINES
    while position >= 0 and limit:
        begin = lower.rfind("\n", 0, position) + 1
        yield begin
        position, limit = (lower.rfind(word, 0, begin) if begin else -1), limit - 1
