"""What git says of the project, asked only when a config uses it."""

from __future__ import annotations

import re
import subprocess
from functools import cached_property
from pathlib import Path

_SEMVER = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")


class GitFacts:
    """Facts of the repository around a directory; empty strings where there is none."""

    def __init__(self, project: Path) -> None:
        """Ask nothing yet."""
        self._project = project

    def _ask(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(self._project), *arguments],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=30,
            )
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    @cached_property
    def sha(self) -> str:
        """The commit, in full."""
        return self._ask("rev-parse", "--verify", "HEAD")

    @cached_property
    def commit_time(self) -> int | None:
        """When it was committed, in seconds since 1970: SOURCE_DATE_EPOCH."""
        text = self._ask("show", "-s", "--format=%ct", "HEAD")
        return int(text) if text.isdigit() else None

    @cached_property
    def tag(self) -> str:
        """The tag on this very commit."""
        return self._ask("describe", "--tags", "--exact-match", "HEAD")

    @cached_property
    def branch(self) -> str:
        """The branch; empty on a detached head."""
        return self._ask("symbolic-ref", "--short", "-q", "HEAD")

    @cached_property
    def url(self) -> str:
        """The remote `origin`, without credentials."""
        return re.sub(r"(?<=://)[^/@]*@", "", self._ask("remote", "get-url", "origin"))

    def value(self, name: str) -> str | None:
        """Give the built-in `git.NAME`; None when there is no such one."""
        version = _SEMVER.match(self.tag) if name.startswith("semver") else None
        match name:
            case "sha" | "branch" | "tag" | "url":
                return str(getattr(self, name))
            case "short_sha":
                return self.sha[:7]
            case "semver":
                return (
                    "".join(part or "" for part in (self.tag.lstrip("v"),)).split("+")[0] if version else ""
                )
            case "semver.major":
                return version[1] if version else ""
            case "semver.minor":
                return f"{version[1]}.{version[2]}" if version else ""
        return None
