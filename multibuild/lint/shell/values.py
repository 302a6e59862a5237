"""What a text is on one platform: variables filled in, commands that print an architecture answered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Literal

from multibuild.dockerfile.parse import PLATFORM_ARGS
from multibuild.dockerfile.source import Text
from multibuild.lint.arch_names import UNKNOWN

MAX_VALUE = 4096
"""Characters of a value; a longer one is unknown."""

MAX_PATTERN = 100
MAX_SPANS = 50

Mark = Literal["arch", "build", "meant", "branch", "argument", "kernel"]
"""What is known of a value beside its text.

"arch": it comes from a platform; "build": from the builder's; "meant": and there from $BUILDARCH, which asks for it by
name; "branch": from the `else` of a choice by architecture; "argument": a caller may set it; "kernel": from the kernel.
"""

Marks = frozenset[Mark]
Spans = tuple[tuple[int, int], ...]
"""Parts of a text, from the first index to before the second."""

NONE: Marks = frozenset()


@dataclass(frozen=True, slots=True)
class Origin:
    """A place in the file, from `start` to before `end`; `whole`: the value stands there in one piece."""

    start: int
    end: int
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Value:
    """A value of a variable; UNKNOWN stands for each part that is not known.

    `settable` are the parts that a caller may set, of one with the mark "argument"; none: all of it.
    """

    text: str
    marks: Marks = NONE
    origin: Origin | None = None
    settable: Spans = ()

    @property
    def is_known(self) -> bool:
        """Whether all of it is known."""
        return UNKNOWN not in self.text


UNKNOWN_VALUE = Value(UNKNOWN)
EMPTY = Value("", frozenset({"arch"}))
"""Of an automatic ARG that is not declared."""

UNSET = Value(UNKNOWN)
"""Of a name that nothing here sets; an environment from elsewhere may."""


@dataclass(slots=True)
class Expanded:
    """A word with its variables filled in.

    `source` is the text it stands in, from `start` to `end`. `pieces` are (index in `text`, index in `source`, or None
    for what a variable holds), in order. `origins` are the places of the values that went in, `settable` the parts of
    `text` that a caller may set.
    """

    source: Text
    start: int = 0
    end: int = 0
    text: str = ""
    marks: Marks = NONE
    pieces: list[tuple[int, int | None]] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)
    settable: Spans = ()

    def add(self, text: str, at: int | None, marks: Iterable[Mark] = ()) -> None:
        """Append a piece."""
        self.pieces.append((len(self.text), at))
        self.text += text
        self.marks = self.marks.union(marks)

    def span(self, begin: int, end: int) -> Origin:
        """Return the place in the file of a part of `text`: of the whole word, if it does not stand there itself."""
        for first, at in reversed(self.pieces):
            if first <= begin:
                if at is not None and self.source.is_contiguous(at + begin - first, at + end - first):
                    start = self.source.offset(at + begin - first)
                    return Origin(start, start + end - begin)
                break
        return self.origin

    @property
    def origin(self) -> Origin:
        """The place of the word."""
        start = self.source.offset(self.start)
        whole = self.source.is_contiguous(self.start, self.end)
        return Origin(start, start + self.end - self.start, whole=whole)

    @property
    def value(self) -> Value:
        """The word as a value of a variable."""
        if len(self.text) > MAX_VALUE:
            return Value(UNKNOWN, self.marks)
        return Value(self.text, self.marks, self.origin, self.settable)

    def is_settable(self, begin: int, end: int) -> bool:
        """Whether a caller may set some of a part of `text`."""
        return any(first < end and begin < last for first, last in self.settable)

    @property
    def is_known(self) -> bool:
        """Whether all of it is known."""
        return UNKNOWN not in self.text


def operate(value: Value | None, operator: str, argument: Value) -> Value:
    """Apply `${name<operator>argument}`; `value` is None for a name that is not set."""
    text = "" if value is None else value.text
    marks = NONE if value is None else value.marks
    if UNKNOWN in text:
        return Value(UNKNOWN, marks | argument.marks)
    is_set = value is not None and (bool(text) or not operator.startswith(":"))
    match operator.lstrip(":"):
        case "-" | "=" | "?":
            return _without_place(value) if is_set else argument
        case "+":
            return Value(argument.text, marks | argument.marks) if is_set else Value("", marks)
        case "":
            return _without_place(value) if not operator else Value(UNKNOWN, marks)
    if UNKNOWN in argument.text:
        return Value(UNKNOWN, marks | argument.marks)
    return Value(_edited(text, operator, argument.text), marks)


def _without_place(value: Value | None) -> Value:
    return Value("") if value is None else replace(value, origin=None)


def _edited(text: str, operator: str, pattern: str) -> str:
    """Apply an operator that edits text: bash's `/` and case, the shell's `#` and `%`."""
    if operator in {",", ",,", "^", "^^"}:
        changed = text.lower() if "," in operator else text.upper()
        return changed if len(operator) == 2 else changed[:1] + text[1:]
    if operator in {"/", "//"}:
        old, _, new = pattern.partition("/")
        if not old or any(sign in old for sign in "*?["):
            return UNKNOWN
        return text.replace(old.replace("\\", ""), new, -1 if operator == "//" else 1)
    if operator not in {"#", "##", "%", "%%"} or len(pattern) > MAX_PATTERN or len(text) > MAX_PATTERN:
        return UNKNOWN
    cuts = range(len(text) + 1)
    if operator[0] == "#":
        order = cuts if operator == "#" else reversed(cuts)
        return next((text[cut:] for cut in order if fnmatchcase(text[:cut], pattern)), text)
    order = reversed(cuts) if operator == "%" else cuts
    return next((text[:cut] for cut in order if fnmatchcase(text[cut:], pattern)), text)


_DOCKERFILE_VARIABLE = re.compile(
    r"\\.|\$(?:(?P<plain>[A-Za-z_]\w*)|\{(?P<name>[A-Za-z_]\w*)(?:(?P<operator>:?[-+?]|##?|%%?|//?)(?P<argument>[^}]{0,256}))?\})"
)


def expand_dockerfile(
    source: Text, values: Mapping[str, Value], start: int = 0, end: int | None = None
) -> Expanded:
    """Expand variables as BuildKit does outside RUN; a name without a value is unknown: a base image may set it.

    Only the automatic arguments are empty then.
    """
    end = len(source.text) if end is None else end
    result = Expanded(source, start, end)
    at = start
    for match in _DOCKERFILE_VARIABLE.finditer(source.text, start, end):
        result.add(source.text[at : match.start()], at)
        at = match.end()
        name = match["plain"] or match["name"]
        if name is None:
            result.add(match[0][1:], match.start() + 1)
            continue
        argument = UNKNOWN_VALUE
        if "$" not in (match["argument"] or ""):
            argument = Value(match["argument"] or "")
        own = values.get(name, EMPTY if name in PLATFORM_ARGS else UNSET)
        add_variable(result, operate(own, match["operator"] or "", argument), own)
        if len(result.text) > MAX_VALUE or len(result.pieces) > MAX_VALUE:
            result.add(UNKNOWN, None)
            return result
    result.add(source.text[at:end], at)
    return result


def add_variable(result: Expanded, value: Value, origin: Value | None) -> None:
    """Append the value of a variable to a word."""
    if "argument" in value.marks and len(result.settable) < MAX_SPANS:
        begin = len(result.text)
        spans = value.settable or ((0, len(value.text)),)
        result.settable += tuple((begin + first, begin + last) for first, last in spans)
    result.add(value.text, None, value.marks)
    if origin is not None and origin.origin is not None:
        result.origins.append(origin.origin)


def unset_names(
    source: Text, values: Mapping[str, Value], names: frozenset[str]
) -> Iterator[tuple[str, int]]:
    """Yield the uses of `names` in a text of BuildKit's that have no value and no default: (name, index)."""
    for match in _DOCKERFILE_VARIABLE.finditer(source.text):
        name = match["plain"] or match["name"]
        if name in names and name not in values and (match["operator"] or "#")[-1] not in "-+?=":
            yield name, match.start()
