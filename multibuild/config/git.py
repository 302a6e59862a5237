"""Facts from git about the project, read when they are first used."""

from __future__ import annotations

import logging
import re
import subprocess
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from multibuild.redact import redacted_command

logger = logging.getLogger(__name__)

GIT_TIMEOUT_S = 20.0
"""For one command; a repository on a dead network mount must not hang the run."""

_SEMVER = re.compile(
    r"v?(?P<version>(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?)"
    r"(?:\+[0-9A-Za-z.-]+)?\Z"
)
"""semver.org, with the customary leading v. Build metadata is left out: a tag cannot contain `+`."""


class GitFacts:
    """The checked out commit of a directory. Everything is empty (`commit_time` None) without git or a repository."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @cached_property
    def sha(self) -> str:
        """The full commit id."""
        return self._git("rev-parse", "--verify", "--quiet", "HEAD")

    @property
    def short_sha(self) -> str:
        """Its first seven digits: the length of `--short` depends on how much of the repository was cloned."""
        return self.sha[:7]

    @cached_property
    def branch(self) -> str:
        """The branch; empty on a detached HEAD."""
        return self._git("symbolic-ref", "--short", "--quiet", "HEAD")

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags at this commit, the highest version first."""
        return tuple(self._git("tag", "--points-at", "HEAD", "--sort=-version:refname").split())

    @property
    def tag(self) -> str:
        """The first of the tags at this commit."""
        return self.tags[0] if self.tags else ""

    @cached_property
    def url(self) -> str:
        """The URL of `origin`, without credentials."""
        return without_credentials(self._git("config", "--get", "remote.origin.url"))

    @property
    def semver(self) -> str:
        """The version of the first tag that is one, without its v: `1.4.2-rc.1`."""
        return self._version("version")

    @property
    def semver_major(self) -> str:
        """Its first number."""
        return self._version("major")

    @property
    def semver_minor(self) -> str:
        """Its second number."""
        return self._version("minor")

    @cached_property
    def commit_time(self) -> int | None:
        """The commit's time in seconds since 1970, as for SOURCE_DATE_EPOCH."""
        output = self._git("log", "-1", "--format=%ct")
        return int(output) if output.isdecimal() else None

    def _version(self, part: str) -> str:
        matches = (_SEMVER.match(tag) for tag in self.tags)
        return next((match[part] for match in matches if match), "")

    def _git(self, *arguments: str) -> str:
        argv = ["git", "-C", str(self.directory), *arguments]
        logger.info("+ %s", redacted_command(argv))
        try:
            process = subprocess.run(
                argv,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                timeout=GIT_TIMEOUT_S,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return process.stdout.strip() if process.returncode == 0 else ""


def without_credentials(url: str) -> str:
    """Strip user and password from a URL; `git@host:path` contains no secret and stays."""
    if "://" not in url:
        return url
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at or (parts.scheme == "ssh" and ":" not in user):
        return url
    return urlunsplit(parts._replace(netloc=host))
