"""The parts of a shell script: words, commands and what holds commands; each with its place in the text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Part:
    """A piece of a word: text, a variable with operator and argument, the output of commands, an array or unknown.

    `start` is the index of its first character in the script's text.
    """

    kind: Literal["text", "variable", "commands", "array", "unknown"]
    start: int
    text: str = ""
    operator: str = ""
    argument: str = ""
    script: Script | None = None
    quoted: bool = False
    elements: list[Word] = field(default_factory=list)


@dataclass(slots=True)
class Word:
    """One word, from `start` to `end` in the script's text."""

    start: int
    end: int
    parts: list[Part] = field(default_factory=list)

    @property
    def literal(self) -> str:
        """The text of a word without variables and commands; "" for any other."""
        return "".join(part.text for part in self.parts) if self.is_literal else ""

    @property
    def is_literal(self) -> bool:
        """Whether the word is text alone."""
        return all(part.kind == "text" for part in self.parts)


@dataclass(slots=True)
class Simple:
    """A command with its assignments before it, and its redirections (operator, target)."""

    start: int
    assignments: list[tuple[str, Word]] = field(default_factory=list)
    words: list[Word] = field(default_factory=list)
    redirects: list[tuple[str, Word]] = field(default_factory=list)
    end: int = 0


@dataclass(slots=True)
class Arm:
    """One arm of a case."""

    patterns: list[Word]
    body: Script


@dataclass(slots=True)
class Case:
    """`case subject in …`."""

    start: int
    subject: Word
    arms: list[Arm]
    end: int = 0


@dataclass(slots=True)
class If:
    """`if`: conditions with their bodies, and the body of else."""

    start: int
    branches: list[tuple[Script, Script]]
    otherwise: Script | None
    end: int = 0


@dataclass(slots=True)
class Loop:
    """`for name in items`, or `while` (`condition`)."""

    start: int
    name: str
    items: list[Word]
    condition: Script | None
    body: Script
    end: int = 0


@dataclass(slots=True)
class Group:
    """Commands in braces or parentheses, or the body of a function (`name`)."""

    start: int
    body: Script
    name: str = ""
    end: int = 0


Node = Simple | Case | If | Loop | Group


@dataclass(slots=True)
class Item:
    """One command, whether its status is negated, and what connects it with the one before: "", "&&", "||" or "|"."""

    node: Node
    connector: str
    negated: bool = False


@dataclass(slots=True)
class Script:
    """Commands in order."""

    items: list[Item] = field(default_factory=list)


def nodes_of(script: Script) -> Iterator[Node]:
    """Yield every command of a script, those inside others included, but not those of substitutions."""
    for item in script.items:
        node = item.node
        yield node
        for inner in _scripts_of(node):
            yield from nodes_of(inner)


def _scripts_of(node: Node) -> Iterator[Script]:
    match node:
        case Case():
            yield from (arm.body for arm in node.arms)
        case If():
            for condition, body in node.branches:
                yield condition
                yield body
            if node.otherwise is not None:
                yield node.otherwise
        case Loop():
            if node.condition is not None:
                yield node.condition
            yield node.body
        case Group():
            yield node.body
        case Simple():
            pass


def words_of(script: Script) -> Iterator[Word]:
    """Yield every word of a script, those of substitutions included."""
    for node in nodes_of(script):
        match node:
            case Simple():
                own = [*node.words, *(word for _, word in node.assignments), *(w for _, w in node.redirects)]
            case Case():
                own = [node.subject, *(pattern for arm in node.arms for pattern in arm.patterns)]
            case Loop():
                own = node.items
            case _:
                own = []
        for word in own:
            yield from _with_inner(word)


def _with_inner(word: Word) -> Iterator[Word]:
    yield word
    for part in word.parts:
        if part.script is not None:
            yield from words_of(part.script)
        for element in part.elements:
            yield from _with_inner(element)
