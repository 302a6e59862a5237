"""Which node builds a platform, and which may build it when that one dies. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from multibuild.frozen import frozen
from multibuild.plan.host_facts import Node
from multibuild.plan.spec import Staging
from multibuild.platforms import Platform, runs_natively


@frozen
class Placement:
    """A node for a platform, and what depends on it: where the child is staged, and whether QEMU is needed."""

    node: Node
    staging: Staging
    emulated: bool


def nodes_for(builder: str, nodes: Sequence[Node]) -> Sequence[Node]:
    """Return the nodes that serve a `builder:` of the config or have its name; all if none does."""
    serving = [node for node in nodes if builder in {node.serves, node.builder}]
    return serving or nodes


def nodes_in_order(platform: Platform, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """Return the nodes that can build a platform, best first; the best guess alone if its probe ran on none.

    First those a profile assigns it to, then those that have it natively, then emulation; among equals, nodes that
    a profile assigns to other platforms come last.
    """
    able = [node for node in nodes if _can_run(platform, node)]
    ordered = sorted(able or nodes, key=lambda node: _preference(platform, node))
    return tuple(ordered if able else ordered[:1])


def choose_node(platform: Platform, nodes: Sequence[Node]) -> Node:
    """Return the best node for a platform."""
    return nodes_in_order(platform, nodes)[0]


def _can_run(platform: Platform, node: Node) -> bool:
    """Whether the platform's probe ran on the node; a node without any probe runs what is native to it."""
    return platform in node.runs or (not node.runs and runs_natively(platform, node.native))


def _preference(platform: Platform, node: Node) -> tuple[bool, bool, bool]:
    return (
        platform not in node.profile_platforms,
        not runs_natively(platform, node.native),
        bool(node.profile_platforms),
    )
