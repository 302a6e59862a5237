"""What a rule reports: a place, a level, what is wrong, and what to write instead."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from multibuild.frozen import frozen
from multibuild.lint.shell.values import Origin

if TYPE_CHECKING:
    from multibuild.lint.view import View

Level = Literal["error", "warning", "hint"]
LEVELS: tuple[Level, ...] = ("error", "warning", "hint")
"""From the worst: certainly wrong on some platform, likely wrong, worth a thought."""


@dataclass(frozen=True, slots=True, order=True)
class Edit:
    """Characters `start` to `end` of the text without byte order mark, and what comes in their place."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a rule finds in the view of one platform.

    `branch`: it holds only in the `else` of a choice by architecture, which is made for the platforms of a config that
    is not known. `builder`: what is wrong is that it is for the builder's platform, which may be the only one that is
    built. `edits` mend it, where that can be proven.
    """

    level: Level
    at: Origin
    message: str
    fix: str
    edits: tuple[Edit, ...] = ()
    branch: bool = False
    builder: bool = False


@frozen
class Rule:
    """A row of the table: `level` is the worst it reports, `meaning` what it finds, `why` what happens then."""

    id: str
    level: Level
    meaning: str
    why: str
    fix: str
    source: str
    check: Callable[[View], Iterator[Found]]
    fixable: bool = False


@frozen
class Finding:
    """A finding in a file; line and column from 1. `platforms` are those that it is wrong for."""

    rule: str
    level: Level
    file: str
    line: int
    column: int
    end_column: int
    message: str
    fix: str
    platforms: tuple[str, ...] = ()
    edits: tuple[Edit, ...] = ()
