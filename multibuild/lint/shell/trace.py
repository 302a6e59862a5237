"""What a script does on one platform: the commands that run, and the choices and names that fit nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from multibuild.dockerfile.source import Text
from multibuild.frozen import frozen
from multibuild.lint.shell.values import NONE, Expanded, Marks, Value

Guard = Literal["arch", "other"]


@frozen
class Machine:
    """What a stage's programs print as its architecture: commands → output, None where it is not known."""

    outputs: Mapping[str, str]
    marks: Marks


@dataclass(slots=True)
class Event:
    """A command that runs: its words, the assignments before it, and what stands between it and the platform.

    `guards`: "arch" for a choice by architecture whose outcome is not known, "other" for any other; `branch`: whether
    it is in the `else` of a choice by architecture. `values` are those of the shell when it runs. `guard_marks` are the
    marks of what its guards ask for; `captured`: another command or a variable takes its output. `name`
    is the command's, without its folder.
    """

    words: list[Expanded]
    assignments: list[tuple[str, Expanded]]
    redirects: list[tuple[str, Expanded]]
    guards: frozenset[Guard]
    branch: bool
    values: Mapping[str, Value]
    guard_marks: Marks = NONE
    captured: bool = False
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = self.words[0].text.rpartition("/")[2] if self.words else ""

    def value(self, name: str) -> Value | None:
        """Return the value of an environment variable when it runs."""
        own = [word.value for key, word in self.assignments if key == name]
        return own[-1] if own else self.values.get(name)


@dataclass(slots=True)
class Miss:
    """A choice by a known text that fits none of its patterns."""

    subject: Expanded
    patterns: list[Expanded]
    kind: Literal["case", "test"]
    has_default: bool = False


@dataclass(slots=True)
class Use:
    """A use of an automatic ARG that has no value here."""

    name: str
    source: Text
    index: int


@dataclass(slots=True)
class Trace:
    """All that a script does."""

    events: list[Event] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)
    undeclared: list[Use] = field(default_factory=list)
    steps: int = 0
    matched: set[str] = field(default_factory=set)
    """The texts that fitted in some choice."""
