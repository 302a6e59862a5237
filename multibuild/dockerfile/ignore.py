"""`.dockerignore`: which files of a context are sent, by the rules of moby/patternmatcher."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    keeps: bool


class Ignore:
    """The patterns of a .dockerignore."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Read the file's lines; a pattern that cannot be read ignores nothing (buildx refuses it then)."""
        self.rules = tuple(rule for line in lines if (rule := _rule(line)) is not None)
        self.has_exceptions = any(rule.keeps for rule in self.rules)

    def matches(self, name: str, above: tuple[bool, ...] = ()) -> tuple[bool, ...]:
        """Which rules take `name`, given which took the directory it is in.

        As in patternmatcher, a rule that would change nothing is not asked, and so takes nothing below either:
        `*`, `!a/b`, `**/a` leaves a/b in.
        """
        inherited = above or (False,) * len(self.rules)
        taken = []
        ignored = False
        for rule, before in zip(self.rules, inherited, strict=True):
            takes = before or (rule.keeps is ignored and rule.pattern.match(name) is not None)
            taken.append(takes)
            ignored = not rule.keeps if takes else ignored
        return tuple(taken)

    def leaves_out(self, matched: tuple[bool, ...]) -> bool:
        """Whether what these rules took is ignored: the last of them decides."""
        return next(
            (
                not rule.keeps
                for rule, taken in zip(reversed(self.rules), reversed(matched), strict=True)
                if taken
            ),
            False,
        )


def read_ignore(context: Path, dockerfile: Path | None) -> Ignore:
    """Read `<Dockerfile>.dockerignore`, else the context's `.dockerignore`; neither ignores nothing.

    BuildKit reads a `.dockerignore` in named contexts, too; those have no Dockerfile.
    """
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore") if dockerfile else None
    file = own if own is not None and own.is_file() else context / ".dockerignore"
    text = file.read_text(encoding="utf-8-sig", errors="surrogateescape") if file.is_file() else ""
    return Ignore(text.splitlines())


def _rule(line: str) -> _Rule | None:
    text = line.strip()
    if not text or line.startswith("#"):
        return None
    keeps = text.startswith("!")
    text = text[1:].strip() if keeps else text
    text = posixpath.normpath(text).lstrip("/") if text else ""
    if text in {"", "."}:
        return None
    try:
        return _Rule(re.compile(_expression(text), re.DOTALL), keeps)
    except re.error:
        return None


def _expression(pattern: str) -> str:
    """Write a pattern as a regular expression, as patternmatcher's `compile` does."""
    rest = pattern[2:]
    if pattern.startswith("**") and rest and not rest.startswith("/") and not set(rest) & set("*?[\\"):
        return f".*{re.escape(rest)}\\Z"  # patternmatcher compares endings here
    found = []
    place = 0
    while place < len(pattern):
        sign = pattern[place]
        if pattern.startswith("**", place):
            place += 2
            if pattern.startswith("/", place):
                place += 1
            found.append(".*" if place >= len(pattern) else "(?:.*/)?")
            continue
        if sign == "[" and "]" in pattern[place + 2 :]:
            end = pattern.index("]", place + 2)
            found.append(pattern[place : end + 1])
            place = end + 1
            continue
        if sign == "\\" and place + 1 < len(pattern):
            place += 1
            found.append(re.escape(pattern[place]))
        else:
            found.append({"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign)))
        place += 1
    return "".join(found) + r"\Z"
