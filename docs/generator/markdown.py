"""The Markdown of the reference pages."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

NOTICE = "<!-- Written by `make docs` from the code: change it there. -->"


def page(title: str, *parts: str) -> str:
    """Return a page: its title, the notice that it is generated, and its parts."""
    return "\n\n".join([f"# {title}", NOTICE, *(part.strip("\n") for part in parts)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; cells are Markdown already, except for bars."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def code(text: str) -> str:
    """Return a code span, also of text with backticks."""
    if not text:
        return ""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def listed(items: Iterable[str]) -> str:
    """Return code spans with commas between them."""
    return ", ".join(map(code, items))


def _cell(text: str) -> str:
    # In a table a bar must be escaped even inside a code span (GitHub Flavored Markdown, tables).
    return text.replace("|", "\\|").replace("\n", " ").strip()
