"""Lines of a log of any size and encoding, in blocks: without what moves a cursor or sets a colour."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import IO

from multibuild.errors import UsageError
from multibuild.terminal import without_escapes

BLOCK_BYTES = 1 << 20
"""Read at a time; with its lines the most that is in memory of a log."""

MAX_LOG_BYTES = 1 << 30
"""Of a log; one without an end must not be read for ever."""

MAX_LINE_CHARACTERS = 128 << 10
"""Of a longer line both halves are kept: an error begins with the action and ends with the cause."""

MAX_PIECES = 3
"""Last texts kept of a line that a carriage return began again."""

_CURSOR = re.compile(r"\x1b\[[\d;]*[A-HSTf]")
_LITERAL_ESCAPE = re.compile(r"(?:\^\[|\u241b)\[[\d;?]{0,20}[A-Za-z]")
_BARE_COLOUR = re.compile(r"(?<!u001b)(?<!u001B)\[(?:(?:\d{1,3};){0,4}\d{1,3}m|0K|m\[K)")
_SECTION = re.compile(r"section_(?:start|end):\d{1,12}:[^\s\r]{1,200}\r?")
_FOLD = re.compile(r"travis_(?:fold|time):[^\r\n]{0,200}\r")
_TAG = re.compile(
    r"</?(?:br|pre|code|details|summary|p|div|span|blockquote|table|tr|td|b|font)(?:[ /][^<>\n]{0,200})?>"
)
_OUTPUT = re.compile(r"#\d{1,6} \d{1,7}\.\d{1,3} ")
_ENTITIES = (
    ("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#34;", '"'), ("&#39;", "'"), ("&#x27;", "'"), ("&nbsp;", " "),
    ("&amp;", "&"),
)  # fmt: skip
_BYTE_ORDER_MARKS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def text_blocks(stream: IO[bytes]) -> Iterator[list[str]]:
    """Yield the lines of a log in blocks, in bounded memory however long a line is.

    Raises UsageError for a log of more than MAX_LOG_BYTES.
    PowerShell writes UTF-16 when it redirects. Anything else is read as UTF-8, with replacements.
    """
    chunk = stream.read(BLOCK_BYTES)
    left = MAX_LOG_BYTES - len(chunk)
    encoding = next((name for mark, name in _BYTE_ORDER_MARKS if chunk.startswith(mark)), "utf-8")
    decoder = codecs.getincrementaldecoder(encoding)("replace")
    rest = ""
    while chunk:
        text = rest + decoder.decode(chunk)
        end = text.rfind("\n") + 1 or text.rfind("\r") + 1
        whole, rest = text[:end], _cut(text[end:])
        if whole:
            yield clean_lines(whole)
        chunk = stream.read(BLOCK_BYTES)
        left -= len(chunk)
        if left < 0:
            raise UsageError(
                f"the log is larger than {MAX_LOG_BYTES >> 20} MiB",
                hint="give its end, where the failure is: tail -c 500M LOG | multibuild explain -",
            )
    if rest := rest + decoder.decode(b"", final=True):
        yield clean_lines(rest)


def _cut(line: str) -> str:
    half = MAX_LINE_CHARACTERS // 2
    return line if len(line) <= 2 * half else f"{line[:half]} … {line[-half:]}"


def clean_lines(text: str) -> list[str]:
    """Return the lines of a text, clean. Line feeds and returns end a line, not all that `str.splitlines` knows."""
    text = _without_markup(_without_control(text)).replace("\r\n", "\n")
    lines = text.removesuffix("\n").split("\n")
    if " \n" in text or "\t\n" in text:
        lines = [line.rstrip() for line in lines]
    if "\r" in text:
        lines = [piece for line in lines for piece in _pieces(line)]
    return [_cut(line) for line in lines] if max(map(len, lines), default=0) > MAX_LINE_CHARACTERS else lines


def _without_control(text: str) -> str:
    """Remove escape sequences, also where a copy lost the escape character; a moved cursor begins a line."""
    if "\x1b" in text:
        text = without_escapes(_CURSOR.sub("\n", text))
    if "^[[" in text or "\u241b[" in text:
        text = _LITERAL_ESCAPE.sub("", text)
    if "[0m" in text or "[m[K" in text or "[0K" in text or "[39m" in text:
        text = _BARE_COLOUR.sub("", text)
    if "section_" in text:
        text = _SECTION.sub("", text)
    if "travis_" in text:
        text = _FOLD.sub("", text)
    return text.replace("\ufeff", "") if "\ufeff" in text else text


def _without_markup(text: str) -> str:
    """Undo what a web page or a mail made of the log."""
    if "&" in text and any(entity in text for entity, _ in _ENTITIES):
        for entity, character in _ENTITIES:
            text = text.replace(entity, character)
    if "<" in text and any(tag in text for tag in ("pre>", "<br", "code>", "span>", "<details")):
        text = _TAG.sub("", text)
    return text


def _pieces(line: str) -> list[str]:
    """Split a line that was drawn again; each text keeps the step and time that the line began with."""
    if "\r" not in line:
        return [line]
    pieces = [piece for piece in line.split("\r") if piece.strip()]
    if not pieces:
        return []
    begin = _OUTPUT.match(pieces[0])
    prefix = begin[0] if begin else ""
    first = pieces[0] if len(pieces) <= MAX_PIECES else ""
    others = [piece if piece.startswith(prefix) else prefix + piece for piece in pieces[1:][-MAX_PIECES:]]
    return [first, *others] if first else others
