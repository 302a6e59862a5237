"""Text for terminals: what others printed made harmless, sizes and times made readable."""

from __future__ import annotations

import re
from collections.abc import Sequence

# ECMA-48: control sequences (CSI), strings (OSC, DCS, SOS, PM, APC) and two-character escapes, also in their
# eight-bit form. A string that never ends is taken to end with its line: it must not swallow what follows.
_ESCAPES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]+[0-~]|\x1b[0-Z\\^_`-~]"
)
# What is left of C0 and C1 but newline and tab; what hides or reorders text; halves of surrogate pairs.
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def printable(text: str) -> str:
    """Take out terminal escape sequences, control characters and direction overrides; keep newline and tab."""
    return _CONTROLS.sub("", _ESCAPES.sub("", text))


def one_line(text: str) -> str:
    """Make text printable and fit for a cell: newlines and tabs become spaces."""
    return " ".join(printable(text).splitlines()).replace("\t", " ")


def last_line(text: object) -> str:
    """Give the last line of evidence that tells anything: of a command that failed, what it said itself."""
    lines = [line for line in str(text or "").splitlines() if line.strip()]
    while len(lines) > 1 and "did not complete successfully" in lines[-1]:
        lines.pop()
    return lines[-1] if lines else ""


def shortened(text: str, width: int) -> str:
    """Cut a line that is longer than `width` characters, and show that it was."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


def columns(
    rows: Sequence[Sequence[str]], *, width: int = 80, right: frozenset[int] = frozenset()
) -> list[str]:
    """Align rows in columns two spaces apart; lines are cut at `width`. `right` columns align right.

    Cells are made printable and one line each. Rows are equally long.
    """
    table = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = []
    for row in table:
        cells = [
            cell.rjust(size) if place in right else cell.ljust(size)
            for place, (cell, size) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append(shortened("  ".join(cells).rstrip(), width))
    return lines


def human_bytes(size: float) -> str:
    """1536 → "1.5 kB" (powers of 1000, like docker)."""
    units = ["B", "kB", "MB", "GB", "TB"]
    while size >= 999.5 and len(units) > 1:  # what rounds to 1000 of a unit is one of the next
        size /= 1000
        units.pop(0)
    whole = units[0] == "B" or size >= 99.95
    return f"{size:.0f} {units[0]}" if whole else f"{size:.1f} {units[0]}"


def human_seconds(seconds: float) -> str:
    """0.24 → "0.2s", 64 → "1m 04s", 3700 → "1h 01m"."""
    if seconds < 59.95:
        return f"{max(seconds, 0):.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m {rest:02d}s" if minutes < 60 else f"{minutes // 60}h {minutes % 60:02d}m"
