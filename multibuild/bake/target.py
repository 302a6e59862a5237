"""One target of a bake definition, as `docker buildx bake --print` resolves it, and why it may not become an image."""

from __future__ import annotations

import csv
import posixpath
import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

from multibuild.frozen import frozen

_URL = re.compile(r"[a-z][a-z0-9+.-]*://|git@|github\.com/|input:")
"""What BuildKit fetches, and does not read from this disk (buildx, util/urlutil, and the schemes of named contexts)."""

_CWD = "cwd://"
"""buildx's mark of a path that is relative to its working directory, wherever the definition comes from."""


@frozen
class BakeTarget:
    """A target: its fields by bake's names, and the working directory that its paths are relative to.

    A linked target was not asked for: another one names it in its `contexts`.
    """

    name: str
    fields: Mapping[str, Any]
    project: PurePosixPath
    linked: bool = False

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms as written; one text may hold several (buildx, platformutil.Parse)."""
        texts = self.fields.get("platforms") or ()
        return tuple(part.strip() for text in texts for part in text.split(",") if part.strip())

    def path(self, text: str) -> str:
        """Return a path relative to the project, or an absolute one outside of it."""
        path = posixpath.normpath(posixpath.join(self.project, text.removeprefix(_CWD)))
        inside = PurePosixPath(path).is_relative_to(self.project)
        above = not text.removeprefix(_CWD).startswith("/")
        return posixpath.relpath(path, self.project) if inside or above else path


class Unsupported(Exception):
    """A key that multibuild cannot honour: why, and what to use instead."""

    def __init__(self, why: str, *, use_instead: str) -> None:
        """`why` follows the name of the key in a sentence; `use_instead` is the next step."""
        super().__init__(why)
        self.why = why
        self.use_instead = use_instead


def is_fetched(text: str) -> bool:
    """Whether BuildKit fetches a context or Dockerfile, so that it is no path."""
    return bool(_URL.match(text)) and not text.startswith(_CWD)


def attributes(entry: str | Mapping[str, Any], bare: str = "") -> dict[str, str]:
    """Return the attributes of an entry: an object, or a CSV record as older buildx prints it.

    `bare` is the attribute that a record without any is the value of.
    """
    if isinstance(entry, Mapping):
        return {key: _text(value) for key, value in entry.items() if value is not None}
    try:
        parts = next(csv.reader([entry]), [])
    except csv.Error as error:  # a newline in it
        raise Unsupported("is no list of attributes", use_instead="KEY=VALUE,KEY=VALUE") from error
    if bare and not any("=" in part for part in parts):
        return {bare: entry}
    pairs = (part.partition("=") for part in parts)
    return {key.strip().lower(): value for key, _, value in pairs}


def unescaped(text: str) -> str:
    """Return a text without the escapes that `--print` adds so that its output is a bake file again."""
    return text.replace("$${", "${").replace("%%{", "%{")


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
