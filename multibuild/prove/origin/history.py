"""The history of an image config: which entry is which layer's, and which instruction of the Dockerfile made it.

BuildKit writes one entry for each instruction (frontend/dockerfile/dockerfile2llb/convert.go, commitToHistory), with
variables of COPY, ADD and WORKDIR expanded, `--from` and `--link` left out, and the arguments of RUN before its shell.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.dockerfile.source import SourceInstruction
from multibuild.frozen import frozen
from multibuild.lint.steps import flags_of

MAX_ENTRIES = 1000
"""Entries of a history that is read: more than layers an image may have."""

MAX_SHOWN = 120
"""Characters of an instruction in a message."""

LAYER_WORDS = frozenset({"RUN", "COPY", "ADD", "WORKDIR"})
"""Instructions that may make a layer."""

_SUFFIX = " # buildkit"
_LEGACY = "/bin/sh -c #(nop) "
_QUOTING = re.compile(r"[\"'\\]")
_SHELL = re.compile(r"/\S{1,60} (?:-\w{1,12} (?:pipefail )?){1,4}")
_FLAG = re.compile(r"\s*--[a-z][a-z-]*(?:=\S*)?(?=\s)")
_VARIABLE = re.compile(r"\$(?:\w+|\{[^{}]*\})|<<-?\S+")


@frozen
class Entry:
    """One entry: its instruction's word in capitals, the rest, and whether it is a layer's."""

    word: str
    rest: str
    has_layer: bool

    @property
    def shown(self) -> str:
        """The instruction for a message, without the values of build arguments, which may be secret."""
        rest = self.rest
        if self.word == "RUN" and rest.startswith("|"):
            # The last shell: a value may look like one, too.
            shells = [match.end() for match in _SHELL.finditer(rest)]
            rest = rest[shells[-1] :] if shells else "…"
        elif self.word == "RUN":
            rest = rest.removeprefix("/bin/sh -c ")
        return f"{self.word} {' '.join(rest[: 10 * MAX_SHOWN].split())}".strip()


def read_history(config: Mapping[str, Any]) -> tuple[Entry, ...]:
    """Return the entries of an untrusted image config; none where it has none, too many, or some of another type.

    None either where BuildKit's exporter has filled up a history that did not fit the layers: it adds at the end what
    is missing below, where a base image has no history (exporter/containerimage/writer.go, normalizeLayersAndHistory).
    """
    rows = config.get("history")
    if not isinstance(rows, list) or len(rows) > MAX_ENTRIES:
        return ()
    if not all(isinstance(row, dict) for row in rows):
        return ()
    if any(str(row.get("comment")).startswith("buildkit.exporter.") for row in rows):
        return ()
    return tuple(_entry(row) for row in rows)


def _entry(row: Mapping[str, Any]) -> Entry:
    text = row.get("created_by")
    text = text.removesuffix(_SUFFIX) if isinstance(text, str) else ""
    if text.startswith(_LEGACY):
        text = text.removeprefix(_LEGACY).lstrip()
    elif text.startswith("/bin/sh -c "):
        text = f"RUN {text}"
    word, _, rest = text.partition(" ")
    return Entry(word=word.upper()[:20], rest=rest, has_layer=row.get("empty_layer") is not True)


def layer_entries(history: Sequence[Entry], layers: int) -> tuple[int, ...] | None:
    """Return the number of each layer's entry; None when there are not as many as layers."""
    numbers = tuple(number for number, entry in enumerate(history) if entry.has_layer)
    return numbers if len(numbers) == layers else None


@frozen
class Alignment:
    """The index of the instruction that made each entry. `is_complete` when there is an entry for each of them.

    What is below the first is the base image's then. `is_shifted` when one of them lacks its layer: BuildKit takes the
    layers of the last entries away where a base image has more entries than layers (normalizeLayersAndHistory).
    """

    instructions: Mapping[int, int]
    is_complete: bool
    is_shifted: bool = False

    def is_of_base(self, number: int) -> bool:
        """Whether an entry is certainly the base image's."""
        return self.is_complete and number < min(self.instructions, default=number + 1)


