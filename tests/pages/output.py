"""Compare a command's output with the page: the words and their order, not the numbers."""

from __future__ import annotations

import json
import re
from typing import Final

_LOOSE: Final = re.compile(
    r"(?P<any>…|\.\.\.)"
    r"|(?P<run>\b\d{8}-\d{6}-[0-9a-f]{4}\b)"
    r"|(?P<hex>\b(?=[0-9a-f]*\d)[0-9a-f]{12,64}\b)"
    r"|(?P<quantity>(?<![\w./-])~?\d(?:[\d.,]*\d)?(?:h|m|s|ms)?(?:\d+s)?(?: ?[kMG]?B)?(?![\w/-]))"
    r"|(?P<space>\s+)"
)
_PATTERNS: Final = {
    "any": r".*",
    "run": r"\d{8}-\d{6}-[0-9a-f]{4}",
    "hex": r"[0-9a-f]{12,64}",
    "quantity": r"~?\d(?:[\d.,]*\d)?(?:h|m|s|ms)?(?:\d+s)?(?: ?[kMG]?B)?",
    "space": r"\s+",
}


def missing_lines(expected: str, printed: str) -> list[str]:
    """Return the expected lines that were not printed in this order; a line of dots stands for any."""
    lines = [line.strip() for line in printed.splitlines()]
    place, missing = 0, []
    for line in filter(None, map(str.strip, expected.splitlines())):
        if line in {"...", "…"}:
            continue
        pattern = re.compile(_pattern(line))
        at = next((number for number in range(place, len(lines)) if pattern.fullmatch(lines[number])), None)
        if at is None:
            missing.append(line)
        else:
            place = at + 1
    return missing


def missing_keys(expected: str, printed: str) -> list[str]:
    """Return the paths of keys that the shown JSON has and the printed one lacks."""
    return _missing(json.loads(expected), json.loads(printed), "")


def _missing(expected: object, printed: object, path: str) -> list[str]:
    if isinstance(expected, dict):
        if not isinstance(printed, dict):
            return [path]
        return [
            found
            for key, value in expected.items()
            for found in (
                _missing(value, printed[key], f"{path}.{key}") if key in printed else [f"{path}.{key}"]
            )
        ]
    if isinstance(expected, list) and expected:
        shown = isinstance(printed, list) and printed
        return _missing(expected[0], printed[0], f"{path}[0]") if shown else [f"{path}[0]"]  # type: ignore[index]
    return []


def _pattern(line: str) -> str:
    parts, last = [], 0
    for found in _LOOSE.finditer(line):
        parts += [re.escape(line[last : found.start()]), _PATTERNS[str(found.lastgroup)]]
        last = found.end()
    return "".join([*parts, re.escape(line[last:])])
