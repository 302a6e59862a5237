"""Facts from git about the project, read when they are first used.

A repository's own configuration can name programs, and its maker need not be who runs multibuild. So git is asked by
plumbing commands alone, which read references and one commit: no index, no signature, no attributes, no network.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Final

from multibuild.child_process import ChildLimit, ChildResult, run_child
from multibuild.errors import ConfigError
from multibuild.redact import redacted_command
from multibuild.terminal import one_line, shorten

logger = logging.getLogger(__name__)

GIT_TIMEOUT_S: Final = 20.0
"""For one command; a repository on a dead network mount must not hang the run."""

MAX_GIT_BYTES: Final = 1_000_000
"""Output of one command: thousands of tags at one commit."""

MAX_SENTENCE: Final = 300
"""Characters shown of git's message: its sentences are shorter, but they quote paths and configuration."""

_SAFE_OPTIONS: Final = (
    "--no-pager",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "log.showSignature=false"),
    *("-c", "credential.helper="),
    *("-c", "gc.auto=0"),
    *("-c", "maintenance.auto=false"),
)
"""Settings that name programs or start some. None of our commands obeys them; a future git might."""

_SAFE_ENVIRON: Final = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "",
}
"""English messages, no lock, no question; a partial clone fetches nothing (an older git: by no protocol)."""

_SEMVER = re.compile(
    r"v?(?P<version>(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-[0-9A-Za-z.-]+)?)"
    r"(?:\+[0-9A-Za-z.-]+)?\Z"
)
"""semver.org, with the customary leading v. Build metadata is left out: a tag cannot contain `+`."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)\Z", re.DOTALL)
_LOGIN = re.compile(r"://[^\s/@]*@")


class GitError(ConfigError):
    """git fails or refuses. `absent` is whether there may simply be no repository, or no git."""

    def __init__(self, message: str, *, hint: str, absent: bool = False) -> None:
        """Keep whether this may mean that nothing is there."""
        super().__init__(message, hint=hint)
        self.absent = absent


class GitFacts:
    """The checked out commit of a directory.

    A fact that a repository does not have is empty (`commit_time` None), as everything is outside a repository. All
    raise GitError when git cannot answer: empty would be a wrong value.
    """

    def __init__(self, directory: Path, *, timeout_s: float = GIT_TIMEOUT_S) -> None:
        self.directory = directory
        self._timeout_s = timeout_s
        self._failure: GitError | None = None

    @cached_property
    def sha(self) -> str:
        """The full commit id."""
        return self._ask("rev-parse", "--verify", "--quiet", "HEAD") or self._unborn()

    @property
    def short_sha(self) -> str:
        """Its first seven digits: the length of `--short` depends on how much of the repository was cloned."""
        return self.sha[:7]

    @cached_property
    def branch(self) -> str:
        """The branch; empty on a detached HEAD."""
        return self._ask("symbolic-ref", "--short", "--quiet", "HEAD")

    @cached_property
    def tags(self) -> tuple[str, ...]:
        """The tags at this commit, the highest version first."""
        if not self.sha:
            return ()
        order = ("--sort=-version:refname", "--format=%(refname:strip=2)")
        return tuple(self._ask("for-each-ref", "--points-at=HEAD", *order, "refs/tags").split())

    @property
    def tag(self) -> str:
        """The first of the tags at this commit."""
        return self.tags[0] if self.tags else ""

    @cached_property
    def url(self) -> str:
        """The URL of `origin`, without credentials."""
        return without_credentials(self._ask("config", "--get", "remote.origin.url"))

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
        if not self.sha:
            return None
        seconds = self._ask("rev-list", "--no-walk", "--timestamp", "HEAD").partition(" ")[0]
        return int(seconds) if re.fullmatch(r"[0-9]{1,18}", seconds) else None

    def _version(self, part: str) -> str:
        matches = (_SEMVER.match(tag) for tag in self.tags)
        return next((match[part] for match in matches if match), "")

    @cached_property
    def _has_repository(self) -> bool:
        """Whether there is a repository. One that git refuses is there."""
        try:
            return bool(self._git("rev-parse", "--git-dir"))
        except GitError as error:
            if not error.absent or _names_repository(self.directory):
                raise
            self._failure = None
            return False

    def _unborn(self) -> str:
        """Return "" for a branch without a commit; GitError for one that is damaged."""
        if branch := self._ask("symbolic-ref", "--quiet", "HEAD"):
            self._ask("for-each-ref", "--count=1", branch)
        return ""

    def _ask(self, *arguments: str) -> str:
        """Return git's answer; empty without a repository."""
        return self._git(*arguments) if self._has_repository else ""

    def _git(self, *arguments: str) -> str:
        """Run git; after the first failure raise that again: each try could take the whole timeout."""
        if self._failure is None:
            try:
                return self._run(arguments)
            except GitError as error:
                self._failure = error
        raise self._failure

    def _run(self, arguments: tuple[str, ...]) -> str:
        logger.info("+ %s", redacted_command(["git", "-C", str(self.directory), *arguments]))
        argv = ["git", *_SAFE_OPTIONS, "-C", str(self.directory), *arguments]
        try:
            result = run_child(
                argv, environ=_git_environ(os.environ), timeout_s=self._timeout_s, max_bytes=MAX_GIT_BYTES
            )
        except ChildLimit as error:
            raise GitError(f"git {arguments[0]} {error}", hint=self._hint(arguments)) from None
        except OSError as error:
            message = "there is no git command on PATH"
            if not isinstance(error, FileNotFoundError):
                message = f"git cannot be run: {error.strerror}"
            hint = f"install git: {self.directory} is a git repository"
            raise GitError(message, hint=hint, absent=True) from None
        # Exit code 1 without a word is the answer "there is none"; a warning beside an answer is a doubt.
        silent = not result.stderr.strip()
        if result.returncode > 1 or result.returncode < 0 or not (silent or result.stdout.strip()):
            raise self._refusal(arguments, result)
        return result.stdout.decode("utf-8", "replace").strip() if result.returncode == 0 else ""

    def _refusal(self, arguments: tuple[str, ...], result: ChildResult) -> GitError:
        sentence = _sentence(result)
        hint = self._hint(arguments)
        if "dubious ownership" in sentence:
            hint = f"if you trust who owns it: git config --global --add safe.directory {self.directory}"
        if "not a git repository" in sentence:
            hint = "mend or remove the .git there; GIT_DIR in the environment names another"
        return GitError(f"git: {sentence}", hint=hint, absent="not a git repository" in sentence)

    def _hint(self, arguments: tuple[str, ...]) -> str:
        return f"try it: git -C {self.directory} {' '.join(arguments)}"


