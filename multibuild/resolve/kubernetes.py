"""A cluster's nodes: whose rules each runtime follows, which entry a node pulls, and whether that runs. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform, runs_natively
from multibuild.resolve.clients import CLIENTS, Choice, Entry

RUNTIMES: tuple[tuple[str, str], ...] = (
    ("containerd", "containerd"),  # containerd pulls for itself (CRI plugin)
    ("cri-o", "podman"),  # CRI-O pulls through containers/image
    ("docker", "docker"),  # cri-dockerd, or dockershim before Kubernetes 1.24
)
"""Scheme of `containerRuntimeVersion` (kubernetes core/v1 NodeSystemInfo) → the client whose rules it follows."""

FIRST_DOCKER_BY_CONTAINERD = 23
"""From this major version Docker chooses as containerd does (resolve/clients.py, docker and docker_legacy)."""

ASSUMED_ARM = "v7"
"""Kubernetes says `arm` and no more; nearly every 32-bit ARM node is an ARMv7 or better."""

_MAJOR = re.compile(r"\d+")


@frozen
class Node:
    """One node. `runtime` as Kubernetes writes it; `assumed` says what it does not tell, empty where it tells all."""

    name: str
    host: Platform
    runtime: str
    client: str
    assumed: str = ""


@frozen
class Pull:
    """What a node pulls. `runs`: True, False, or None where nothing here can tell; `why` says why not True."""

    node: Node
    choice: Choice | None
    runs: bool | None
    why: str = ""

    def document(self) -> dict[str, Any]:
        """Give the node as `resolve --nodes --json` does."""
        entry = None
        if self.choice is not None:
            platform = str(self.choice.platform) if self.choice.platform else None
            entry = {"digest": self.choice.digest, "platform": platform}
        return {
            "node": self.node.name,
            "host": str(self.node.host),
            "runtime": self.node.runtime,
            "client": self.node.client,
            "assumed": self.node.assumed,
            "entry": entry,
            "runs": self.runs,
            "why": self.why,
        }


def read_nodes(content: bytes, name: str) -> tuple[Node, ...]:
    """Read `kubectl get nodes -o json`, a list or one node; UsageError naming the file when it is none."""
    try:
        document = json.loads(content)
        items = document.get("items", [document])
        nodes = tuple(_node(item, place) for place, item in enumerate(items, 1))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            f"{name} is not a list of nodes", hint="`kubectl get nodes -o json` prints one"
        ) from None
    if not nodes:
        raise UsageError(f"{name} lists no node", hint="is it the context you mean? `kubectl get nodes`")
    return nodes


def _node(item: dict[str, Any], place: int) -> Node:
    """Read one; what the kubelet reports counts before labels, which anybody can set."""
    metadata = item.get("metadata") or {}
    labels = metadata.get("labels") or {}
    info = (item.get("status") or {}).get("nodeInfo") or {}
    system = info.get("operatingSystem") or labels.get("kubernetes.io/os") or "linux"
    architecture = info.get("architecture") or labels["kubernetes.io/arch"]
    host = Platform(os=str(system), architecture=str(architecture)).normalised()
    runtime = str(info.get("containerRuntimeVersion") or "")
    client, unsaid = _client(runtime)
    notes = [f"arm/{ASSUMED_ARM}: Kubernetes does not say which ARM it is"] if architecture == "arm" else []
    return Node(
        name=str(metadata.get("name") or f"node {place}"),
        host=host,
        runtime=runtime,
        client=client,
        assumed="; ".join([*notes, *([unsaid] if unsaid else [])]),
    )


def _client(runtime: str) -> tuple[str, str]:
    """Give the client, and what had to be assumed."""
    scheme, _, version = runtime.partition("://")
    client = dict(RUNTIMES).get(scheme)
    if client is None:
        return "containerd", f"{scheme or 'the runtime'} is not known: containerd's rules assumed"
    major = _MAJOR.match(version)
    if client == "docker" and (major is None or int(major[0]) < FIRST_DOCKER_BY_CONTAINERD):
        return "docker-legacy", ""
    return client, ""


def pulls(entries: Sequence[Entry], nodes: Sequence[Node], own: Platform | None = None) -> tuple[Pull, ...]:
    """Say for each node what it pulls, and whether that runs there.

    `own` is the platform of an image that is no index: such an image is pulled by every node, whatever it is.
    """
    images = [entry for entry in entries if not entry.is_attestation]
    return tuple(_pull(images, node, own) for node in nodes)


def _pull(images: Sequence[Entry], node: Node, own: Platform | None) -> Pull:
    entry = CLIENTS[node.client](images, node.host)
    if entry is None:
        return Pull(node=node, choice=None, runs=False, why=f"no entry for {node.host}")
    platform = entry.platform or own
    runs, why = _verdict(platform, node.host)
    return Pull(node=node, choice=Choice(digest=entry.digest, platform=platform), runs=runs, why=why)


def _verdict(platform: Platform | None, host: Platform) -> tuple[bool | None, str]:
    if platform is None:
        return None, "the entry does not say its platform"
    image = platform.normalised()
    if runs_natively(image, host):
        return True, ""
    if (image.os, image.architecture, host.architecture) == (host.os, "arm", "arm64"):
        return None, f"pulls {platform}, which runs only where the CPU still has 32-bit ARM"
    return False, f"pulls {platform}, which does not run on {host}"
