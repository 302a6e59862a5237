"""Names of images: what they may be, patterns of them, and those chosen on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Final

from multibuild.errors import UsageError
from multibuild.terminal import one_line, shorten

MAX_NAME: Final = 64
"""Characters of a name or pattern: names stand in file names, tags and the heads of tables."""

MAX_LISTED: Final = 300
"""Characters of a list of names in a hint."""

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_][A-Za-z0-9_-]*)*\Z")
"""A name of a bake target (buildx, bake.validateTargetName) that is no option, or several with dots between."""

_COMPONENT: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*\Z")
"""A path component of a repository (distribution/reference)."""


def is_pattern(name: str) -> bool:
    """Whether a key under `images` is a pattern of names."""
    return any(mark in name for mark in "*?[")


def is_name(name: str) -> bool:
    """Whether a name is safe in tags and file names, and has a form for repositories."""
    return len(name) <= MAX_NAME and bool(_NAME.match(name)) and bool(repository_name(name))


def repository_name(name: str) -> str:
    """Return what `{name}` is in a repository, which is in lower case; "" where nothing would be left."""
    return name if _COMPONENT.match(name) else usable_name(name)


def matches(key: str, name: str) -> bool:
    """Whether a key under `images` is for an image: its name, or a pattern (`*`, `?`, `[a-c]`) of it."""
    return key == name or (is_pattern(key) and len(key) <= MAX_NAME and fnmatchcase(name, key))


def usable_name(name: str) -> str:
    """Return the nearest name that is usable everywhere; "" when nothing is left."""
    text = re.sub(r"[^a-z0-9._]+", "-", name[:MAX_NAME].lower())
    text = re.sub(r"([._-])[._-]*", r"\1", text).strip("._-")
    return text if _COMPONENT.match(text) else ""


def nearest(name: str, names: Iterable[str]) -> str:
    """Return a hint with the nearest name, or with all."""
    names = list(names)
    near = get_close_matches(name[:MAX_NAME], names, n=1)
    if near:
        return f"perhaps you meant '{near[0]}'"
    return f"there are {shorten(', '.join(names), MAX_LISTED)}" if names else "the file has no image"


def choose(
    chosen: Sequence[str], names: Sequence[str], dependencies: Mapping[str, Iterable[str]]
) -> tuple[str, ...]:
    """Return the chosen images and those they are built from, in the order of the file; all when none is chosen.

    Raises UsageError for one that does not exist.
    """
    for name in chosen:
        if name not in names:
            shown = shorten(one_line(name), MAX_NAME)
            raise UsageError(f"the file has no image '{shown}'", hint=nearest(name, names))
    wanted: set[str] = set()
    waiting = list(chosen or names)
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting += dependencies.get(name, ())
    return tuple(name for name in names if name in wanted)
