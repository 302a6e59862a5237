"""Text for terminals: foreign output made harmless, columns, human-readable sizes and times."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence

# ECMA-48: control sequences (CSI), strings (OSC, DCS, SOS, PM, APC) and two-character escapes, also in their
# eight-bit form. An unterminated string ends with its line: it must not swallow what follows.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]+[0-~]|\x1b[0-Z\\^_`-~]"
)
# The rest of C0 and C1 except newline and tab; line separators; halves of surrogate pairs; characters that reorder
# text or are invisible (Default_Ignorable_Code_Point in DerivedCoreProperties.txt of Unicode), which some programs skip
# when they look for a word: "\u200b::error" begins with "::" for .NET.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufff9-\ufffb"
    r"\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    r"\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)

_NO_BREAK = "\x00"


def without_escapes(text: str) -> str:
    """Remove terminal escape sequences; other control characters stay."""
    return _ESCAPES.sub("", text)


def printable(text: str) -> str:
    """Remove terminal escape sequences, control characters and direction overrides; keep newline and tab."""
    return _CONTROLS.sub("", without_escapes(text))


def one_line(text: str) -> str:
    """Return printable text on one line: newlines and tabs become spaces."""
    return " ".join(printable(text).splitlines()).replace("\t", " ")


def last_line(text: object) -> str:
    """Return the last informative line of evidence: the command's own, not BuildKit's "did not complete"."""
    lines = [line for line in str(text or "").splitlines() if line.strip()]
    while len(lines) > 1 and "did not complete successfully" in lines[-1]:
        lines.pop()
    return lines[-1] if lines else ""


def shorten(text: str, width: int) -> str:
    """Cut a line to `width` characters, with an ellipsis where it was longer."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def wrapped(text: str, width: int, *, indent: str = "") -> str:
    """Break lines between words at `width`, and indent what follows a break; words and `commands` stay whole."""
    lines = []
    for line in text.splitlines():
        if len(line) <= width:
            lines.append(line)
            continue
        parts = line.split("`")
        # textwrap breaks at ASCII white space alone.
        parts[1::2] = [part.replace(" ", _NO_BREAK) for part in parts[1::2]]
        lines += textwrap.wrap(
            "`".join(parts),
            width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return "\n".join(lines).replace(_NO_BREAK, " ")


def columns(
    rows: Sequence[Sequence[str]], *, width: int = 80, right: frozenset[int] = frozenset()
) -> list[str]:
    """Align rows in columns two spaces apart; lines are cut at `width`. `right` columns align right.

    Cells are made printable, one line each. Rows must be equally long.
    """
    table = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell.rjust(size) if index in right else cell.ljust(size)
            for index, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(shorten("  ".join(cells).rstrip(), width))
    return lines


def human_bytes(size: float) -> str:
    """Format a size: 1536 → "1.5 kB" (powers of 1000, like docker)."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:  # 999.5 would round to 1000 of this unit
        size /= 1000
        units.pop(0)
    whole = units[0] == "B" or size >= 99.95
    return f"{size:.0f} {units[0]}" if whole else f"{size:.1f} {units[0]}"


def human_seconds(seconds: float) -> str:
    """Format a duration: 0.24 → "0.2s", 64 → "1m 04s", 3700 → "1h 01m"."""
    if seconds < 59.95:
        return f"{max(seconds, 0):.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"