def _git_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of git: the caller's, which may name the repository or trust it, without traces."""
    kept = {name: value for name, value in environ.items() if not name.startswith("GIT_TRACE")}
    return {**kept, **_SAFE_ENVIRON}


def _names_repository(directory: Path) -> bool:
    """Whether a `.git` at or above a directory, or the environment, says that there is a repository."""
    folders = (directory, *directory.parents)
    return bool(os.environ.get("GIT_DIR")) or any(os.path.lexists(folder / ".git") for folder in folders)


def _sentence(result: ChildResult) -> str:
    """Return git's own sentence, fit for a terminal and without the login of a URL."""
    lines = [line for line in result.stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    fatal = [line for line in lines if line.startswith(("fatal:", "error:"))]
    if not lines:
        code = result.returncode
        return f"it fails without a word ({f'signal {-code}' if code < 0 else f'exit code {code}'})"
    return shorten(_LOGIN.sub("://", one_line((fatal or lines)[0]).strip()), MAX_SENTENCE)


def without_credentials(url: str) -> str:
    """Strip user and password from a URL; `git@host:path` contains no secret and stays."""
    match = _URL.match(url)
    if not match:
        return url
    scheme, authority, rest = match.groups()
    user, at, host = authority.rpartition("@")
    if not at or (scheme.lower() == "ssh" and ":" not in user):
        return url
    return f"{scheme}://{host}{rest}"
