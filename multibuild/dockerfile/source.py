"""The instructions of a Dockerfile with the place of every character: for findings that name a column, and for edits.

Continued lines are joined as by BuildKit (frontend/dockerfile/parser): the escape character at the end of a line goes,
with blanks behind it; blank lines and comments in between go; leading blanks of the next line stay.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from multibuild.frozen import frozen

_DIRECTIVE = re.compile(r"#\s*(\w+)\s*=\s*(\S+)\s*$")
# A separate word: `$((1<<N))` and bash's `<<<` are no heredocs.
_HEREDOC = re.compile(r"(?:^|\s)\d*<<(-?)([\"']?)([A-Za-z_][\w.-]*)\2(?=\s|$|[;|&>)])")
_SHEBANG = re.compile(r"\A#!.*\n")  # only `syntax` may follow one (BuildKit, parser.DetectSyntax)
_HEREDOC_WORDS = frozenset({"RUN", "COPY", "ADD"})
_BLANKS = " \t\r\x0b\x0c"


@frozen
class Place:
    """A place in a file: line and column from 1, in characters."""

    line: int
    column: int


@frozen
class Text:
    """Text out of a file, in one piece or more; `starts[i]` is where a piece begins in it, `offsets[i]` in the file."""

    text: str
    starts: tuple[int, ...] = (0,)
    offsets: tuple[int, ...] = (0,)

    def offset(self, index: int) -> int:
        """Return the offset in the file of a character of the text, or of its end."""
        piece = max(bisect_right(self.starts, index) - 1, 0)
        return self.offsets[piece] + index - self.starts[piece]

    def is_contiguous(self, start: int, end: int) -> bool:
        """Whether nothing of the file lies between the characters of a part of the text."""
        return self.offset(end - 1) - self.offset(start) == end - 1 - start if end > start else True

    def part(self, start: int, end: int | None = None) -> Text:
        """Return a part of the text."""
        stop = len(self.text) if end is None else end
        first = max(bisect_right(self.starts, start) - 1, 0)
        last = max(bisect_right(self.starts, max(stop - 1, start)), first + 1)
        return Text(
            text=self.text[start:stop],
            starts=(0, *(begin - start for begin in self.starts[first + 1 : last])),
            offsets=(self.offset(start), *self.offsets[first + 1 : last]),
        )


@frozen
class Heredoc:
    """The content of a heredoc; a `quoted` one has its variables left alone by BuildKit."""

    body: Text
    quoted: bool


@frozen
class SourceInstruction:
    """One instruction: its word in capitals, the rest behind it, and its first and last line (from 1)."""

    word: str
    rest: Text
    line: int
    last_line: int
    offset: int
    heredocs: tuple[Heredoc, ...] = ()


@frozen
class Source:
    """A Dockerfile: its text without byte order mark, and its instructions in order."""

    text: str
    instructions: tuple[SourceInstruction, ...]
    line_offsets: tuple[int, ...]
    directives: dict[str, str]

    def place(self, offset: int) -> Place:
        """Return line and column of a character."""
        line = bisect_right(self.line_offsets, offset)
        return Place(line=line, column=offset - self.line_offsets[line - 1] + 1)

    def line(self, number: int) -> str:
        """Return a line by its number, without its end."""
        start = self.line_offsets[number - 1]
        end = self.line_offsets[number] - 1 if number < len(self.line_offsets) else len(self.text)
        return self.text[start:end].removesuffix("\r")


@dataclass(frozen=True, slots=True)
class _Line:
    """One line without its end; there may be a hundred thousand."""

    number: int
    offset: int
    text: str

    @property
    def is_blank(self) -> bool:
        stripped = self.text.lstrip()
        return not stripped or stripped.startswith("#")


def read_source(text: str) -> Source:
    """Read the instructions of a Dockerfile; whatever is no instruction of BuildKit's stays one word and a rest."""
    text = text.removeprefix("\ufeff")
    lines = tuple(_lines(text))
    found = directives(_SHEBANG.sub("", text))
    return Source(
        text=text,
        instructions=tuple(_instructions(lines, "`" if directives(text).get("escape") == "`" else "\\")),
        line_offsets=tuple(line.offset for line in lines),
        directives=found,
    )


def directives(text: str) -> dict[str, str]:
    """Return the parser directives: at the very top, one a line; the first other line ends them."""
    found = {}
    for line in _lines(text):
        match = _DIRECTIVE.match(line.text)
        if not match:
            break
        found[match[1].lower()] = match[2]
    return found


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines: a form feed or U+2028 ends none, other than in str.splitlines."""
    offset = 0
    for number, line in enumerate(text.split("\n"), 1):
        yield _Line(number, offset, line.removesuffix("\r"))
        offset += len(line) + 1


def _instructions(all_lines: Sequence[_Line], escape: str) -> Iterator[SourceInstruction]:
    lines = iter(all_lines)
    for line in lines:
        if line.is_blank:
            continue
        whole, last = _joined(line, lines, escape)
        begin = len(whole.text) - len(whole.text.lstrip())
        end = next((at for at in range(begin, len(whole.text)) if whole.text[at].isspace()), len(whole.text))
        word = whole.text[begin:end].upper()
        rest_begin = len(whole.text) - len(whole.text[end:].lstrip())
        rest = whole.part(rest_begin, max(len(whole.text.rstrip()), rest_begin))
        heredocs = []
        for match in _HEREDOC.finditer(whole.text) if word in _HEREDOC_WORDS else ():
            heredoc, last = _heredoc(match, lines, last)
            heredocs.append(heredoc)
        yield SourceInstruction(
            word=word,
            rest=rest,
            line=line.number,
            last_line=last.number,
            offset=whole.offset(begin),
            heredocs=tuple(heredocs),
        )


def _joined(line: _Line, lines: Iterator[_Line], escape: str) -> tuple[Text, _Line]:
    """Return a line with those that continue it, and the last of them."""
    pieces, starts, offsets, length = [], [], [], 0
    current = line
    while True:
        stripped = current.text.rstrip(_BLANKS)
        goes_on = stripped.endswith(escape)
        piece = stripped[:-1] if goes_on else current.text
        pieces.append(piece)
        starts.append(length)
        offsets.append(current.offset)
        length += len(piece)
        following = next((other for other in lines if not other.is_blank), None) if goes_on else None
        if following is None:
            break
        current = following
    return Text(text="".join(pieces), starts=tuple(starts), offsets=tuple(offsets)), current


def _heredoc(match: re.Match[str], lines: Iterator[_Line], last: _Line) -> tuple[Heredoc, _Line]:
    """Return the heredoc up to its end, and the last line that belongs to it."""
    dash, quote, end = match.groups()
    pieces, starts, offsets, length = [], [], [], 0
    for line in lines:
        last = line
        if (line.text.lstrip("\t") if dash else line.text) == end:
            break
        pieces.append(line.text)
        starts.append(length)
        offsets.append(line.offset)
        length += len(line.text) + 1
    body = Text(text="\n".join(pieces), starts=tuple(starts) or (0,), offsets=tuple(offsets) or (0,))
    return Heredoc(body=body, quoted=bool(quote)), last
