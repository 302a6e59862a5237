"""`resolve`: which entry of an index each client takes on a host, or each node of a cluster."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from multibuild.cli import completion
from multibuild.cli.request import Request, comma_list, registry_settings
from multibuild.cli.streams import print_json
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.oci.reference import Reference
from multibuild.terminal import columns

if TYPE_CHECKING:
    from multibuild.oci.manifest import Manifest
    from multibuild.platforms import Platform
    from multibuild.resolve.client_rules import Choice
    from multibuild.resolve.kubernetes import ClusterNode, Pull
    from multibuild.resolve.resolve import HostChoices

DEFAULT_HOSTS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386")
"""The hosts without `--host`: those whose rules differ between clients."""

WIDTH = 80
NAME_WIDTH = 32


@frozen
class ResolveRequest(Request):
    """The flags of `resolve`."""

    reference: Annotated[
        str | None, Argument(help="An image or index.", autocompletion=completion.images)
    ] = None
    hosts: Annotated[
        tuple[str, ...],
        Option(
            "--host",
            help="os/arch or os/arch/variant of a host (repeatable).",
            autocompletion=completion.platforms,
        ),
    ] = ()
    clients: Annotated[
        tuple[str, ...],
        Option(
            "--client",
            help="containerd, docker, docker-legacy, podman (podman@4.4: without zstd) or crane.",
            autocompletion=completion.clients,
        ),
    ] = ()
    index: Annotated[Path | None, Option("--index", help="An index in a file, or -.")] = None
    nodes: Annotated[Path | None, Option("--nodes", help="Output of `kubectl get nodes -o json`, or -.")] = (
        None
    )


def resolve(request: ResolveRequest) -> int:
    """Show which entry of an index each client takes on a host."""
    from multibuild.resolve.resolve import parse_host, resolve_hosts

    if request.nodes is not None:
        return _resolve_nodes(request.nodes, request)
    clients = _clients(request.clients)
    hosts = comma_list(request.hosts)
    if request.hosts and not hosts:
        raise UsageError("--host names no platform", hint="like --host linux/arm64")
    hosts = hosts or DEFAULT_HOSTS
    for host in hosts:
        parse_host(host)  # before any request to a registry
    index = _index(request)
    chosen = list(resolve_hosts(index, hosts, clients))
    _mention_odd_entries(index, request)
    if request.json:
        documents = [answer.document() for answer in chosen]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        print("\n".join(_table(chosen, clients)))
    return 0


def _clients(texts: tuple[str, ...]) -> tuple[str, ...]:
    from multibuild.resolve.client_rules import CLIENTS, client_rule

    names = comma_list(texts)
    for name in names:
        if client_rule(name) is None:
            hint = f"there are {', '.join(CLIENTS)}, and podman@VERSION"
            raise UsageError(f"--client {name}: is not known", hint=hint)
    return names or tuple(CLIENTS)


def _resolve_nodes(file: Path, request: ResolveRequest) -> int:
    """Resolve for the nodes of a cluster, which state host and client."""
    from multibuild.resolve.kubernetes import read_cluster_nodes

    if request.hosts or request.clients:
        raise UsageError(
            "--nodes: cannot be joined with --host or --client", hint="the nodes say both: leave them out"
        )
    nodes = read_cluster_nodes(_read(file), str(file))
    image = _index(request)
    own = None if image.is_index or request.reference is None else _own_platform(request)
    _mention_odd_entries(image, request)
    return show_nodes(nodes, image, own, as_json=request.json)


def _mention_odd_entries(index: Manifest, request: ResolveRequest) -> None:
    """Print a line for each entry that is no descriptor: it was left out."""
    if not index.is_index:
        return
    name = request.index if request.index is not None else request.reference
    for odd in index.read_entries.odd:
        request.say(f"{name}: entry {odd.position} was left out: {odd.problem}")


def _own_platform(request: ResolveRequest) -> Platform | None:
    """Return the platform in the config of a single image; None, with a message, where it cannot be read."""
    from multibuild.errors import VerificationFailed
    from multibuild.oci.errors import translate_read_errors
    from multibuild.oci.image import read_child
    from multibuild.oci.registry_session import RegistrySession

    reference = Reference.parse(str(request.reference))
    with (
        translate_read_errors(),
        RegistrySession(registry_settings(request.file), on_wait=request.say) as registries,
    ):
        try:
            return read_child(reference, registries.of(reference.host), None).config.platform
        except VerificationFailed as error:
            request.say(error.message)
            return None


def _index(request: ResolveRequest) -> Manifest:
    from multibuild.oci.errors import translate_read_errors
    from multibuild.oci.registry_session import RegistrySession
    from multibuild.resolve.resolve import read_index

    if (request.reference is None) == (request.index is None):
        raise UsageError(
            "name an image, or --index FILE", hint="like `multibuild resolve app:1 --host linux/arm64`"
        )
    if request.index is not None:
        return read_index(_read(request.index), str(request.index))
    reference = Reference.parse(str(request.reference))
    with (
        translate_read_errors(),
        RegistrySession(registry_settings(request.file), on_wait=request.say) as registries,
    ):
        return registries.of(reference.host).manifest(reference)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="name a file, or - for standard input") from error


def _table(choices: list[HostChoices], clients: tuple[str, ...]) -> list[str]:
    """Return rows of hosts and columns of clients, with the platform of the chosen entry."""
    rows = [("HOST", *(name.upper() for name in clients))]
    rows += [
        (answer.host, *(_cell(answer.clients[name], answer.host) for name in clients)) for answer in choices
    ]
    return columns(rows, width=100)


def _cell(choice: Choice | None, host: str) -> str:
    """Return the entry's platform, without the os when it is the host's: five clients must fit 80 columns."""
    if choice is None:
        return "none"
    text = str(choice.platform) if choice.platform else "the only one"
    return text.removeprefix(f"{host.partition('/')[0]}/")


def show_nodes(nodes: Sequence[ClusterNode], image: Manifest, own: Platform | None, *, as_json: bool) -> int:
    """Print the pulls of nodes; `own` is the platform of a single image. Return 0, also when a node pulls none."""
    from multibuild.resolve.kubernetes import resolve_nodes
    from multibuild.resolve.resolve import entries_of

    pulls = resolve_nodes(entries_of(image), nodes, own)
    if as_json:
        document = {
            "nodes": [pull.document() for pull in pulls],
            "cannot_run": [pull.node.name for pull in pulls if pull.runs is False],
        }
        print_json(document)
    else:
        print("\n".join(nodes_table(pulls)))
    return 0


def nodes_table(pulls: Sequence[Pull]) -> Iterator[str]:
    """Yield a line a node within 80 columns, then notes on those that may not run the image."""
    rows = [("NODE", "RUNTIME", "HOST", "PULLS", "RUNS")]
    for pull in pulls:
        node = pull.node
        mark = "*" if node.assumed else ""
        pulled = _short_platform(pull.choice.platform) if pull.choice else "none"
        runs = {True: "yes", False: "no", None: "?"}[pull.runs]
        rows.append(
            (_cut(node.name), _runtime(node.runtime), f"{_short_platform(node.host)}{mark}", pulled, runs)
        )
    yield from columns(rows, width=WIDTH)
    for note in dict.fromkeys(pull.node.assumed for pull in pulls if pull.node.assumed):
        yield from _wrapped(f"* {note}", "  ")
    for verdict, words in ((None, "may not be able to run it"), (False, "cannot run it")):
        affected = [pull for pull in pulls if pull.runs is verdict]
        if affected:
            yield ""
            yield f"{len(affected)} of {len(pulls)} nodes {words}:"
            for pull in affected:
                yield from _wrapped(f"  {pull.node.name}: {pull.why}", "    ")
    usable = sorted({pull.node.host.architecture for pull in pulls if pull.runs})
    if usable and not all(pull.runs for pull in pulls):
        yield ""
        yield f"keep pods off them: node affinity kubernetes.io/arch In [{', '.join(usable)}]"


def _short_platform(platform: Platform | None) -> str:
    return str(platform).removeprefix("linux/") if platform else "the only one"


def _runtime(text: str) -> str:
    """`containerd://1.7.27-k3s1` → `containerd 1.7.27`."""
    name, _, version = text.partition("://")
    return f"{name} {version.partition('-')[0].partition('+')[0]}".strip()[:20] or "unknown"


def _cut(name: str) -> str:
    """Shorten a name in the middle: nodes of a cluster differ at either end."""
    half = (NAME_WIDTH - 1) // 2
    return name if len(name) <= NAME_WIDTH else f"{name[: NAME_WIDTH - 1 - half]}…{name[-half:]}"


def _wrapped(text: str, indent: str) -> list[str]:
    return wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)
