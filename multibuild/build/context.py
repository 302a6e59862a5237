"""The build context as BuildKit receives it: what .dockerignore leaves, file by file, and a name for all of it.

The rules are those of github.com/moby/patternmatcher: patterns are anchored, `**` passes slashes, a pattern that
matches a directory holds for everything below, and the last pattern that matches decides.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1024 * 1024
CAPABILITY = "security.capability"
"""The one extended attribute that changes what a file does; labels of the host's own are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ContextFile:
    """One entry: its path below the root, with slashes, and its lstat(2)."""

    name: str
    info: os.stat_result

    @property
    def bytes(self) -> int:
        """What its upload takes."""
        return self.info.st_size if stat.S_ISREG(self.info.st_mode) else 0


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    keeps: bool


class Ignore:
    """The patterns of a .dockerignore."""

    def __init__(self, lines: Sequence[str]) -> None:
        """Read the file's lines; a pattern that cannot be read ignores nothing (buildx refuses it then)."""
        self.rules = tuple(rule for line in lines if (rule := _rule(line)) is not None)
        self.has_exceptions = any(rule.keeps for rule in self.rules)

    def matches(self, name: str, above: tuple[bool, ...] = ()) -> tuple[bool, ...]:
        """Which rules take `name`, given which took the directory it is in.

        As in patternmatcher, a rule that would change nothing is not asked, and so takes nothing below either:
        `*`, `!a/b`, `**/a` leaves a/b in.
        """
        inherited = above or (False,) * len(self.rules)
        taken = []
        ignored = False
        for rule, before in zip(self.rules, inherited, strict=True):
            takes = before or (rule.keeps is ignored and rule.pattern.match(name) is not None)
            taken.append(takes)
            ignored = not rule.keeps if takes else ignored
        return tuple(taken)

    def leaves_out(self, matched: tuple[bool, ...]) -> bool:
        """Whether what these rules took is ignored: the last of them decides."""
        return next(
            (
                not rule.keeps
                for rule, taken in zip(reversed(self.rules), reversed(matched), strict=True)
                if taken
            ),
            False,
        )


def context_files(root: Path, ignore: Ignore) -> tuple[ContextFile, ...]:
    """List what is sent of `root`, sorted by name. OSError when a directory cannot be read."""
    return tuple(sorted(_walk(root, "", ignore, ()), key=lambda file: file.name))


def read_ignore(context: Path, dockerfile: Path | None) -> Ignore:
    """Read `<Dockerfile>.dockerignore`, else the context's `.dockerignore`; neither ignores nothing.

    BuildKit reads a `.dockerignore` in named contexts, too; those have no Dockerfile.
    """
    own = dockerfile.with_name(f"{dockerfile.name}.dockerignore") if dockerfile else None
    file = own if own is not None and own.is_file() else context / ".dockerignore"
    text = file.read_text(encoding="utf-8-sig", errors="surrogateescape") if file.is_file() else ""
    return Ignore(text.splitlines())


def content_digest(root: Path, files: Sequence[ContextFile]) -> str:
    """Hash names, kinds, permissions, capabilities, link targets and contents; OSError for an unreadable file.

    Times and owners are left out: BuildKit leaves them out too.
    """
    whole = hashlib.sha256()
    for file in files:
        info = file.info
        whole.update(f"{file.name}\0{info.st_mode:o}\0{file.bytes}\0".encode("utf-8", "surrogateescape"))
        if stat.S_ISLNK(info.st_mode):
            whole.update(os.fsencode((root / file.name).readlink()))
        elif stat.S_ISREG(info.st_mode):
            whole.update(_content(root / file.name))
    return whole.hexdigest()


def stamp_of(files: Sequence[ContextFile]) -> str:
    """Name the state of files without reading them: whatever is written to changes its inode's times."""
    whole = hashlib.sha256()
    for file in files:
        info = file.info
        seen = (info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
        whole.update(f"{file.name}\0{seen}\0".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _content(path: Path) -> bytes:
    own = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            own.update(chunk)
        own.update(_capability(file.fileno()))
    return own.digest()


def _capability(file: int) -> bytes:
    try:
        return os.getxattr(file, CAPABILITY)
    except (OSError, AttributeError):
        return b""


def _walk(root: Path, below: str, ignore: Ignore, above: tuple[bool, ...]) -> Iterator[ContextFile]:
    with os.scandir(root / below) as entries:
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            matched = ignore.matches(name, above) if ignore.rules else ()
            ignored = ignore.leaves_out(matched)
            if ignored and not (ignore.has_exceptions and entry.is_dir(follow_symlinks=False)):
                continue
            file = ContextFile(name=name, info=entry.stat(follow_symlinks=False))
            inside = _walk(root, name, ignore, matched) if entry.is_dir(follow_symlinks=False) else iter(())
            if ignored:
                # An ignored directory is sent after all when something in it is not ignored.
                kept = tuple(inside)
                yield from (file, *kept) if kept else ()
            else:
                yield file
                yield from inside


def _rule(line: str) -> _Rule | None:
    text = line.strip()
    if not text or line.startswith("#"):
        return None
    keeps = text.startswith("!")
    text = text[1:].strip() if keeps else text
    text = posixpath.normpath(text).lstrip("/") if text else ""
    if text in {"", "."}:
        return None
    try:
        return _Rule(re.compile(_expression(text), re.DOTALL), keeps)
    except re.error:
        return None


def _expression(pattern: str) -> str:
    """Write a pattern as a regular expression, as patternmatcher's `compile` does."""
    rest = pattern[2:]
    if pattern.startswith("**") and rest and not rest.startswith("/") and not set(rest) & set("*?[\\"):
        return f".*{re.escape(rest)}\\Z"  # patternmatcher compares endings here
    found = []
    place = 0
    while place < len(pattern):
        sign = pattern[place]
        if pattern.startswith("**", place):
            place += 2
            if pattern.startswith("/", place):
                place += 1
            found.append(".*" if place >= len(pattern) else "(?:.*/)?")
            continue
        if sign == "[" and "]" in pattern[place + 2 :]:
            end = pattern.index("]", place + 2)
            found.append(pattern[place : end + 1])
            place = end + 1
            continue
        if sign == "\\" and place + 1 < len(pattern):
            place += 1
            found.append(re.escape(pattern[place]))
        else:
            found.append({"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign)))
        place += 1
    return "".join(found) + r"\Z"
