"""The files of a context that COPY, ADD and bind mounts may read, and those alone.

A path of a Dockerfile is relative to the context, has wildcards of Go's filepath.Match, and a link in it is followed.
All is done to find too many files rather than one too few: where a path has a variable, an escape, `..` or a link,
any file may be read.
"""

from __future__ import annotations

import json
import posixpath
import re
import stat
from collections.abc import Callable, Sequence

from multibuild.dockerfile.context_digest import ContextFile
from multibuild.frozen import frozen

MAX_PATHS = 200
"""Every file of the context is compared with every path; with more of them any file may be read."""

_SPECIAL = re.compile(r"[*?\[]")
_UNCLEAR = re.compile(r"[$\\'\"`~]")


@frozen
class ContextPath:
    """A path in a context by its parts; the last ones may have wildcards. A directory has all that is in it."""

    parts: tuple[str, ...]

    @property
    def is_literal(self) -> bool:
        """Whether it is one path, without wildcards."""
        return not any(map(_SPECIAL.search, self.parts))


def copied_words(rest: str) -> tuple[str, ...] | None:
    """Return the sources of a COPY or ADD without its flags, in either form; None where they are not clear."""
    if not rest.startswith("["):
        return tuple(rest.split()[:-1])
    try:
        words = json.loads(rest)
    except ValueError:
        return None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        return None
    return tuple(words[:-1])


def path_of(text: str, *, is_tree: bool = False) -> ContextPath | None:
    """Return the path that a Dockerfile names; None for one that may be any.

    `is_tree`: its wildcards are of another kind, that of `COPY --parents`.
    """
    parts = tuple(part for part in posixpath.normpath(f"/{text}").split("/") if part)
    if _UNCLEAR.search(text) or ".." in text.split("/") or not parts:
        return None
    kept = []
    for part in parts:
        wildcard = _SPECIAL.search(part)
        if wildcard and (is_tree or "[" in part or not part.isascii()):
            break
        kept.append(part)
    return ContextPath(parts=tuple(kept)) if kept else None


def covered_files(
    files: Sequence[ContextFile], paths: Sequence[ContextPath]
) -> tuple[ContextFile, ...] | None:
    """Return the files that paths may read, with the directories above them; None where that may be any file."""
    if len(paths) > MAX_PATHS:
        return None
    names: set[str] = set()
    patterns = [_Pattern(path) for path in paths]
    found = set[int]()
    for file in files:
        parts = file.name.split("/")
        for number, pattern in enumerate(patterns):
            if not file.name.startswith(pattern.start) and not pattern.start.startswith(f"{file.name}/"):
                continue
            depth = pattern.depth(parts)
            if depth is None:
                continue
            if stat.S_ISLNK(file.info.st_mode) and len(parts) <= len(pattern.parts):
                return None
            if depth == len(pattern.parts):
                found.add(number)
                names.update("/".join(parts[:end]) for end in range(1, len(parts) + 1))
    if any(path.is_literal and number not in found for number, path in enumerate(paths)):
        return None
    return tuple(file for file in files if file.name in names)


class _Pattern:
    """A path as tests of the parts of names; `start` is the text with which every name begins."""

    def __init__(self, path: ContextPath) -> None:
        self.parts = tuple(map(_test, path.parts))
        whole = "/".join(path.parts)
        wildcard = _SPECIAL.search(whole)
        self.start = whole[: wildcard.start()] if wildcard else whole

    def depth(self, parts: Sequence[str]) -> int | None:
        """Return how many parts of the pattern a name matches from its begin; None where one differs."""
        pairs = list(zip(self.parts, parts, strict=False))
        return len(pairs) if all(test(part) for test, part in pairs) else None


def _test(pattern: str) -> Callable[[str], bool]:
    """Return a test that each name passes which a part with `*` and `?` matches, and few others."""
    wildcards = list(_SPECIAL.finditer(pattern))
    if not wildcards:
        return pattern.__eq__
    start, end = pattern[: wildcards[0].start()], pattern[wildcards[-1].end() :]
    return lambda name: name.startswith(start) and name.endswith(end)
