"""The variables of a script at one place, and what it has gone through to get there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from multibuild.lint.arch_names import UNKNOWN
from multibuild.lint.shell.syntax import DECLARING
from multibuild.lint.shell.trace import Event, Guard
from multibuild.lint.shell.values import NONE, UNKNOWN_VALUE, Expanded, Mark, Marks, Value

MAX_VARIABLES = 300

ARCH: Marks = frozenset({"arch"})
"""Marks of a value that depends on the architecture."""


@dataclass(slots=True)
class State:
    """The variables at one place of a script, and the conditions under which it is reached."""

    values: Mapping[str, Value]
    guards: frozenset[Guard] = frozenset()
    branch: bool = False
    exited: bool = False
    tests_empty: bool = False
    guard_marks: Marks = NONE
    captured: bool = False
    test_marks: Marks = NONE
    settable: bool = False

    def copy(self, *, guard: Guard | None = None, marks: Marks = NONE) -> State:
        """Return a state of its own for a branch, with what guards it."""
        guards = self.guards | ({guard} if guard else set())
        return State(
            self.values,
            guards,
            self.branch,
            self.exited,
            self.tests_empty,
            self.guard_marks | marks,
            self.captured,
            self.test_marks,
            self.settable,
        )

    def set(self, name: str, value: Value) -> None:
        """Set a variable; what holds the values from before keeps them."""
        if name in self.values or len(self.values) < MAX_VARIABLES:
            self.values = {**self.values, name: value}

    @contextlib.contextmanager
    def chosen_by_argument(self, chosen: bool) -> Iterator[None]:
        """Let a caller be able to set whatever is said inside: a build argument chose that it is."""
        before, self.settable = self.settable, self.settable or chosen
        yield
        self.settable = before

    def unset(self, name: str) -> None:
        """Remove a variable."""
        self.values = {key: value for key, value in self.values.items() if key != name}


def set_variables(event: Event, state: State) -> None:
    """Carry out what builtins do to variables."""
    for word in event.words[1:]:
        if event.name in DECLARING:
            key, equals, _ = word.text.partition("=")
            if equals:
                state.set(key, assigned(behind(word, len(key) + 1), state))
        elif event.name == "read":
            state.set(word.text, UNKNOWN_VALUE)
        elif event.name == "unset":
            state.unset(word.text)


def assigned(word: Expanded, state: State) -> Value:
    """Return the value that a variable gets here: unknown where another architecture may give it another."""
    value = word.value
    marks: set[Mark] = {"branch"} if state.branch else set()
    if "arch" in state.guards:
        return Value(UNKNOWN, value.marks | state.guard_marks | ARCH)
    return replace(value, marks=value.marks | marks)


def behind(word: Expanded, count: int) -> Expanded:
    """Return a word without its first characters."""
    pieces = [
        (max(index - count, 0), at if at is None or index >= count else at + count - index)
        for index, at in word.pieces
    ]
    start = next((at for _, at in pieces if at is not None), word.start)
    settable = tuple((max(first - count, 0), last - count) for first, last in word.settable if last > count)
    return replace(
        word, text=word.text[count:], pieces=pieces, start=max(start, word.start), settable=settable
    )


def merge_branches(state: State, others: list[State]) -> None:
    """Let the values that differ between branches be unknown."""
    for other in others:
        if other.exited or other.values is state.values:
            continue
        for name, value in other.values.items():
            own = state.values.get(name)
            if own is None or own.text != value.text:
                marks = value.marks | (own.marks if own is not None else NONE)
                asked = ARCH if "arch" in other.guards else NONE
                state.set(name, Value(UNKNOWN, marks | asked))
