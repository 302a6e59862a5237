"""Results as a table within 80 columns, and as a plot."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from bench.measure import Result

WIDTH = 80
ROW, LEFT, RIGHT, TOP = 34, 330, 120, 46


def table(results: Sequence[Result]) -> str:
    """Return a row per contestant: median, spread (largest over smallest), and ratio to the best peer."""
    lines = [f"{'':42}{'median':>9}{'spread':>8}{'ratio':>8}{'target':>8}"]
    for result in results:
        lines.append(result.name[:WIDTH])
        for index, (name, median) in enumerate(result.medians.items()):
            row = f"  {name[:39]:40}{median:>7.2f} {result.unit[:1]}{result.spreads[name]:>7.2f}x"
            if index == 0:
                row += f"{result.ratio:>8.2f}{result.target:>8.2f} {'ok' if result.met else 'MISSED'}"
            elif name in result.floors:
                row += f"{result.ratio_of(name):>8.2f}   floor"
            lines.append(row.rstrip())
    return "\n".join(lines)


def plot(results: Sequence[Result]) -> str:
    """Return an SVG of the ratios against their targets; 1 is as fast as the best peer."""
    rows = [result for result in results if result.best_peer is not None]
    most = max([1.6, *(max(result.ratio, result.target) * 1.1 for result in rows)])
    width, height = 960, TOP + ROW * len(rows) + 30
    scale = (width - LEFT - RIGHT) / most
    box = f'width="{width}" height="{height}"'
    one = LEFT + scale
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {box} font-family="sans-serif" font-size="13">',
        f'<rect {box} fill="#fff"/>',
        f'<text x="{LEFT}" y="20" fill="#333">time of multibuild over the best peer’s (| target)</text>',
        f'<path d="M{one:.1f} 30V{height - 20}" stroke="#999" stroke-dasharray="3 3"/>',
        f'<text x="{one:.1f}" y="{height - 6}" fill="#666" text-anchor="middle">1</text>',
    ]
    for index, result in enumerate(rows):
        y = TOP + ROW * index
        goal, length = LEFT + scale * result.target, max(scale * result.ratio, 1)
        colour = "#3a7" if result.met else "#c54"
        label = escape(f"{result.ratio:.2f} of {result.best_peer}"[:20])
        line = f'y="{y + ROW / 2 + 1}" fill="#111"'
        parts += [
            f'<text x="{LEFT - 10}" {line} text-anchor="end">{escape(result.name[:48])}</text>',
            f'<rect x="{LEFT}" y="{y + 6}" width="{length:.1f}" height="{ROW - 14}" fill="{colour}"/>',
            f'<path d="M{goal:.1f} {y + 2}v{ROW - 6}" stroke="#111" stroke-width="2"/>',
            f'<text x="{width - RIGHT + 10}" {line}>{label}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])
