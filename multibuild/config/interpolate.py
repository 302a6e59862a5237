"""Interpolate `${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `$$`, and built-in variables of git and the clock."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from multibuild.config.git import GitFacts
from multibuild.frozen import frozen

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

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

        Raises InterpolationError for a variable that is unset and has no default, an unknown built-in, or a
        `${` that is never closed.
        """
        if "$" not in text:
            return text
        pieces = []
        position = 0
        while position < len(text):
            if text.startswith("$$", position):
                pieces.append("$")
                position += 2
            elif text.startswith("${", position):
                end = _closing(text, position)
                pieces.append(self._expression(text[position + 2 : end]))
                position = end + 1
            else:
                pieces.append(text[position])
                position += 1
        return "".join(pieces)

    def _expression(self, inside: str) -> str:
        match = _NAME.match(inside)
        name = match[0] if match else ""
        rest = inside[len(name) :]
        if not name or (rest and not rest.startswith((":-", ":?"))):
            raise InterpolationError(
                f"'${{{inside}}}' cannot be read",
                hint="write ${VAR}, ${VAR:-default} or ${VAR:?message}; $$ is a dollar sign",
            )
        value = self._lookup(name)
        if rest.startswith(":-"):
            return value or self.interpolate(rest[2:])
        if rest.startswith(":?") and not value:
            message = self.interpolate(rest[2:]) or "it is needed"
            raise InterpolationError(f"{name} is not set: {message}", hint=f"set {name} in the environment")
        if value is None:
            raise InterpolationError(
                f"the environment variable {name} is not set", hint=f"set it, or write ${{{name}:-default}}"
            )
        return value

    def _lookup(self, name: str) -> str | None:
        if name in BUILT_IN_VARIABLES:
            return BUILT_IN_VARIABLES[name](self.git)
        if name == "date":
            return self.now.astimezone(UTC).strftime("%Y-%m-%d")
        if not _VARIABLE.match(name):
            names = ", ".join([*BUILT_IN_VARIABLES, "date"])
            raise InterpolationError(f"there is no ${{{name}}}", hint=f"there are {names}")
        return self.environ.get(name)


def _closing(text: str, start: int) -> int:
    """Return the position of the brace that closes the `${` at `start`; defaults may contain further ones."""
    depth = 0
    position = start
    while position < len(text):
        if text.startswith("${", position):
            depth += 1
            position += 2
            continue
        if text[position] == "}":
            depth -= 1
            if depth == 0:
                return position
        position += 1
    raise InterpolationError(f"'{text[start:]}' has no closing brace", hint="$$ is a dollar sign")
