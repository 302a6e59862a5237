"""Which node built which platforms, as lines of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.terminal import one_line


def node_lines(report: Mapping[str, Any]) -> list[str]:
    """Return a line per node with its platforms and one per platform that moved; none if one node built all."""
    platforms_by_node: dict[str, list[str]] = {}
    moves = []
    for platform in report["platforms"]:
        nodes = list(dict.fromkeys(attempt.get("node") or "" for attempt in platform["attempts"]))
        if platform["status"] == "succeeded":
            platforms_by_node.setdefault(platform["node"], []).append(platform["platform"])
        if len(nodes) > 1:
            moves.append(f"{platform['platform']} moved: {' → '.join(nodes)}")
    if len(platforms_by_node) < 2 and not moves:
        return []
    lines = [f"node {node}: {', '.join(platforms)}" for node, platforms in platforms_by_node.items()]
    return [one_line(line) for line in (*lines, *moves)]
