"""`--fix`: apply the edits of findings, until nothing that can be proven is left."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Sequence

from multibuild.lint.finding import Edit, Finding
from multibuild.lint.lint import edits_of

MAX_ROUNDS = 8
"""One mends another's cause at most a few times; each round reads the file anew."""

_FROM = re.compile(r"^[ \t]{0,20}FROM\s", re.IGNORECASE | re.MULTILINE)
_DECLARATION = re.compile(r"ARG \w+\r?\n")


def fixed_text(text: str, find: Callable[[str], Sequence[Finding]]) -> str:
    """Return a Dockerfile with every edit of its findings, and the rest character for character.

    An edit may bring up the next (a declaration that is now missing), so it is applied until nothing changes.
    """
    for _ in range(MAX_ROUNDS):
        edits = _declared_once(text.removeprefix("\ufeff"), edits_of(find(text)))
        if not edits:
            return text
        text = applied(text, edits)
    return text


def _declared_once(text: str, edits: Sequence[Edit]) -> list[Edit]:
    """Return the edits without what declares an argument again in its stage: each finding declares what it uses."""
    kept, declared, at = [], set[str](), 0
    for edit in edits:
        if _FROM.search(text, at, edit.start) is not None:
            declared.clear()
        at = edit.start
        if _DECLARATION.fullmatch(edit.text) is not None:
            if edit.text in declared:
                continue
            declared.add(edit.text)
        kept.append(edit)
    return kept


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
