"""The parts of single instructions, with their places: flags, shell scripts, words. Independent of any platform."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from multibuild.dockerfile.source import SourceInstruction, Text
from multibuild.lint.shell.evaluate import SHELLS
from multibuild.lint.shell.nodes import Item, Part, Script, Simple, Word
from multibuild.lint.shell.syntax import parse_script

_FLAG = re.compile(r"--([a-z][a-z-]{0,30})(?:=(\S*))?(?:\s+|\Z)")
_WORD = re.compile(r"""(?:[^\s"']|"[^"]*"|'[^']*')+""")
_PAIR = re.compile(r"""(?<![\w.])([A-Za-z_][\w.]*+)=((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')*)""")
_HEREDOC = r"<<-?[\"']?[A-Za-z_][\w.-]*[\"']?"
_SHELL = r"(?:/usr/bin/env\s+)?(?:/(?:usr/)?bin/)?(?:ba|da|a|z|k)?sh(?:\s+-[a-z]+|\s+-o\s+\w+)*"
_ONLY_HEREDOC = re.compile(rf"{_HEREDOC}\s*\Z")
_TO_SHELL = re.compile(rf"(?:{_SHELL}\s*{_HEREDOC}|{_HEREDOC}\s+{_SHELL})\s*\Z")
_SHEBANG = re.compile(r"#!\s*\S*?(?:/|\s)(?:env\s+)?(?:ba|da|a|k|z)?sh\b")
_WINDOWS = re.compile(r"\bwindows(?:servercore)?\b|nanoserver|servercore", re.IGNORECASE)
_NO_SHELL = re.compile(r"powershell|pwsh|cmd(?:\.exe)?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Flag:
    """A flag: its name, and its value as a text of the file."""

    name: str
    value: Text


@dataclass(frozen=True, slots=True)
class ShellScript:
    """A script that a RUN hands to a shell."""

    source: Text
    script: Script


@dataclass(frozen=True, slots=True)
class Copied:
    """Sources and destination of a COPY or ADD, and the stage or image of `--from`."""

    sources: tuple[Text, ...]
    destination: Text
    source_stage: Text | None


def flags_of(instruction: SourceInstruction) -> tuple[tuple[Flag, ...], Text]:
    """Return the flags of an instruction, and what stands behind them."""
    flags, at, rest = [], 0, instruction.rest
    while (match := _FLAG.match(rest.text, at)) is not None:
        value = rest.part(*match.span(2)) if match[2] is not None else rest.part(match.end(1), match.end(1))
        flags.append(Flag(match[1], value))
        at = match.end()
    return tuple(flags), rest.part(at)


def scripts_of(instruction: SourceInstruction) -> tuple[ShellScript, ...]:
    """Return the scripts of a RUN: its line, its heredoc, or the words of the exec form as one command."""
    _, rest = flags_of(instruction)
    bodies = [heredoc.body for heredoc in instruction.heredocs]
    if bodies and (_ONLY_HEREDOC.fullmatch(rest.text) or _TO_SHELL.fullmatch(rest.text)):
        return tuple(ShellScript(body, parse_script(body.text)) for body in bodies if _is_shell(body.text))
    if rest.text.startswith("["):
        words = exec_words(rest)
        if words is not None:
            return (_exec_script(rest, words),)
    return (ShellScript(rest, parse_script(rest.text)),)


def _is_shell(text: str) -> bool:
    return not text.startswith("#!") or _SHEBANG.match(text) is not None


def exec_words(text: Text) -> tuple[Text, ...] | None:
    """Return the words of `["a", "b"]`; None for what is no list of strings."""
    try:
        values = json.loads(text.text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return None
    found = list(re.finditer(r'"((?:[^"\\]|\\.)*)"', text.text))
    if len(found) != len(values):
        return None
    return tuple(text.part(*match.span(1)) for match in found)


def _exec_script(rest: Text, words: tuple[Text, ...]) -> ShellScript:
    """Return the exec form as a command: no shell reads it, except one that it names."""
    at = next((i for i, word in enumerate(words[:3]) if re.fullmatch(r"-[a-z]*c", word.text)), 0)
    if words and words[0].text in SHELLS and 0 < at < len(words) - 1 and "\\" not in words[at + 1].text:
        return ShellScript(words[at + 1], parse_script(words[at + 1].text))
    command = Simple(0, end=len(rest.text))
    begin = 0
    for word in words:
        begin = rest.text.index(f'"{word.text}"', begin) + 1
        end = begin + len(word.text)
        command.words.append(Word(begin, end, [Part("text", begin, word.text, quoted=True)]))
        begin = end
    return ShellScript(rest, Script([Item(command, "")]))


def is_posix_shell(instruction: SourceInstruction) -> bool:
    """Whether a SHELL instruction names a shell whose scripts are read here."""
    return _NO_SHELL.search(instruction.rest.text) is None


def is_windows(image: str) -> bool:
    """Whether an image is one of Windows by its name: its shell is cmd."""
    return _WINDOWS.search(image) is not None


def copied(instruction: SourceInstruction) -> Copied | None:
    """Return what a COPY or ADD takes; None for one that names nothing."""
    flags, rest = flags_of(instruction)
    words = exec_words(rest) if rest.text.startswith("[") else None
    if words is None:
        words = tuple(_unquoted(rest, match) for match in _WORD.finditer(rest.text))
    words = tuple(word for word in words if not word.text.startswith("<<"))
    if len(words) < 2:
        return None
    source_stage = next((flag.value for flag in flags if flag.name == "from"), None)
    return Copied(words[:-1], words[-1], source_stage)


def _unquoted(text: Text, match: re.Match[str]) -> Text:
    word = match[0]
    if len(word) > 1 and word[0] == word[-1] and word[0] in "\"'":
        return text.part(match.start() + 1, match.end() - 1)
    return text.part(*match.span())


@dataclass(frozen=True, slots=True)
class Assigned:
    """A name of an ARG or ENV with its value; `sign` to `end` is `=…` in the text of the rest."""

    name: str
    value: Text | None
    start: int
    sign: int
    end: int


def arguments(instruction: SourceInstruction) -> Iterator[Assigned]:
    """Yield the names of an ARG, those without a default too."""
    text = instruction.rest
    for match in _WORD.finditer(text.text):
        name, equals, _ = match[0].partition("=")
        sign = match.start() + len(name)
        value = _value(text, sign + 1, match.end()) if equals else None
        yield Assigned(name, value, match.start(), sign, match.end())


def variables(instruction: SourceInstruction) -> Iterator[Assigned]:
    """Yield the names of an ENV, in both of its forms."""
    text = instruction.rest
    first = re.match(r"(\S+)(\s+|\Z)", text.text)
    if first is not None and "=" not in first[1]:
        yield Assigned(first[1], text.part(first.end()), 0, first.end(1), len(text.text))
        return
    for match in _PAIR.finditer(text.text):
        yield Assigned(
            match[1], _value(text, match.start(2), match.end()), match.start(), match.end(1), match.end()
        )


def _value(text: Text, start: int, end: int) -> Text:
    raw = text.text[start:end]
    if len(raw) > 1 and raw[0] == raw[-1] and raw[0] in "\"'":
        return text.part(start + 1, end - 1)
    return text.part(start, end)


def mount_of(flag: Flag) -> Mapping[str, Text]:
    """Return the parts of a `--mount=…`."""
    parts, at = {}, 0
    for piece in flag.value.text.split(","):
        name, _, _ = piece.partition("=")
        key = {"dst": "target", "destination": "target", "src": "source"}.get(
            name.strip("\"'"), name.strip("\"'")
        )
        parts[key] = flag.value.part(at + min(len(name) + 1, len(piece)), at + len(piece))
        at += len(piece) + 1
    return parts
