"""Foldable sections in the job logs of CI systems."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Folds:
    """The text before and after a section, with the placeholders {name}, {title} and {now}."""

    before: str
    after: str

    def begin(self, name: str, title: str, now: float) -> str:
        """Return the text before a section; `name` is of letters, digits, "-", "_" and "."; `now` in seconds."""
        return self.before.format(name=name, title=title, now=int(now))

    def end(self, name: str, now: float) -> str:
        """Return the text after a section."""
        return self.after.format(name=name, now=int(now))


# docs.github.com, workflow commands
GITHUB = Folds(before="::group::{title}\n", after="::endgroup::\n")
# docs.gitlab.com, job logs: a section has a name of its own, and times
GITLAB = Folds(
    before="\x1b[0Ksection_start:{now}:{name}[collapsed=true]\r\x1b[0K{title}\n",
    after="\x1b[0Ksection_end:{now}:{name}\r\x1b[0K\n",
)


def folds_of(environ: Mapping[str, str]) -> Folds | None:
    """Return the form of the CI system, recognized by its variable; None elsewhere."""
    if environ.get("GITHUB_ACTIONS") == "true":
        return GITHUB
    return GITLAB if environ.get("GITLAB_CI") == "true" else None
