"""What `sed`, `cut`, `awk` and `tr` make of one short line: the ways in which scripts rename an architecture."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

from multibuild.frozen import frozen

MAX_LINE = 100
_SUBSTITUTE = re.compile(r"\s*s([/|,#:@!%])")
_PLACE = re.compile(r"\[\w{1,20}\]|\\[./-]|[\w/:=,#@-]")
_ALTERNATIVE = re.compile(r"(\^?)((?:\[\w{1,20}\]|\\[./-]|[\w/:=,#@-])*)((?:\.\*)?)(\$?)")
_REPLACEMENT = re.compile(r"(?:[\w\s.:=,#@/-]|\\[/.-])*")
_NAMED_FIELD = re.compile(r"\{\s*print\s*\$(NF|\d)\s*(?:;\s*)?\}")


def filtered(command: Sequence[str], line: str) -> str | None:
    """Return what a command prints for a line on its stdin; None for what is not known."""
    filter_ = _FILTERS.get(command[0]) if command else None
    return filter_(command[1:], line) if filter_ is not None and len(line) <= MAX_LINE else None


def _sed(arguments: Sequence[str], line: str) -> str | None:
    expressions, extended, words = [], False, list(arguments)
    while words:
        word = words.pop(0)
        if word in {"-E", "-r", "--regexp-extended"}:
            extended = True
        elif word in {"-e", "-re", "-Ee", "--expression"} and words:
            extended = extended or word in {"-re", "-Ee"}
            expressions.append(words.pop(0))
        elif word.startswith("-") or expressions:
            return None
        else:
            expressions.append(word)
    changed: str | None = line
    for pattern, replacement, flags in _substitutions("\n".join(expressions)):
        changed = None if changed is None else _substituted(changed, pattern, replacement, flags, extended)
    return changed if expressions else None


def _substitutions(script: str) -> Iterator[tuple[str, str, str]]:
    """Yield pattern, replacement and flags of `s/a/b/;s/c/d/g`; what is no such command has flags that do not exist."""
    at = 0
    while at < len(script):
        match = _SUBSTITUTE.match(script, at)
        if match is None:
            yield "", "", "?"
            return
        pieces, at = [], match.end()
        for _ in range(2):
            end = at
            while end < len(script) and script[end] != match[1]:
                end += 2 if script[end] == "\\" else 1
            pieces.append(script[at:end])
            at = end + 1
        end = next((i for i in range(min(at, len(script)), len(script)) if script[i] in ";\n"), len(script))
        yield pieces[0], pieces[1], script[at:end].strip()
        at = end + 1


def _substituted(line: str, pattern: str, replacement: str, flags: str, extended: bool) -> str | None:
    expressions = _expressions(pattern, extended)
    if flags not in {"", "g"} or expressions is None or _REPLACEMENT.fullmatch(replacement) is None:
        return None
    new = replacement.replace("\\", "")
    pieces, at = [], 0
    while (found := _first(line, at, expressions)) is not None:
        pieces += [line[at : found[0]], new]
        at = found[1]
        if not flags:
            break
    return "".join([*pieces, line[at:]])


@frozen
class _Expression:
    """The signs that may stand in each place, and whether it is bound to an end of the line, or goes on to it."""

    places: tuple[str, ...]
    from_start: bool
    to_end: bool
    takes_rest: bool


def _expressions(pattern: str, extended: bool) -> list[_Expression] | None:
    """Return the alternatives of an expression of POSIX; None for one with more than names, classes and ends."""
    if extended:
        pattern = pattern.removeprefix("(").removesuffix(")")
    found = []
    for alternative in pattern.split("|" if extended else "\\|"):
        match = _ALTERNATIVE.fullmatch(alternative)
        if match is None or not match[2]:
            return None
        places = tuple(piece.strip("[]\\") for piece in _PLACE.findall(match[2]))
        found.append(
            _Expression(
                places=places, from_start=bool(match[1]), takes_rest=bool(match[3]), to_end=bool(match[4])
            )
        )
    return found


def _first(line: str, begin: int, expressions: Sequence[_Expression]) -> tuple[int, int] | None:
    """Return the first place at which one of the expressions matches."""
    for start in range(begin, len(line)):
        for one in expressions:
            end = start + len(one.places)
            fits = all(sign in place for sign, place in zip(line[start:end], one.places, strict=False))
            if not fits or end > len(line) or (one.from_start and start):
                continue
            if one.to_end and not one.takes_rest and end != len(line):
                continue
            return start, len(line) if one.takes_rest else end
    return None


def _cut(arguments: Sequence[str], line: str) -> str | None:
    match = re.fullmatch(r"(?:-d ?(.) -f ?(\d)(-?)|-f ?(\d)(-?) -d ?(.))", " ".join(arguments))
    if match is None:
        return None
    separator, number, rest = match[1] or match[6], int(match[2] or match[4]), match[3] or match[5]
    fields = line.split(separator)
    if len(fields) == 1 or not number:
        return line if number else None
    return separator.join(fields[number - 1 :] if rest else fields[number - 1 : number])


def _awk(arguments: Sequence[str], line: str) -> str | None:
    words = " ".join(arguments)
    separator = re.match(r"-F ?(\S) ", words)
    field = _NAMED_FIELD.fullmatch(words[separator.end() :] if separator else words)
    if field is None:
        return None
    fields = [line, *(line.split(separator[1]) if separator else line.split())]
    number = len(fields) - 1 if field[1] == "NF" else int(field[1])
    return fields[number] if number < len(fields) else ""


def _tr(arguments: Sequence[str], line: str) -> str | None:
    match list(arguments):
        case ["-d", "\\n" | "\n" | "[:space:]"]:
            return line
        case ["-d", signs] if re.fullmatch(r"[\w/.]+", signs):
            return line.translate(dict.fromkeys(map(ord, signs)))
        case ["[:upper:]" | "A-Z", "[:lower:]" | "a-z"]:
            return line.lower()
        case ["[:lower:]" | "a-z", "[:upper:]" | "A-Z"]:
            return line.upper()
        case [old, new] if len(old) == len(new) and re.fullmatch(r"[\w/.]+", old):
            return line.translate(str.maketrans(old, new))
    return None


def _same(arguments: Sequence[str], line: str) -> str | None:
    return line if all(re.fullmatch(r"-n?1?|1", word) for word in arguments) else None


_FILTERS: Mapping[str, Callable[[Sequence[str], str], str | None]] = {
    "sed": _sed,
    "cut": _cut,
    "awk": _awk,
    "gawk": _awk,
    "mawk": _awk,
    "tr": _tr,
    "cat": _same,
    "head": _same,
    "tail": _same,
    "xargs": _same,
}


def printed(command: Sequence[str]) -> str | None:
    """Return what `echo`, `printf` or `basename` print; None for other commands and what is not known."""
    match list(command):
        case ["echo", *words]:
            while words and re.fullmatch(r"-[neE]+", words[0]):
                words.pop(0)
            return " ".join(words)
        case ["printf", "%s" | "%s\\n" | "%s\n", word] | ["basename", word]:
            return word if command[0] == "printf" else word.rstrip("/").rpartition("/")[2]
        case ["printf", word] if "%" not in word and "\\" not in word.removesuffix("\\n"):
            return word.removesuffix("\\n")
    return None
