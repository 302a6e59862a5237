"""Search of the signature tables: which sentences a text has, cheaply for the lines that have none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache

from multibuild.failures.signatures import MESSAGE_SIGNATURES, OUTPUT_SIGNATURES, Signature, Weight
from multibuild.frozen import frozen

_WORDS = bytes(
    ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ") for code in range(256)
)
"""Makes a line, in UTF-8, a row of words: letters and digits in lower case. Bytes take half the time of text.

What is not ASCII separates: quotation marks, and the thin spaces of pnpm."""

_COMMON = frozenset(
    b"a at by for from get in is not of on or the to was with status package packages reading http https error warning"
    b" server client stream python module connect connection find file class found format version archive"
    b" resolve index".split()
)
"""Words that lines of builds without failures have, too: where a sentence has another, that one leads to its row."""

LOOPBACK = re.compile(r"\b127\.\d{1,3}\.\d{1,3}\.\d{1,3}\b|\blocalhost\b|\[?::1\]?[:\s]", re.IGNORECASE)
"""An address at which only the step itself can listen."""

_CODE_OR_TEST = re.compile(
    r"^\s{0,40}(?:\S{1,300}?[:(]\d{1,7}[:,.]\d{1,7}\)?: |\d{1,7}:\d{1,7}\s{1,20}(?:error|warning)\b"
    r"|not ok |(?:--- )?FAIL(?:ED)?\b|[✗✕×●] |E  |\d{1,5}\) )",
    re.IGNORECASE,
)
"""What a compiler or linter says of a line of code, or a test runner of a test, which may have any words."""

_RETRIED = re.compile(
    r"\bretrying\b|\bwill retry\b|\btries remaining\b|\btry again in\b|\bretry in \d", re.IGNORECASE
)
"""A tool that tries again itself has not failed yet."""

ANY_PROGRAM = "any program"
"""The tool of rows with words that any program may print."""

_DNS_PORT = re.compile(r":53\b")
_NETWORK = frozenset({"network", "server-error", "download-rate-limited"})


@frozen
class Match:
    """A line of a step's output and the row that knows it; `rank` is the row's place in the table.

    Class and weight are the row's, but for a loopback address and a tool that tries again.
    """

    row: Signature
    rank: int
    line: str
    name: str
    weight: Weight


@frozen
class _Row:
    rank: int
    signature: Signature
    phrases: tuple[str, ...]

    def has_pattern_in(self, text: str) -> bool:
        """Whether the pattern, if there is one, finds something."""
        pattern = self.signature.pattern
        return not pattern or _compiled(pattern).search(text) is not None


def output_matches(line: str) -> Iterator[Match]:
    """Yield what the rows for a step's output know of a line, in no order.

    A network class of a loopback address is the class `loopback`: what listens there is the step's own affair. Nearly
    all lines of a build have no word of any row; a set of words is the cheapest way to find that out (1 µs a line).
    """
    rows = _output_rows()
    words = _output_words().intersection(words_of(line))
    if not words:
        return
    lower = line.lower()
    for word in words:
        for row in rows[word]:
            if _knows(row, line, lower):
                yield _match(row, line)


def _knows(row: _Row, line: str, lower: str) -> bool:
    if not any(phrase in lower for phrase in row.phrases):
        return False
    if row.signature.tool == ANY_PROGRAM and _CODE_OR_TEST.match(line):
        return False
    return row.has_pattern_in(line)


def _match(row: _Row, line: str) -> Match:
    weight = row.signature.weight
    is_loopback = row.signature.name in _NETWORK and LOOPBACK.search(line) and not _DNS_PORT.search(line)
    return Match(
        row=row.signature,
        rank=row.rank,
        line=line,
        name="loopback" if is_loopback else row.signature.name,
        weight="warning" if weight == "cause" and _RETRIED.search(line) else weight,
    )


def message_match(text: str) -> Signature | None:
    """Return the first row that knows a message of BuildKit or a client."""
    lower = text.lower()
    for row in _message_rows():
        if row.signature.word in lower and row.has_pattern_in(text):
            return row.signature
    return None


@cache
def _output_rows() -> dict[bytes, tuple[_Row, ...]]:
    """Return the rows for output by the words that lead to them."""
    rows: dict[bytes, tuple[_Row, ...]] = {}
    for row in _rows(OUTPUT_SIGNATURES):
        for key in keys_of(row.signature):
            rows[key] = (*rows.get(key, ()), row)
    return rows


@cache
def _output_words() -> frozenset[bytes]:
    return frozenset(_output_rows())


def may_match(words: Iterable[bytes]) -> bool:
    """Whether a row for output may know a line with these words."""
    return not _output_words().isdisjoint(words)


def words_of(text: str) -> list[bytes]:
    """Return the words of a text: runs of ASCII letters and digits in lower case."""
    return text.encode("utf-8", "replace").translate(_WORDS).split()


def keys_of(row: Signature) -> tuple[bytes, ...]:
    """Return the words one of which is in every line that a row for output knows: the longest of each alternative."""
    return tuple(
        max(words_of(phrase), key=lambda word: (word not in _COMMON, len(word)))
        for phrase in row.word.split("|")
    )


@cache
def _message_rows() -> tuple[_Row, ...]:
    return _rows(MESSAGE_SIGNATURES)


def _rows(table: Sequence[Signature]) -> tuple[_Row, ...]:
    return tuple(
        _Row(rank=rank, signature=row, phrases=tuple(row.word.split("|"))) for rank, row in enumerate(table)
    )


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    """Compile a pattern when a line first asks for it: all 470 take 0.2 s, and most builds ask for none.

    A message has several lines, each of which a row may mean.
    """
    return re.compile(pattern, re.IGNORECASE | re.MULTILINE)
