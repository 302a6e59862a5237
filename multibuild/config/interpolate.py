"""`${VAR}`, `${VAR:-default}`, `${VAR:?message}`, `$$` and the built-ins, in the strings of a config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from multibuild.config.git import GitFacts

_PATTERN = re.compile(r"\$(?:(\$)|\{([^}:]*)(?::([-?])((?:[^{}]|\{[^{}]*\})*))?\})")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
BUILT_INS = ("git.sha", "git.short_sha", "git.branch", "git.tag", "git.url", "git.semver", "git.semver.major",
             "git.semver.minor", "date")  # fmt: skip


class Unresolved(ValueError):
    """A string whose variables cannot be resolved; the text says which and what to do."""


def interpolate(text: str, environ: Mapping[str, str], git: GitFacts, now: datetime) -> str:
    """Resolve the variables of one string; Unresolved for an unset one without default, or a bad name."""

    def replace(found: re.Match[str]) -> str:
        if found[1]:
            return "$"
        name, operator, rest = found[2], found[3], found[4] or ""
        value = _value(name, environ, git, now)
        if value:
            return value
        if operator == "-":
            return interpolate(rest, environ, git, now)
        if operator == "?":
            raise Unresolved(f"{name}: {rest or 'it must be set'}")
        if value is None:
            raise Unresolved(f"the variable {name} is not set: export it, or write ${{{name}:-default}}")
        return value

    return _PATTERN.sub(replace, text)


def _value(name: str, environ: Mapping[str, str], git: GitFacts, now: datetime) -> str | None:
    if name == "date":
        return now.strftime("%Y-%m-%d")
    if name.startswith("git."):
        value = git.value(name.removeprefix("git."))
        if value is None:
            raise Unresolved(f"${{{name}}} is unknown; there are {', '.join(BUILT_INS)}")
        return value
    if not _NAME.match(name):
        raise Unresolved(f"${{{name}}} is not a variable; write $$ for a plain dollar sign")
    return environ.get(name)
