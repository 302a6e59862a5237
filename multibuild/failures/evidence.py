"""The evidence of a failure: what BuildKit and the failing step said."""

from __future__ import annotations

import re

from multibuild.failures.matching import is_own_error, may_match, output_matches, words_of
from multibuild.frozen import frozen
from multibuild.terminal import printable

MAX_DECISIVE_KINDS = 24
"""Classes (by weight) of which lines are kept: of each the first and the last."""

MAX_DECISIVE_CHARACTERS = 1000
"""Of such a line, half from each end; the rest is not looked at."""

LIKELY = re.compile(r"(?:error|Error|ERROR|fatal|FATAL|panic|Exception)[:\[] ?|undefined reference")
"""What a line about a cause has in most tools."""

_LIKELY_WORDS = frozenset(
    b"error fatal panic exception undefined failed failing failures failure fail".split()
)


@frozen
class Evidence:
    """The basis for the class of a failure.

    `message` is the last error text, `step` the failing step's name (empty: no step failed), `tail` its last lines,
    `decisive` those lines of the whole step that a signature knows or that look like a cause.
    """

    message: str
    step: str
    tail: tuple[str, ...]
    decisive: tuple[str, ...] = ()


class DecisiveLines:
    """Collector of a step's decisive lines in bounded memory: the cause may be hundreds of lines above the end."""

    def __init__(self) -> None:
        """Start without lines."""
        self._count = 0
        self._first: dict[tuple[str, str], tuple[int, str]] = {}
        self._last: dict[tuple[str, str], tuple[int, str]] = {}

    def add(self, line: str) -> None:
        """Keep a line if a signature knows it, or if it looks like a cause."""
        if "\x1b" in line:
            line = plain(line, MAX_DECISIVE_CHARACTERS)
        words = words_of(line)
        is_likely = not _LIKELY_WORDS.isdisjoint(words)
        if not is_likely and not may_match(words):
            return
        line = cut(line, MAX_DECISIVE_CHARACTERS)
        kinds: set[tuple[str, str]] = {(match.name, match.weight) for match in output_matches(line)}
        if is_likely and is_own_error(line):
            kinds.add(("", "own"))
        elif not kinds and is_likely and LIKELY.search(line):
            kinds = {("", "")}
        if kinds:
            self._keep(line, kinds)

    def _keep(self, line: str, kinds: set[tuple[str, str]]) -> None:
        self._count += 1
        for kind in kinds:
            if kind in self._first:
                self._last[kind] = self._count, line
            elif len(self._first) < MAX_DECISIVE_KINDS:
                self._first[kind] = self._count, line

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the lines kept, in their order."""
        kept = dict((*self._first.values(), *self._last.values()))
        return tuple(kept[number] for number in sorted(kept))


def plain(text: str, length: int) -> str:
    """Return a text of at most `length` characters without colours, which some tools print to a log, too."""
    return printable(cut(text, length)) if "\x1b" in text else cut(text, length)


def cut(text: str, length: int) -> str:
    """Shorten a text in its middle: Go's errors begin with the action and end with the cause."""
    half = length // 2
    return text if len(text) <= length else f"{text[:half]} … {text[-half:]}"
