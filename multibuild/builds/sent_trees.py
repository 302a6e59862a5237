"""Directories that are sent to a builder: walked and hashed once, for all images that are built from them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from multibuild.dockerfile.context_digest import (
    ContextFile,
    IsCancelled,
    content_digest,
    context_files,
    special_file,
)
from multibuild.dockerfile.ignore import read_ignore
from multibuild.terminal import one_line


class SentContent(NamedTuple):
    """The digest of a directory that is sent, or why there is none."""

    digest: str | None = None
    problem: str = ""


@dataclass(slots=True)
class SentTree:
    """A directory that is sent: None for `files` where it cannot be read. It is hashed once.

    `problem` is why it has no digest, where that is known.
    """

    root: Path
    files: tuple[ContextFile, ...] | None
    problem: str = ""
    _digests: list[str | None] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """What is uploaded of it."""
        return sum(file.bytes for file in self.files or ())

    def content(self, is_cancelled: IsCancelled) -> SentContent:
        """Return the digest of everything in it, or why there is none."""
        return SentContent(self._digest(is_cancelled), self.problem)

    def _digest(self, is_cancelled: IsCancelled) -> str | None:
        if not self._digests:
            self._digests.append(self._hash(is_cancelled))
        return self._digests[0]

    def _hash(self, is_cancelled: IsCancelled) -> str | None:
        special = special_file(self.files or ())
        if special is not None:
            self.problem = f"{one_line(special.name)} is no file"
        if self.files is None or special is not None:
            return None
        try:
            return content_digest(self.root, self.files, is_cancelled)
        except OSError as error:
            self.problem = _unreadable(error, self.root)
            return None


class SentTrees:
    """Directories that are sent, walked and hashed once for all images that are built from them."""

    def __init__(self) -> None:
        """Walk nothing yet."""
        self._trees: dict[tuple[Path, tuple[str, ...]], SentTree] = {}

    def walk(self, root: Path, dockerfile: Path | None) -> SentTree:
        """Return the files that are sent of a directory, as the ignore file of a Dockerfile says."""
        try:
            ignore = read_ignore(root, dockerfile)
            key = root, ignore.lines
            if key not in self._trees:
                self._trees[key] = SentTree(root, context_files(root, ignore))
            return self._trees[key]
        except OSError as error:
            return SentTree(root, None, _unreadable(error, root))

    def names(self, root: Path, dockerfile: Path | None) -> frozenset[str]:
        """Return the names of what is sent of a directory; none if it cannot be read."""
        return frozenset(file.name for file in self.walk(root, dockerfile).files or ())


def _unreadable(error: OSError, root: Path) -> str:
    """Return which file of a directory cannot be read, in a few words."""
    name = os.path.relpath(os.fsdecode(error.filename), root) if error.filename else "a file"
    return f"{one_line(name)[:80]} cannot be read"
