"""HTML built from values: all text that is no markup is escaped, so that no caller can forget it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from multibuild.frozen import frozen
from multibuild.terminal import printable

MAX_UNBROKEN_LENGTH = 20
"""Characters of a text that fits a line of any screen, such as a platform or a version."""

_VOID = frozenset({"col", "meta"})


class Html(str):
    """Text that is HTML."""

    __slots__ = ()


Content = Html | str | None
"""What an element contains: HTML as it is, text to escape, or nothing."""


def join(parts: Iterable[Content]) -> Html:
    """Return the parts in a row."""
    return Html("".join(_escape(part) for part in parts))


def _escape(part: Content) -> str:
    if part is None:
        return ""
    return part if isinstance(part, Html) else html.escape(printable(part))


def tag(name: str, /, *children: Content, **attributes: str | None) -> Html:
    """Return an element. `class_` and `aria_label` become `class` and `aria-label`; None leaves an attribute out.

    An empty value makes an attribute without value (`open`).
    """
    written = ""
    for key, value in attributes.items():
        if value is not None:
            attribute = key.rstrip("_").replace("_", "-")
            written += f' {attribute}="{html.escape(printable(value))}"' if value else f" {attribute}"
    if name in _VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")


@frozen
class Section:
    """A part of the page with a link target `#anchor`."""

    anchor: str
    heading: str
    content: Html

    def html(self) -> Html:
        """Return the section as a landmark with its heading."""
        title = tag("h2", self.heading, id=f"{self.anchor}-title")
        return tag("section", title, self.content, id=self.anchor, aria_labelledby=f"{self.anchor}-title")


def table(
    caption: str,
    headings: Sequence[str],
    rows: Iterable[Sequence[Content]],
    *,
    numbers: frozenset[int] = frozenset(),
    class_: str | None = None,
) -> Html:
    """Return a table whose first column heads its rows; columns in `numbers` align right.

    On a narrow screen each row becomes a card with `data-label` as its cells' headings; explicit roles keep it a
    table for screen readers, as browsers drop the roles of a table with another CSS display.
    """
    kinds = ["number" if index in numbers else None for index in range(len(headings))]
    header = [
        tag("th", heading, scope="col", role="columnheader", class_=kind)
        for heading, kind in zip(headings, kinds, strict=True)
    ]
    body = [tag("tr", *_cells(row, headings, kinds), role="row") for row in rows]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *header, role="row"), role="rowgroup"),
        tag("tbody", *body, role="rowgroup"),
        role="table",
        class_=class_ or "cards",
    )


def _cells(row: Sequence[Content], headings: Sequence[str], kinds: Sequence[str | None]) -> list[Html]:
    first, *rest = row
    cells = [tag("th", first, scope="row", role="rowheader")]
    for cell, heading, kind in zip(rest, headings[1:], kinds[1:], strict=True):
        cells.append(tag("td", tag("div", cell), role="cell", class_=kind, data_label=heading))
    return cells


def facts(pairs: Iterable[tuple[Content, Content]], *, class_: str = "facts") -> Html:
    """Return names and values as a definition list."""
    return tag("dl", *(tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs), class_=class_)


def advice(hint: str | None) -> Html | None:
    """Return a hint as a paragraph; None without one."""
    return tag("p", tag("strong", "What to do: "), prose(str(hint))) if hint else None


def code(text: str) -> Html:
    """Return text as code; a short one is never broken across lines."""
    return tag("code", text, class_="short" if len(text) <= MAX_UNBROKEN_LENGTH else None)


def prose(text: str) -> Html:
    """Return a message of multibuild's own, with text in `backticks` as code."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return join((text,))
    return join(code(part) if index % 2 else part for index, part in enumerate(parts))


def disclosure(summary: Content, *children: Content, open_: bool = False, class_: str | None = None) -> Html:
    """Return content that is folded away under a summary."""
    return tag("details", tag("summary", summary), *children, class_=class_, open="" if open_ else None)


def status(word: str, *, tone_of: str | None = None) -> Html:
    """Return a status: its word, with a mark whose shape and colour repeat it, or those of another status."""
    return tag("span", word, class_=f"status {_TONES.get(tone_of or word, 'neutral')}")


_TONES = {
    **dict.fromkeys(("succeeded", "reused", "carried", "passed", "ok", "moved", "unchanged"), "good"),
    **dict.fromkeys(("failed", "not run", "timeout", "stalled"), "bad"),
    **dict.fromkeys(("partial", "interrupted", "cancelled", "put-back", "left", "built"), "warn"),
}
