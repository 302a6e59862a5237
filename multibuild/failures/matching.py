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
    r"|not ok |(?:--- )?FAIL(?:ED)?\b|[✗✕×●] |E  |\d{1,5}\) |(?:> )?\d{1,6} \| |\+{1,5} )",
    re.IGNORECASE,
)
"""What a compiler or linter says of a line of code, or a test runner of a test, which may have any words."""

_PYTEST = re.compile(r"E {2,20}\S|(?:FAILED|ERROR) \S{1,300}::")
"""What pytest says of a test: the exceptions of it are no trouble of the step's own."""

_OWN_ERROR = re.compile(
    r"\S{1,300}?[:(]\d{1,7}[:,](?:\d{1,7}\)?:)? (?:fatal )?error(?: (?:TS|CS|FS)\d{2,5})?: |error\[E\d{4}\]: "
    r"|\S{0,300}(?::|\bld:) .{0,300}undefined reference to|\[ERROR\] \S{1,300}\.java:\[\d{1,7},\d{1,7}\] "
    # go, cargo, pytest, mocha, jest, vitest, rspec, minitest, PHPUnit, Gradle, Maven, ctest, dotnet
    r"|\s{0,8}--- FAIL: |test result: FAILED|=* ?\d{1,7} failed\b|FAILED \((?:errors|failures)="
    r"|\s{0,8}(?:Tests|Test Files):? {1,8}\d{1,7} failed\b"
    r"|\d{1,7} examples?, [1-9]|\d{1,7} runs, \d{1,7} assertions, |FAILURES!$|\d{1,7} tests completed, \d{1,7} failed"
    r"|\[ERROR\] {1,8}Tests run: |\d{1,3}% tests passed, [1-9]|Failed! {1,4}- Failed: "
    r"|configure: error: "
)
"""What a compiler says of code that it refuses, a test runner of tests: the step's own failure, whatever was before."""

_FAILING = re.compile(r"\s{0,8}\d{1,7} failing\b")
"""What mocha says of its tests before it shows their errors."""

_DONE = {
    "apt": re.compile(r"Fetched \d.{0,40} in \d"),
    "apk": re.compile(r"OK: \d.{0,40} packages"),
    "dnf": re.compile(r"Complete!$"),
    "pip": re.compile(r"Successfully (?:installed|built|downloaded) |\s{0,8}Downloading \S{1,400} \(\d"),
    "npm": re.compile(r"(?:added|changed|removed|up to date, audited) \d{1,9} packages?\b"),
    "yarn": re.compile(r"Done in \d|✨ {1,4}Done in \d|\[[45]/[45]\] |success "),
    "pnpm": re.compile(r"Done in \d"),
    "wget": re.compile(r".{1,400} saved \[\d"),
}
"""What a tool says when it has what it asked for: the trouble that it warned of before has been overcome."""

_RETRIED = re.compile(
    r"\bretrying\b|\bwill retry\b|\btries remaining\b|\btry again in\b|\bretry in \d|^npm warn\b",
    re.IGNORECASE,
)
"""A tool that tries again itself has not failed yet."""

ANY_PROGRAM = "any program"
"""The tool of rows with words that any program may print."""

_DNS_PORT = re.compile(r":53\b")
_NETWORK = frozenset({"network", "server-error", "download-rate-limited"})
_OF_DOWNLOADS = frozenset((*_NETWORK, "mirror-out-of-sync"))


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
        return not self.signature.pattern or _compiled(self.signature).search(text) is not None


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
            if _knows(row, line, lower) and not _is_of_test(match := _match(row, line)):
                yield match


def _knows(row: _Row, line: str, lower: str) -> bool:
    if not any(phrase in lower for phrase in row.phrases):
        return False
    if row.signature.tool == ANY_PROGRAM and _CODE_OR_TEST.match(line):
        return False
    return row.has_pattern_in(line)


def _is_of_test(match: Match) -> bool:
    return match.name in _OF_DOWNLOADS and _PYTEST.match(match.line) is not None


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


def not_overcome(matches: Sequence[Match], lines: Sequence[str]) -> list[Match]:
    """Return the matches but trouble of downloads that the step went on after, by its lines in their order.

    A compiler's or a test runner's error shows that for all before it; the success of a tool for what it had warned of.
    """
    own, done = _went_on(lines)
    after = dict[str, int]()
    for match in matches:
        success = done.get(match.row.tool, 0) if match.weight == "warning" else 0
        after[match.line] = max(after.get(match.line, own), success)
    return [
        match
        for match in matches
        if match.name not in _OF_DOWNLOADS or match.line in lines[after[match.line] :]
    ]


def is_own_error(line: str) -> bool:
    """Whether a compiler or a test runner says that the step's own code failed."""
    return (_OWN_ERROR.match(line) or _FAILING.match(line)) is not None


def _went_on(lines: Sequence[str]) -> tuple[int, dict[str, int]]:
    """Return the places of the last error of the step's own, and of the last success of each tool."""
    own, done = 0, dict[str, int]()
    for number, line in enumerate(lines):
        if _FAILING.match(line):
            own = len(lines) - 1
        elif _OWN_ERROR.match(line):
            own = max(own, number)
        for tool, pattern in _DONE.items():
            if pattern.match(line):
                done[tool] = number
    return own, done


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
def _compiled(row: Signature) -> re.Pattern[str]:
    """Compile a pattern when a line first asks for it: all 470 take 0.2 s, and most builds ask for none.

    A message has several lines, each of which a row may mean.
    """
    return re.compile(row.pattern, re.IGNORECASE | re.MULTILINE)
