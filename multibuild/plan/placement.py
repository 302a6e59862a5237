"""Which node a platform goes to, and which it may move to when that one dies. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from multibuild.frozen import frozen
from multibuild.plan.host_facts import Node
from multibuild.plan.spec import Staging
from multibuild.platforms import Platform, runs_natively


@frozen
class Placement:
    """A node for a platform, and what depends on it: where the child is staged, and whether QEMU runs it."""

    node: Node
    staging: Staging
    emulated: bool


def nodes_for(builder: str, nodes: Sequence[Node]) -> Sequence[Node]:
    """The nodes that serve a `builder:` of the config; a node by its own name; all where nothing tells."""
    serving = [node for node in nodes if builder in {node.serves, node.builder}]
    return serving or nodes


def nodes_in_order(platform: Platform, nodes: Sequence[Node]) -> tuple[Node, ...]:
    """The nodes that can build a platform, best first; the best guess alone where none was seen to run it.

    First those a profile means for it, then those that have it natively, then emulation; among equals, nodes that
    a profile means for something else come last.
    """
    able = [node for node in nodes if _can_run(platform, node)]
    ordered = sorted(able or nodes, key=lambda node: _preference(platform, node))
    return tuple(ordered if able else ordered[:1])


def choose_node(platform: Platform, nodes: Sequence[Node]) -> Node:
    """The best of them."""
    return nodes_in_order(platform, nodes)[0]


def _can_run(platform: Platform, node: Node) -> bool:
    """As the probe saw it; what nobody has looked at yet runs what is native."""
    return platform in node.runs or (not node.runs and runs_natively(platform, node.native))


def _preference(platform: Platform, node: Node) -> tuple[bool, bool, bool]:
    return (platform not in node.meant, not runs_natively(platform, node.native), bool(node.meant))
