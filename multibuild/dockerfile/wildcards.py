"""Patterns of a `.dockerignore`, matched in time linear in the path.

The rules are those of moby/patternmatcher, which translates a pattern to one of Go's regular expressions; those never
try again from another place. Python's do: `*a*a*a*a` takes minutes for a name of sixty letters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from multibuild.frozen import frozen

MAX_TRANSITIONS = 20_000
"""Transitions that are kept of one pattern: the patterns of real projects need some hundreds."""

_SPECIAL = frozenset("*?[]\\")


def compile_wildcard(pattern: str) -> Callable[[str], bool]:
    """Return a function that says whether a whole path matches; raises ValueError for an invalid class.

    As in patternmatcher, a pattern that needs no expression is compared as text.
    """
    if not _is_special(pattern):
        return pattern.__eq__
    head, tail = pattern[:-2], pattern[2:]
    if pattern.startswith("**") and not _is_special(tail):
        return lambda path: path.endswith(tail) or path == tail.removeprefix("/")
    if pattern.endswith("**") and not _is_special(head):
        return lambda path: path.startswith(head)
    return _Automaton(tuple(_parts(pattern))).match


def _is_special(pattern: str) -> bool:
    return not _SPECIAL.isdisjoint(pattern)


@frozen
class _Part:
    """A part of a pattern, which takes one character or `repeats`.

    With `skips`, the next part and the one so many further may follow without a character for this one.
    """

    takes: re.Pattern[str]
    repeats: bool = False
    skips: int = 0


_ANY = re.compile(r".")
"""Without newlines: in Go's expressions a dot takes none either."""
_IN_SEGMENT = re.compile(r"[^/]")
_SLASH = re.compile(r"/")
_NOTHING = re.compile(r"(?!)")

_STAR = (_Part(takes=_IN_SEGMENT, repeats=True, skips=1),)
_REST = (_Part(takes=_ANY, repeats=True, skips=1),)
_DIRECTORIES = (_Part(takes=_NOTHING, skips=3), *_REST, _Part(takes=_SLASH))
"""`**` and `**/` within a pattern: nothing, or anything up to a slash."""


def _parts(pattern: str) -> Iterator[_Part]:
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        end = pattern.find("]", at + 2) if sign == "[" else -1
        if pattern.startswith("**", at):
            at += 3 if pattern.startswith("**/", at) else 2
            yield from _REST if at >= len(pattern) else _DIRECTORIES
            continue
        if sign == "*":
            yield from _STAR
        elif sign == "?":
            yield _Part(takes=_IN_SEGMENT)
        elif end > 0:
            yield _Part(takes=_class(pattern[at + 1 : end]))
            at = end
        else:
            at += sign == "\\" and at + 1 < len(pattern)
            yield _Part(takes=re.compile(re.escape(pattern[at])))
        at += 1


def _class(text: str) -> re.Pattern[str]:
    """Compile the inside of `[…]`: characters and ranges, `^` before them; any may be escaped."""
    negation, items, at = ("^", "", 1) if text.startswith("^") else ("", "", 0)
    while at < len(text):
        first, at = _character(text, at)
        last = first
        if text.startswith("-", at) and at + 1 < len(text):
            last, at = _character(text, at + 1)
        if last < first:
            raise ValueError(f"the range {first}-{last} is empty")
        items += f"{re.escape(first)}-{re.escape(last)}"
    if not items:
        raise ValueError("a class without characters")
    return re.compile(f"[{negation}{items}]")


def _character(text: str, at: int) -> tuple[str, int]:
    at += text[at] == "\\" and at + 1 < len(text)
    return text[at], at + 1


class _Automaton:
    """A pattern as an automaton, whose states are computed when a path first comes to them."""

    def __init__(self, parts: tuple[_Part, ...]) -> None:
        self._parts = parts
        self._begin()

    def match(self, path: str) -> bool:
        """Whether the whole path matches."""
        state = self._start
        for sign in path:
            state = state[sign]
            if not state.positions:
                return False
        return bool(state.positions >> len(self._parts) & 1)

    def _begin(self) -> None:
        self._states: dict[int, _State] = {}
        self._transitions = 0
        self._start = self._state(self._with_skips(1))

    def _state(self, positions: int) -> _State:
        if positions not in self._states:
            self._states[positions] = _State(self, positions)
        return self._states[positions]

    def step(self, positions: int, sign: str) -> _State:
        """Compute the state that follows one of these positions."""
        if self._transitions >= MAX_TRANSITIONS:
            self._begin()
        self._transitions += 1
        following = 0
        for at, part in enumerate(self._parts):
            if positions >> at & 1 and part.takes.match(sign):
                following |= 1 << (at if part.repeats else at + 1)
        return self._state(self._with_skips(following))

    def _with_skips(self, positions: int) -> int:
        """Add the positions behind parts that may take nothing."""
        for at, part in enumerate(self._parts):
            if part.skips and positions >> at & 1:
                positions |= 1 << at + 1 | 1 << at + part.skips
        return positions


class _State(dict[str, "_State"]):
    """The positions in a pattern that a path may have come to, a bit each; the next state by character."""

    __slots__ = ("_automaton", "positions")

    def __init__(self, automaton: _Automaton, positions: int) -> None:
        super().__init__()
        self._automaton = automaton
        self.positions = positions

    def __missing__(self, sign: str) -> _State:
        state = self[sign] = self._automaton.step(self.positions, sign)
        return state
