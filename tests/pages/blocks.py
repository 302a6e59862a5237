"""The fenced blocks of a Markdown page, and what a reader does with each.

The purpose of a block follows its language, where GitHub does not show it:

    sh                      run it; `exit=6`: its last command ends with 6
    text, json              what the command before it prints
    LANGUAGE title=PATH     the file PATH
    yaml into=PATH          keys to be added to, or replaced in, the YAML file PATH

A comment `<!-- starts in: FOLDER -->` on the page names the folder of this repository its reader has a copy of; a page
at the top of the repository has a reader with a copy of all of it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)(?P<info>.*)$")
_START = re.compile(r"<!-- starts in: (\S+) -->")

ROOT: Final = Path(__file__).resolve().parents[2]
COMMANDS: Final = "sh"
OUTPUT: Final = frozenset({"text", "json"})


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block: `line` is where its first line of text is, `before` the text since the last one."""

    language: str
    options: dict[str, str]
    text: str
    line: int
    before: str


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page: `start` is the folder its reader has a copy of, relative to the repository."""

    path: Path
    text: str
    start: str | None
    blocks: tuple[Block, ...]


def read_page(path: Path) -> Page:
    """Parse a page; ValueError for a fence that is never closed."""
    text = path.read_text()
    comment = _START.search(text)
    start = comment[1] if comment else "." if path.parent == ROOT else None
    return Page(path=path, text=text, start=start, blocks=tuple(_blocks(text)))


def prose(text: str) -> str:
    """Return a page without its blocks, line for line."""
    result, fence = [], None
    for line in text.splitlines():
        match = _FENCE.match(line)
        inside = fence is not None
        if match and (fence is None or line.strip() == fence):
            fence = None if inside else match["ticks"]
            inside = True
        result.append("" if inside else line)
    return "\n".join(result)


def _blocks(text: str) -> list[Block]:
    blocks: list[Block] = []
    lines = text.splitlines()
    number, last = 0, 0
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        number += 1
        if fence is None:
            continue
        begin = number
        while lines[number].strip() != fence["ticks"]:
            number += 1
            if number == len(lines):
                raise ValueError(f"line {begin}: this block is never closed")
        indent = len(fence["indent"])
        language, *options = fence["info"].split() or [""]
        blocks.append(
            Block(
                language=language,
                options=dict(option.partition("=")[::2] for option in options),
                text="".join(f"{line[indent:]}\n" for line in lines[begin:number]),
                line=begin + 1,
                before="\n".join(lines[last : begin - 1]),
            )
        )
        number += 1
        last = number
    return blocks
