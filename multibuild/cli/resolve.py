"""`resolve`: which entry of an index each client takes on a host."""

from __future__ import annotations

import sys
from pathlib import Path

from multibuild.cli.output import print_json
from multibuild.cli.runs import registry_settings
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.oci.errors import translate_read_errors
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.registries import RegistrySession
from multibuild.platforms import Platform
from multibuild.resolve.clients import CLIENTS, Choice
from multibuild.resolve.resolve import HostChoices, parse_host, read_index, resolve_hosts
from multibuild.terminal import columns, printable

DEFAULT_HOSTS = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/arm/v6", "linux/386")
"""What is shown where no host is named: those whose rules differ between clients."""


@frozen
class ResolveFlags:
    """The flags of `resolve`, as typed."""

    file: Path
    reference: str | None = None
    index: Path | None = None
    hosts: tuple[str, ...] = ()
    nodes: Path | None = None
    clients: tuple[str, ...] = ()
    json: bool = False


def resolve(flags: ResolveFlags) -> int:
    """Print each client's pick; 0 also when a client finds nothing."""
    if flags.nodes is not None:
        return _nodes(flags.nodes, flags)
    clients = _clients(flags.clients)
    hosts = _hosts(flags)
    for host in hosts:
        parse_host(host)  # a wrong one is said before any registry is asked
    found = resolve_hosts(_index(flags), hosts)
    chosen = [
        HostChoices(host=host.host, clients={name: host.clients[name] for name in clients}) for host in found
    ]
    if flags.json:
        documents = [answer.document() for answer in chosen]
        print_json(documents[0] if len(documents) == 1 else documents)
    else:
        print("\n".join(printable(line) for line in _table(chosen, clients)))
    return 0


def _clients(texts: tuple[str, ...]) -> tuple[str, ...]:
    named = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in named:
        if name not in CLIENTS:
            raise UsageError(f"--client {name}: is not known", hint=f"there are {', '.join(CLIENTS)}")
    return tuple(dict.fromkeys(named)) or tuple(CLIENTS)


def _hosts(flags: ResolveFlags) -> tuple[str, ...]:
    typed = [host.strip() for text in flags.hosts for host in text.split(",") if host.strip()]
    return tuple(dict.fromkeys(typed)) or DEFAULT_HOSTS


def _nodes(file: Path, flags: ResolveFlags) -> int:
    """Print each node's pick for a cluster: its nodes determine host and client."""
    from multibuild.cli.cluster_nodes import show_nodes
    from multibuild.resolve.kubernetes import read_cluster_nodes

    if flags.hosts or flags.clients:
        raise UsageError(
            "--nodes: cannot be joined with --host or --client", hint="the nodes say both: leave them out"
        )
    nodes = read_cluster_nodes(_read(file), str(file))
    image = _index(flags)
    own = None if image.is_index or flags.reference is None else _own_platform(flags)
    return show_nodes(nodes, image, own, as_json=flags.json)


def _own_platform(flags: ResolveFlags) -> Platform:
    """Read the platform of an image that is no index from its config."""
    from multibuild.oci.image import read_child

    reference = Reference.parse(str(flags.reference))
    session = RegistrySession(
        registry_settings(flags.file), on_wait=lambda text: print(text, file=sys.stderr)
    )
    with translate_read_errors(), session as registries:
        return read_child(reference, registries.of(reference.host), None).config.platform


def _index(flags: ResolveFlags) -> Manifest:
    if (flags.reference is None) == (flags.index is None):
        raise UsageError(
            "name an image, or --index FILE", hint="like `multibuild resolve app:1 --host linux/arm64`"
        )
    if flags.index is not None:
        return read_index(_read(flags.index), str(flags.index))
    reference = Reference.parse(str(flags.reference))
    session = RegistrySession(
        registry_settings(flags.file), on_wait=lambda text: print(text, file=sys.stderr)
    )
    with translate_read_errors(), session as registries:
        return registries.of(reference.host).manifest(reference)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}", hint="name a file, or - for standard input") from error


def _table(found: list[HostChoices], clients: tuple[str, ...]) -> list[str]:
    """Hosts down, clients across; a cell is the entry's platform as the index has it."""
    rows = [("HOST", *(name.upper() for name in clients))]
    rows += [
        (answer.host, *(_cell(answer.clients[name], answer.host) for name in clients)) for answer in found
    ]
    return columns(rows, width=100)


def _cell(choice: Choice | None, host: str) -> str:
    """Leave out the os that host and entry share: five clients must fit 80 columns."""
    if choice is None:
        return "none"
    said = str(choice.platform) if choice.platform else "the only one"
    return said.removeprefix(f"{host.partition('/')[0]}/")
