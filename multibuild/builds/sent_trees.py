"""Directories that are sent to a builder: walked and hashed once, for all images that are built from them."""

from __future__ import annotations

import os
from collections.abc import Sequence
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
from multibuild.dockerfile.context_paths import ContextPath, covered_files
from multibuild.dockerfile.ignore import read_ignore
from multibuild.terminal import one_line


class SentContent(NamedTuple):
    """The digest of what is sent of a directory, or why there is none, and the names of its files."""

    digest: str | None = None
    problem: str = ""
    names: frozenset[str] = frozenset()


@dataclass(slots=True)
class SentTree:
    """A directory that is sent: None for `files` where it cannot be read. Each file is hashed once.

    `problem` is why it has no digest, where that is known.
    """

    root: Path
    files: tuple[ContextFile, ...] | None
    problem: str = ""
    _contents: dict[tuple[ContextPath, ...] | None, SentContent] = field(default_factory=dict)
    _hashed: dict[str, bytes] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """What is uploaded of it."""
        return sum(file.bytes for file in self.files or ())

    def content(self, is_cancelled: IsCancelled, paths: tuple[ContextPath, ...] | None = None) -> SentContent:
        """Return the digest of everything in it, or of the files that paths may read; or why there is none."""
        if paths not in self._contents:
            part = None if paths is None or self.files is None else covered_files(self.files, paths)
            if part is None and paths is not None:
                return self.content(is_cancelled)
            self._contents[paths] = self._hash(self.files if part is None else part, is_cancelled)
        return self._contents[paths]

    def _hash(self, files: Sequence[ContextFile] | None, is_cancelled: IsCancelled) -> SentContent:
        special = special_file(files or ())
        if files is None:
            return SentContent(problem=self.problem)
        names = frozenset(file.name for file in files)
        if special is not None:
            return SentContent(problem=f"{one_line(special.name)} is no file", names=names)
        try:
            return SentContent(content_digest(self.root, files, is_cancelled, self._hashed), names=names)
        except OSError as error:
            return SentContent(problem=_unreadable(error, self.root), names=names)


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


def _unreadable(error: OSError, root: Path) -> str:
    """Return which file of a directory cannot be read, in a few words."""
    name = os.path.relpath(os.fsdecode(error.filename), root) if error.filename else "a file"
    return f"{one_line(name)[:80]} cannot be read"
