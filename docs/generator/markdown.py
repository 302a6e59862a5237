"""The little Markdown that the reference needs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written by `make docs` from the code: change it there. -->"


def page(title: str, *parts: str) -> str:
    """Join a page: its title, the notice that it is generated, and its parts."""
    return "\n\n".join([f"# {title}", NOTICE, *(part.strip("\n") for part in parts)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Give a table; cells are Markdown already, apart from bars."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def code(text: str) -> str:
    """Give a code span, whatever is in it."""
    if not text:
        return ""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def listed(items: Iterable[str]) -> str:
    """Give code spans with commas between."""
    return ", ".join(map(code, items))


def _cell(text: str) -> str:
    # In a table a bar must be escaped even inside a code span (GitHub Flavored Markdown, tables).
    return text.replace("|", "\\|").replace("\n", " ").strip()
