"""Which node built what, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from multibuild.terminal import one_line


def node_lines(report: Mapping[str, Any]) -> list[str]:
    """Give a line per node with its platforms, and one per platform that moved; none where one node did it all."""
    built: dict[str, list[str]] = {}
    moved = []
    for platform in report["platforms"]:
        tried = list(dict.fromkeys(made.get("node") or "" for made in platform["attempts"]))
        if platform["status"] == "succeeded":
            built.setdefault(platform["node"], []).append(platform["platform"])
        if len(tried) > 1:
            moved.append(f"{platform['platform']} moved: {' → '.join(tried)}")
    if len(built) < 2 and not moved:
        return []
    lines = [f"node {node}: {', '.join(platforms)}" for node, platforms in built.items()]
    return [one_line(line) for line in (*lines, *moved)]
