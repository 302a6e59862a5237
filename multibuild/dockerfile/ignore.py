"""`.dockerignore`: the files of a context that are sent, by the rules of moby/patternmatcher."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    is_exception: bool


class Ignore:
    """The patterns of a .dockerignore."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Parse the file's lines; an invalid pattern ignores nothing (buildx then refuses the file)."""
        self.rules = tuple(rule for line in lines if (rule := _rule(line)) is not None)
        self.has_exceptions = any(rule.is_exception for rule in self.rules)

    def matches(self, name: str, above: tuple[bool, ...] = ()) -> tuple[bool, ...]:
        """Return which rules match `name`, given which match its directory.

        As in patternmatcher, a rule that would change nothing is not evaluated, and so does not match below either:
        `*`, `!a/b`, `**/a` leaves a/b in.
        """
        inherited = above or (False,) * len(self.rules)
        matched = []
        ignored = False
        for rule, matches_directory in zip(self.rules, inherited, strict=True):
            changes = rule.is_exception is ignored
            matches = matches_directory or (changes and rule.pattern.match(name) is not None)
            matched.append(matches)
            ignored = not rule.is_exception if matches else ignored
        return tuple(matched)

    def is_ignored(self, matched: tuple[bool, ...]) -> bool:
        """Whether a path that these rules match is ignored: the last of them decides."""
        rules = [rule for rule, matches in zip(self.rules, matched, strict=True) if matches]
        return bool(rules) and not rules[-1].is_exception


def read_ignore(context: Path, dockerfile: Path | None) -> Ignore:
    """Read `<Dockerfile>.dockerignore`, else the context's `.dockerignore`; without either, nothing is ignored.

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
    is_exception = text.startswith("!")
    text = text[1:].strip() if is_exception else text
    text = posixpath.normpath(text).lstrip("/") if text else ""
    if text in {"", "."}:
        return None
    try:
        return _Rule(re.compile(_expression(text), re.DOTALL), is_exception)
    except re.error:
        return None


def _expression(pattern: str) -> str:
    """Translate a pattern to a regular expression, like patternmatcher's `compile`."""
    rest = pattern[2:]
    if pattern.startswith("**") and rest and not rest.startswith("/") and not set(rest) & set("*?[\\"):
        return f".*{re.escape(rest)}\\Z"  # patternmatcher compares suffixes here
    parts = []
    at = 0
    while at < len(pattern):
        sign = pattern[at]
        if pattern.startswith("**", at):
            at += 2
            if pattern.startswith("/", at):
                at += 1
            parts.append(".*" if at >= len(pattern) else "(?:.*/)?")
            continue
        if sign == "[" and "]" in pattern[at + 2 :]:
            end = pattern.index("]", at + 2)
            parts.append(pattern[at : end + 1])
            at = end + 1
            continue
        if sign == "\\" and at + 1 < len(pattern):
            at += 1
            parts.append(re.escape(pattern[at]))
        else:
            parts.append({"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign)))
        at += 1
    return "".join(parts) + r"\Z"