def align(instructions: Sequence[SourceInstruction], history: Sequence[Entry]) -> Alignment:
    """Find the entry of each instruction, from the last one up, as far as their texts agree."""
    matched: dict[int, int] = {}
    is_shifted = False
    number = len(history)
    for index in range(len(instructions) - 1, -1, -1):
        if instructions[index].word not in LAYER_WORDS:
            continue
        number -= 1
        while number >= 0 and history[number].word not in LAYER_WORDS:
            number -= 1
        if number < 0 or not agrees(instructions[index], history[number]):
            return Alignment(instructions=matched, is_complete=False, is_shifted=is_shifted)
        matched[number] = index
        is_shifted |= not (history[number].has_layer or _makes_no_layer(history[number]))
    return Alignment(instructions=matched, is_complete=True, is_shifted=is_shifted)


def _makes_no_layer(entry: Entry) -> bool:
    """Whether an entry never has a layer: only that of `WORKDIR /` (dispatchWorkdir)."""
    return entry.word == "WORKDIR" and entry.rest == "/"


def agrees(instruction: SourceInstruction, entry: Entry) -> bool:
    """Whether an entry may be an instruction's: the same words, anything where a variable stands."""
    if instruction.word != entry.word:
        return False
    if instruction.word == "RUN":
        return _runs(instruction, entry)
    rest = flags_of(instruction)[1].text
    text = " ".join(_words(rest))
    actual = " ".join(_without_flags(entry.rest).split())
    if instruction.word == "WORKDIR":
        return _fits(_directory(text.strip("\"'")), posixpath.normpath(actual))
    return _fits(text, actual)


def copied_words(entry: Entry, count: int) -> tuple[str, ...] | None:
    """Return sources and destination of a COPY or ADD with variables expanded; None unless there are `count`."""
    words = tuple(_without_flags(entry.rest).split())
    return words if len(words) == count else None


def _runs(instruction: SourceInstruction, entry: Entry) -> bool:
    rest, actual = flags_of(instruction)[1].text, " ".join(entry.rest.split())
    if instruction.heredocs:
        bodies = [" ".join(heredoc.body.text.split()) for heredoc in instruction.heredocs]
        return all(body in actual for body in bodies) or "/dev/pipes/" in actual
    text = " ".join(" ".join(_words(rest)).split())
    return bool(text) and f" {actual}".endswith(f" {text}")


def _directory(text: str) -> str:
    """Return the pattern of a WORKDIR in normal form: BuildKit writes an absolute path."""
    if text.startswith("$"):
        return text.rstrip("/")
    absolute = text.startswith("/")
    text = text.rstrip("/") if "$" in text else posixpath.normpath(text)
    return text if absolute else f"${{HERE}}{text.lstrip('./')}"


def _words(rest: str) -> Sequence[str]:
    """Return the words of the exec form, else the text as the only one."""
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except (ValueError, RecursionError):
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            return words
    return (rest,)


def _without_flags(text: str) -> str:
    at = 0
    while (match := _FLAG.match(text, at)) is not None:
        at = match.end()
    return text[at:].strip()


def _fits(pattern: str, text: str) -> bool:
    """Whether a text is a pattern's, where a variable may stand for anything; in time linear in the text's length."""
    pieces = [_QUOTING.sub("", piece) for piece in _VARIABLE.split(" ".join(pattern.split()))]
    if len(pieces) == 1:
        return pieces[0] == text
    if not text.startswith(pieces[0]) or not text[len(pieces[0]) :].endswith(pieces[-1]):
        return False
    at, end = len(pieces[0]), len(text) - len(pieces[-1])
    for piece in pieces[1:-1]:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True
