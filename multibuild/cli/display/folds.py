"""How CI systems fold lines of a job's output away."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
