"""The outcome of `[ … ]`, `test` and `[[ … ]]` as far as it is known; whether a condition asks for an architecture."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from multibuild.lint.arch_names import UNKNOWN, arch_names
from multibuild.lint.shell.values import MAX_PATTERN, Expanded

_ASKS = re.compile(
    r"TARGET(?:ARCH|PLATFORM|VARIANT)|BUILD(?:ARCH|PLATFORM)|\buname\b|\barch\b|\bARCH|ARCH\b|print-arch|xx-info|LONG_BIT"
)


def asks_for_arch(text: str) -> bool:
    """Whether the text of a condition is about an architecture."""
    return bool(_ASKS.search(text)) or any(True for _ in arch_names(text))


def outcome(words: Sequence[Expanded]) -> bool | None:
    """Return whether a test holds; None where that is not known, or it is none."""
    texts = [word.text for word in words]
    if not texts:
        return True
    closing = {"[": "]", "[[": "]]", "test": ""}.get(texts[0])
    if closing is None:
        return {"true": True, ":": True, "false": False}.get(texts[0])
    inner = texts[1:-1] if closing and texts[-1] == closing else texts[1:]
    return _any_of(inner, globs=texts[0] == "[[")


def _any_of(texts: Sequence[str], *, globs: bool) -> bool | None:
    """Evaluate `a || b`, of `[[ ]]` or as `-o`; parentheses make it unknown."""
    if "(" in texts or ")" in texts:
        return None
    return _combine((_all_of(part, globs=globs) for part in _split(texts, {"||", "-o"})), stop=True)


def _all_of(texts: Sequence[str], *, globs: bool) -> bool | None:
    return _combine((_one(part, globs=globs) for part in _split(texts, {"&&", "-a"})), stop=False)


def _combine(outcomes: Iterable[bool | None], *, stop: bool) -> bool | None:
    result: bool | None = not stop
    for one in outcomes:
        if one is stop:
            return stop
        result = None if one is None else result
    return result


def _split(texts: Sequence[str], signs: set[str]) -> list[list[str]]:
    parts: list[list[str]] = [[]]
    for text in texts:
        if text in signs:
            parts.append([])
        else:
            parts[-1].append(text)
    return parts


def _one(texts: Sequence[str], *, globs: bool) -> bool | None:
    match list(texts):
        case ["!", *rest]:
            inner = _one(rest, globs=globs)
            return None if inner is None else not inner
        case ["-n", text] | [text] if text not in {"-n", "-z"}:
            return bool(text) if UNKNOWN not in text else None
        case ["-z", text]:
            return not text if UNKNOWN not in text else None
        case [left, "=" | "==", right]:
            return _equal(left, right, globs=globs)
        case [left, "!=", right]:
            equal = _equal(left, right, globs=globs)
            return None if equal is None else not equal
    return None


def _equal(left: str, right: str, *, globs: bool) -> bool | None:
    if UNKNOWN in left or UNKNOWN in right:
        return None
    return matches(left, right) if globs else left == right


def matches(text: str, pattern: str) -> bool | None:
    """Whether a pattern of `case` or `[[` matches; None where that is not known."""
    if UNKNOWN in text or UNKNOWN in pattern or len(text) > MAX_PATTERN or len(pattern) > MAX_PATTERN:
        return True if pattern == "*" else None
    return fnmatchcase(text, pattern)
