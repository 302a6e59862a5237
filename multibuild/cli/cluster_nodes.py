"""`resolve --nodes`: which entry each node of a cluster pulls, and which nodes cannot run the image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from multibuild.cli.output import print_json
from multibuild.oci.manifest import Manifest
from multibuild.platforms import Platform
from multibuild.resolve.kubernetes import ClusterNode, Pull, resolve_nodes
from multibuild.resolve.resolve import entries_of
from multibuild.terminal import columns, printable

WIDTH = 80
NAME_WIDTH = 32


def show_nodes(nodes: Sequence[ClusterNode], image: Manifest, own: Platform | None, *, as_json: bool) -> int:
    """Print the answers for nodes; `own` is the platform of an image that is no index. 0 also for "none"."""
    found = resolve_nodes(entries_of(image), nodes, own)
    if as_json:
        document = {
            "nodes": [pull.document() for pull in found],
            "cannot_run": [pull.node.name for pull in found if pull.runs is False],
        }
        print_json(document)
    else:
        print("\n".join(printable(line) for line in as_table(found)))
    return 0


def as_table(found: Sequence[Pull]) -> Iterator[str]:
    """Lay it out within 80 columns: a line a node, then what to know of those that differ."""
    rows = [("NODE", "RUNTIME", "HOST", "PULLS", "RUNS")]
    for pull in found:
        node = pull.node
        mark = "*" if node.assumed else ""
        pulled = _short(pull.choice.platform) if pull.choice else "none"
        runs = {True: "yes", False: "no", None: "?"}[pull.runs]
        rows.append((_cut(node.name), _runtime(node.runtime), f"{_short(node.host)}{mark}", pulled, runs))
    yield from columns(rows, width=WIDTH)
    for note in dict.fromkeys(pull.node.assumed for pull in found if pull.node.assumed):
        yield from _wrapped(f"* {note}", "  ")
    for verdict, words in ((None, "may not be able to run it"), (False, "cannot run it")):
        concerned = [pull for pull in found if pull.runs is verdict]
        if concerned:
            yield ""
            yield f"{len(concerned)} of {len(found)} nodes {words}:"
            for pull in concerned:
                yield from _wrapped(f"  {pull.node.name}: {pull.why}", "    ")
    good = sorted({pull.node.host.architecture for pull in found if pull.runs})
    if good and not all(pull.runs for pull in found):
        yield ""
        yield f"keep pods off them: node affinity kubernetes.io/arch In [{', '.join(good)}]"


def _short(platform: Platform | None) -> str:
    return str(platform).removeprefix("linux/") if platform else "the only one"


def _runtime(text: str) -> str:
    """`containerd://1.7.27-k3s1` → `containerd 1.7.27`."""
    name, _, version = text.partition("://")
    return f"{name} {version.partition('-')[0].partition('+')[0]}".strip()[:20] or "unknown"


def _cut(name: str) -> str:
    """Shorten a name in its middle: nodes of one cluster differ at either end."""
    half = (NAME_WIDTH - 1) // 2
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 1 - half]}…{name[-half:]}"


def _wrapped(text: str, indent: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
