"""HTML made of values: what is not markup already is escaped, so that nothing can be forgotten."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from multibuild.frozen import frozen
from multibuild.terminal import printable

MAX_UNBROKEN_LENGTH = 20
"""Characters of a text that any screen has room for in one line: a platform, a version."""

_VOID = frozenset({"meta"})


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Content = Html | str | None
"""Html as it is, other text escaped, None for nothing."""


def join(parts: Iterable[Content]) -> Html:
    """Put parts after one another."""
    return Html("".join(_child(part) for part in parts))


def _child(part: Content) -> str:
    if part is None:
        return ""
    return part if isinstance(part, Html) else html.escape(printable(part))


def tag(name: str, /, *children: Content, **attributes: str | None) -> Html:
    """Make an element. `class_` and `aria_label` become `class` and `aria-label`; None leaves an attribute out.

    An empty value gives an attribute without one (`open`).
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
    """A part of the page, to be reached by `#anchor`."""

    anchor: str
    heading: str
    content: Html

    def html(self) -> Html:
        """Make a landmark with its heading."""
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
    """Make a table whose first column heads its rows; columns in `numbers` align right.

    On a narrow screen each row becomes a card: `data-label` names its cells there, and the roles keep what a
    screen reader is told (a table laid out otherwise may lose them).
    """
    kinds = ["number" if place in numbers else None for place in range(len(headings))]
    head = [
        tag("th", heading, scope="col", role="columnheader", class_=kind)
        for heading, kind in zip(headings, kinds, strict=True)
    ]
    body = [tag("tr", *_cells(row, headings, kinds), role="row") for row in rows]
    return tag(
        "table",
        tag("caption", caption),
        tag("thead", tag("tr", *head, role="row"), role="rowgroup"),
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


def code(text: str) -> Html:
    """Make text that is to be read letter by letter; a short one is kept in one piece."""
    return tag("code", text, class_="short" if len(text) <= MAX_UNBROKEN_LENGTH else None)


def prose(text: str) -> Html:
    """Make a sentence of ours, in which `backticks` hold what is to be read letter by letter."""
    parts = text.split("`")
    if len(parts) % 2 == 0:
        return join((text,))
    return join(code(part) if place % 2 else part for place, part in enumerate(parts))


def disclosure(summary: Content, *children: Content, open_: bool = False) -> Html:
    """Make what is folded away until it is asked for."""
    return tag("details", tag("summary", summary), *children, open="" if open_ else None)


def status(word: str) -> Html:
    """Make a status: a word with a mark beside it, whose colour says the same once more."""
    return tag("span", word, class_=f"status {_TONES.get(word, 'neutral')}")


_TONES = {
    **dict.fromkeys(("succeeded", "reused", "carried", "passed", "ok", "moved", "unchanged"), "good"),
    **dict.fromkeys(("failed", "not run", "timeout", "stalled"), "bad"),
    **dict.fromkeys(("partial", "interrupted", "cancelled", "put-back", "left"), "warn"),
}
