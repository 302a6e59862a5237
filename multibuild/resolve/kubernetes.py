"""A cluster's nodes: the client rules of each runtime, the entry a node pulls, and whether it runs there."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform, runs_natively
from multibuild.resolve.client_rules import Choice, Entry, client_rule, major_minor

RUNTIMES: tuple[tuple[str, str], ...] = (
    ("containerd", "containerd"),  # containerd pulls by itself (CRI plugin)
    ("cri-o", "podman"),  # CRI-O pulls through containers/image
    ("docker", "docker"),  # cri-dockerd, or dockershim before Kubernetes 1.24
)
"""Scheme of `containerRuntimeVersion` (kubernetes core/v1 NodeSystemInfo) → the client whose rules it follows."""

FIRST_DOCKER_BY_CONTAINERD = 23
"""From this major version on Docker picks like containerd (resolve/client_rules.py, docker and docker_legacy)."""

FIRST_CRI_O_WITH_ZSTD = (1, 27)
"""Its go.mod has containers/image 5.25; the rule of one from before is that of `podman@4.4`."""

ASSUMED_ARM = "v7"
"""Kubernetes reports only `arm`; nearly every 32-bit ARM node is an ARMv7 or better."""

_MAJOR = re.compile(r"\d+")


@frozen
class ClusterNode:
    """A Kubernetes node. `runtime` as reported; `assumed` explains an assumption about what is not reported."""

    name: str
    host: Platform
    runtime: str
    client: str
    assumed: str = ""


@frozen
class Pull:
    """A node's pick. `runs` is None where that cannot be determined; `why` is the reason unless it is True."""

    node: ClusterNode
    choice: Choice | None
    runs: bool | None
    why: str = ""

    def document(self) -> dict[str, Any]:
        """Return the node's JSON of `resolve --nodes --json`."""
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


def read_cluster_nodes(content: bytes, name: str) -> tuple[ClusterNode, ...]:
    """Parse `kubectl get nodes -o json`, a list or one node; UsageError with the file's name when it is neither."""
    try:
        document = json.loads(content)
        items = document.get("items", [document])
        nodes = tuple(_parse_node(node, number) for number, node in enumerate(items, 1))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UsageError(
            f"{name} is not a list of nodes", hint="`kubectl get nodes -o json` prints one"
        ) from None
    if not nodes:
        raise UsageError(f"{name} lists no node", hint="is it the context you mean? `kubectl get nodes`")
    return nodes


def _parse_node(node: dict[str, Any], number: int) -> ClusterNode:
    """Parse one node; the kubelet's report takes precedence over labels, which users can set."""
    metadata = node.get("metadata") or {}
    labels = metadata.get("labels") or {}
    info = (node.get("status") or {}).get("nodeInfo") or {}
    system = info.get("operatingSystem") or labels.get("kubernetes.io/os") or "linux"
    architecture = info.get("architecture") or labels["kubernetes.io/arch"]
    host = Platform(os=str(system), architecture=str(architecture)).normalised()
    runtime = str(info.get("containerRuntimeVersion") or "")
    client, assumption = _client(runtime)
    notes = [f"arm/{ASSUMED_ARM}: Kubernetes does not say which ARM it is"] if architecture == "arm" else []
    return ClusterNode(
        name=str(metadata.get("name") or f"node {number}"),
        host=host,
        runtime=runtime,
        client=client,
        assumed="; ".join([*notes, *([assumption] if assumption else [])]),
    )


def _client(runtime: str) -> tuple[str, str]:
    """Return the client, and the assumption where the runtime is unknown."""
    scheme, _, version = runtime.partition("://")
    client = dict(RUNTIMES).get(scheme)
    if client is None:
        return "containerd", f"{scheme or 'the runtime'} is not known: containerd's rules assumed"
    major = _MAJOR.match(version)
    if client == "docker" and (major is None or int(major[0]) < FIRST_DOCKER_BY_CONTAINERD):
        return "docker-legacy", ""
    if scheme == "cri-o" and (major_minor(version) or FIRST_CRI_O_WITH_ZSTD) < FIRST_CRI_O_WITH_ZSTD:
        return "podman@4.4", ""
    return client, ""


def resolve_nodes(
    entries: Sequence[Entry], nodes: Sequence[ClusterNode], own: Platform | None = None
) -> tuple[Pull, ...]:
    """Return each node's pick, and whether it runs there.

    `own` is the platform of an image that is no index: every node pulls such an image.
    """
    images = [entry for entry in entries if not entry.is_attestation]
    return tuple(_pull(images, node, own) for node in nodes)


def _pull(images: Sequence[Entry], node: ClusterNode, own: Platform | None) -> Pull:
    rule = client_rule(node.client)
    entry = rule(images, node.host) if rule is not None else None
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
