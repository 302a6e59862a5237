"""Section "What would have saved build time": cross-compiling, a node, a cache, each with the line to write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.report.html.markup import Content, Section, code, join, table, tag
from multibuild.report.saving_lines import BASES, way_text
from multibuild.report.savings import largest_savings
from multibuild.terminal import human_seconds

_CAVEAT = (
    "Build time of all platforms together; the run becomes shorter by less, as platforms build side by side. "
    "The rows are ways out, not a sum."
)


def savings_section(report: Mapping[str, Any]) -> Section | None:
    """Return the section; None if nothing is worth a line."""
    rows: list[list[Content]] = [
        [f"less {way_text(saving)}", human_seconds(saving.seconds), BASES[saving.basis], code(saving.change)]
        for saving in largest_savings(report)
    ]
    if not rows:
        return None
    headings = ("Way", "Up to", "How that is known", "Line to write")
    listed = table("Ways to less build time, the most first.", headings, rows, numbers=frozenset({1}))
    content = join((tag("p", _CAVEAT, class_="note"), listed))
    return Section(anchor="savings", heading="What would have saved build time", content=content)
