"""`--fix`: apply the edits of findings, until nothing that can be proven is left."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Sequence

from multibuild.lint.finding import Edit, Finding
from multibuild.lint.lint import edits_of

MAX_ROUNDS = 8
"""One mends another's cause at most a few times; each round reads the file anew."""


def fixed_text(text: str, find: Callable[[str], Sequence[Finding]]) -> str:
    """Return a Dockerfile with every edit of its findings, and the rest character for character.

    An edit may bring up the next (a declaration that is now missing), so it is applied until nothing changes.
    """
    for _ in range(MAX_ROUNDS):
        edits = edits_of(find(text))
        if not edits:
            return text
        text = applied(text, edits)
    return text


def applied(text: str, edits: Sequence[Edit]) -> str:
    """Apply edits whose places count without a byte order mark; those in one place in their order."""
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    body = text.removeprefix("\ufeff")
    pieces, at = [], 0
    for edit in edits:
        pieces += [body[at : edit.start], edit.text]
        at = edit.end
    return mark + "".join([*pieces, body[at:]])


def diff(before: str, after: str, file: str) -> Iterator[str]:
    """Yield a unified diff, line by line without line ends."""
    lines = difflib.unified_diff(before.split("\n"), after.split("\n"), file, file, lineterm="", n=2)
    yield from lines
