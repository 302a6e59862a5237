"""Interpolate `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `$$`, and built-in variables of git and the clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from multibuild.config.git import GitError, GitFacts
from multibuild.frozen import frozen
from multibuild.terminal import shorten

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_MARK = re.compile(r"\$\{|\}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

MAX_NESTED_DEFAULTS = 20
"""Defaults inside defaults; people write two or three."""

MAX_EXPANDED_CHARS = 131_072
"""Characters that the variables of one text become: no argument of a program is longer (execve(2), MAX_ARG_STRLEN)."""

MAX_QUOTED = 80
"""Characters of a text that a message quotes."""

BUILT_IN_VARIABLES: Mapping[str, Callable[[GitFacts], str]] = {
    "git.sha": lambda git: git.sha,
    "git.short_sha": lambda git: git.short_sha,
    "git.branch": lambda git: git.branch,
    "git.tag": lambda git: git.tag,
    "git.url": lambda git: git.url,
    "git.semver": lambda git: git.semver,
    "git.semver.major": lambda git: git.semver_major,
    "git.semver.minor": lambda git: git.semver_minor,
}


class InterpolationError(Exception):
    """A text that cannot be interpolated; the caller adds its location."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@frozen
class Interpolator:
    """Interpolates from the environment, git and the clock (`${date}`: YYYY-MM-DD in UTC)."""

    environ: Mapping[str, str]
    git: GitFacts
    now: datetime

    def interpolate(self, text: str) -> str:
        """Interpolate one text.

        Raises InterpolationError for a variable that is unset and has no default, an unknown built-in, a fact that
        git refuses, a `${` that is never closed, or a result that is too long or too deep.
        """
        return _Interpolation(self.lookup).result(text) if "$" in text else text

    def interpolate_tag(self, text: str) -> str:
        """Interpolate a tag, in which an empty variable is an error: `v-${git.tag}` would become `v-`.

        Where nothing but separators is left the whole tag is empty, which is no error.
        """
        interpolation = _Interpolation(self.lookup)
        result = interpolation.result(text)
        if interpolation.without_value and result.strip().strip(".-"):
            name = interpolation.without_value[0]
            raise InterpolationError(
                f"{name} has no value here, so the tag would be '{shorten(result, MAX_QUOTED)}'",
                hint=f"write ${{{name}:-default}}; ${{{name}:-}} where it may be empty",
            )
        return result

    def interpolate_record(self, text: str) -> str:
        """Interpolate a CSV record of attributes as `interpolate`, in which no variable ends the value that it is in.

        A branch or a tag has the name that its maker gave it, as `x,ref=evil.example/x`.
        """
        return _Interpolation(self.lookup, is_record=True).result(text) if "$" in text else text

    def lookup(self, name: str) -> str | None:
        """Return the value of a variable; None for one of the environment that is not set."""
        if name in BUILT_IN_VARIABLES:
            try:
                return BUILT_IN_VARIABLES[name](self.git)
            except GitError as error:
                raise InterpolationError(f"${{{name}}}: {error.message}", hint=error.hint) from None
        if name == "date":
            return self.now.astimezone(UTC).strftime("%Y-%m-%d")
        if not _VARIABLE.match(name):
            names = ", ".join([*BUILT_IN_VARIABLES, "date"])
            raise InterpolationError(
                f"there is no ${{{shorten(name, MAX_QUOTED)}}}", hint=f"there are {names}"
            )
        return self.environ.get(name)


class _Interpolation:
    """One text being interpolated: the length so far, and the variables without default that were empty.

    Of a record also what `_Record` knows of the text so far.
    """

    def __init__(self, lookup: Callable[[str], str | None], *, is_record: bool = False) -> None:
        self._lookup = lookup
        self._record = _Record() if is_record else None
        self._length = 0
        self.without_value: list[str] = []

    def result(self, text: str, depth: int = 0) -> str:
        """Return the text with all variables replaced."""
        if depth > MAX_NESTED_DEFAULTS:
            raise InterpolationError(
                f"more than {MAX_NESTED_DEFAULTS} defaults inside each other", hint="write fewer"
            )
        pieces = []
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            pieces.append(self._written(text[position:dollar]))
            if text.startswith("${", dollar):
                end = _closing(text, dollar)
                pieces.append(self._limited(self._expression(text[dollar + 2 : end], depth)))
                position = end + 1
            else:
                pieces.append(self._written("$"))
                position = dollar + (2 if text.startswith("$$", dollar) else 1)
        return "".join([*pieces, self._written(text[position:])])

    def _written(self, text: str) -> str:
        """Return a part of the config's own text, or of a variable, after noting where the record is at its end."""
        if self._record is not None:
            self._record.add(text)
        return text

    def _value(self, name: str) -> str | None:
        """Return the value of a variable, which may not end that of the attribute it is in."""
        value = self._lookup(name)
        end = self._record.end_in(value) if self._record is not None and value else ""
        if end:
            raise InterpolationError(
                f"{name} has {end}, with which the value that it is in would end",
                hint="set it to a value without it; a list of attributes as a whole may be one variable",
            )
        return self._written(value) if value else value

    def _limited(self, value: str) -> str:
        self._length += len(value)
        if self._length > MAX_EXPANDED_CHARS:
            raise InterpolationError(
                f"its variables have more than {MAX_EXPANDED_CHARS} characters", hint="use shorter values"
            )
        return value

    def _expression(self, inside: str, depth: int) -> str:
        match = _NAME.match(inside)
        name = match[0] if match else ""
        rest = inside[len(name) :]
        if not name or (rest and not rest.startswith((":-", ":?"))):
            raise InterpolationError(
                f"'${{{shorten(inside, MAX_QUOTED)}}}' cannot be read",
                hint="write ${VAR}, ${VAR:-default} or ${VAR:?message}; $$ is a dollar sign",
            )
        value = self._value(name)
        if rest.startswith(":-"):
            return value or self.result(rest[2:], depth + 1)
        if rest.startswith(":?") and not value:
            message = self.result(rest[2:], depth + 1) or "it is needed"
            raise InterpolationError(f"{name} is not set: {message}", hint=f"set {name} in the environment")
        if value is None:
            hint = "{name} without a dollar sign is the image's name" if name == "name" else "set it"
            raise InterpolationError(
                f"the environment variable {name} is not set", hint=f"{hint}, or write ${{{name}:-default}}"
            )
        if not value:
            self.without_value.append(name)
        return value


class _Record:
    """Where a CSV record of attributes is at the end of a text: in quotes, or in the value of an attribute."""

    def __init__(self) -> None:
        self._is_quoted = False
        self._is_in_value = False

    def add(self, text: str) -> None:
        """Go on by a text."""
        self._is_quoted ^= text.count('"') % 2 == 1
        last = text.rpartition(",")[2]
        self._is_in_value = "=" in last or (self._is_in_value and "," not in text)

    def end_in(self, value: str) -> str:
        """Return what in a value would end the value that stands here, in words; empty if nothing would."""
        if not (self._is_quoted or self._is_in_value):
            return ""
        if "\n" in value or "\r" in value:
            return "a line end"
        if "," in value and not self._is_quoted:
            return "a comma"
        return "a quote" if '"' in value else ""


def _closing(text: str, start: int) -> int:
    """Return the position of the brace that closes the `${` at `start`; defaults may contain further ones."""
    depth = 0
    for mark in _MARK.finditer(text, start):
        depth += 1 if mark[0] == "${" else -1
        if depth == 0:
            return mark.start()
    raise InterpolationError(
        f"'{shorten(text[start:], MAX_QUOTED)}' has no closing brace", hint="$$ is a dollar sign"
    )
