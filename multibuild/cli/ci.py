"""What CI systems read out of a job's output: folds we write, and commands nobody else may."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

# GitHub takes "::command::" at the start of a line, blanks before it or not, and "##[command]" anywhere in one
# (actions/runner, ActionCommand.cs); Azure Pipelines "##vso[…]" anywhere; TeamCity "##teamcity[…]".
_AT_START = re.compile(r"^([^\S\n]*)::", re.MULTILINE)
_ANYWHERE = re.compile(r"##(?=\w*\[)")


def inert(text: str) -> str:
    """Break what a CI system would take for a command: builds and registries must not give any."""
    return _ANYWHERE.sub("# #", _AT_START.sub(r"\1: :", text))


def inert_in_ci(text: str, environ: Mapping[str, str]) -> str:
    """Make text inert where a CI system reads it; elsewhere it stays as it is."""
    return inert(text) if environ.get("CI") or environ.get("TF_BUILD") or folds_of(environ) else text


def inert_json(text: str) -> str:
    """The same for JSON, which says the same afterwards: such a mark can only stand in its strings."""
    return _ANYWHERE.sub("\\\\u0023#", text)


@dataclass(frozen=True, kw_only=True)
class Folds:
    """How a CI system folds lines away: what stands before and after them, with {name}, {title} and {now} filled in."""

    before: str
    after: str

    def begin(self, name: str, title: str, now: float) -> str:
        """Give the text before the lines; `name` is of letters, digits, "-", "_" and "."; `now` in seconds."""
        return self.before.format(name=name, title=title, now=int(now))

    def end(self, name: str, now: float) -> str:
        """Give the text after the lines."""
        return self.after.format(name=name, now=int(now))


# docs.github.com, workflow commands
GITHUB = Folds(before="::group::{title}\n", after="::endgroup::\n")
# docs.gitlab.com, job logs: a section has a name of its own, and times
GITLAB = Folds(
    before="\x1b[0Ksection_start:{now}:{name}[collapsed=true]\r\x1b[0K{title}\n",
    after="\x1b[0Ksection_end:{now}:{name}\r\x1b[0K\n",
)


def folds_of(environ: Mapping[str, str]) -> Folds | None:
    """Find the CI system by the variable it sets; None where lines are not folded."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return GITHUB
    return GITLAB if environ.get("GITLAB_CI") == "true" else None
