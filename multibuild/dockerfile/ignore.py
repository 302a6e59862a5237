"""`.dockerignore`: the files of a context that are sent, by the rules of moby/patternmatcher."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from multibuild.dockerfile.bounded_text import read_bounded
from multibuild.dockerfile.wildcards import compile_wildcard
from multibuild.errors import ConfigError

MAX_IGNORE_BYTES = 4 << 20
MAX_PATTERNS = 10_000
"""Every file of the context is compared with every pattern."""

MAX_PATTERN_CHARACTERS = 1024
"""A pattern is a path of the context; Linux has none of more than 4095 bytes (PATH_MAX)."""


@dataclass(frozen=True, slots=True)
class _Rule:
    matches: Callable[[str], bool]
    is_exception: bool


class Ignore:
    """The patterns of a .dockerignore."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Parse the file's lines; an invalid pattern ignores nothing (buildx then refuses the file)."""
        self.lines = tuple(lines)
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
            matches = matches_directory or (changes and rule.matches(name))
            matched.append(matches)
            ignored = not rule.is_exception if matches else ignored
        return tuple(matched)

    def is_ignored(self, matched: tuple[bool, ...]) -> bool:
        """Whether a path that these rules match is ignored: the last of them decides."""
        rules = [rule for rule, matches in zip(self.rules, matched, strict=True) if matches]
        return bool(rules) and not rules[-1].is_exception


def read_ignore(context: Path, dockerfile: Path | None) -> Ignore:
    """Read `<Dockerfile>.dockerignore`, else the context's `.dockerignore`; without either, nothing is ignored.

    BuildKit reads a `.dockerignore` in named contexts, too; those have no Dockerfile. Raises OSError for one that
    cannot be read, ConfigError for one beyond the limits.
    """
    own = [dockerfile.with_name(f"{dockerfile.name}.dockerignore")] if dockerfile else []
    for file in (*own, context / ".dockerignore"):
        try:
            content = read_bounded(file, MAX_IGNORE_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            continue
        lines = content.decode("utf-8-sig", "surrogateescape").split("\n")
        _require_few(file, lines)
        return Ignore(lines)
    return Ignore(())


def _require_few(file: Path, lines: Sequence[str]) -> None:
    longest = max(map(len, lines))
    if len(lines) > MAX_PATTERNS or longest > MAX_PATTERN_CHARACTERS:
        raise ConfigError(
            f"{file}: {len(lines)} lines, the longest of {longest} characters; at most {MAX_PATTERNS} lines of"
            f" {MAX_PATTERN_CHARACTERS} characters are read",
            hint="name directories instead of their files",
        )


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
        return _Rule(compile_wildcard(text), is_exception)
    except ValueError:
        return None
