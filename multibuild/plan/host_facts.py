"""What is known of the host, as values that `plan` can be made from without asking anybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import TYPE_CHECKING, Any

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.profile_models import Profile

MIB = 1024 * 1024


@frozen
class Node:
    """One place that builds: a buildx builder, always named, with what was seen to run on it.

    `serves` is the `builder:` of the config it was chosen for; `meant` are the platforms its profile says it is for.
    `runs` holds the platforms whose probe ran there; `emulators` says through what (platform → description).
    """

    builder: str
    driver: str
    native: Platform
    serves: str = ""
    meant: tuple[Platform, ...] = ()
    runs: tuple[Platform, ...] = ()
    buildkit: str = ""
    emulators: Mapping[str, str] = field(default_factory=dict)

    @property
    def pushes_by_digest(self) -> bool:
        """The docker driver cannot: buildx build/opt.go refuses push-by-digest there."""
        return self.driver != "docker"

    def as_json(self) -> dict[str, Any]:
        """Give the JSON form kept in facts.json."""
        return {
            "builder": self.builder,
            "driver": self.driver,
            "native": str(self.native),
            "serves": self.serves,
            "meant": [str(platform) for platform in self.meant],
            "runs": [str(platform) for platform in self.runs],
            "buildkit": self.buildkit,
            "emulators": dict(self.emulators),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Node:
        """Read what `as_json` wrote."""
        return cls(
            builder=document["builder"],
            driver=document["driver"],
            native=Platform.parse(document["native"]),
            serves=document.get("serves", ""),
            meant=tuple(Platform.parse(text) for text in document.get("meant", ())),
            runs=tuple(Platform.parse(text) for text in document["runs"]),
            buildkit=document["buildkit"],
            emulators=document["emulators"],
        )


@frozen
class HostFacts:
    """The nodes and the machine. `memory` is in bytes; `buildx` is argv of the buildx client.

    `here` is True when all that is built is built by this machine's processors. `assumed` is True when nothing was
    measured yet: a plan made from it says so.
    """

    nodes: tuple[Node, ...]
    cpus: int
    memory: int
    buildx: tuple[str, ...] = ("docker", "buildx")
    docker_version: str = ""
    buildx_version: str = ""
    here: bool = False
    assumed: bool = False

    def as_json(self) -> dict[str, Any]:
        """Give the JSON form kept in facts.json."""
        return {
            "nodes": [node.as_json() for node in self.nodes],
            "cpus": self.cpus,
            "memory": self.memory,
            "buildx": list(self.buildx),
            "docker_version": self.docker_version,
            "buildx_version": self.buildx_version,
            "here": self.here,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> HostFacts:
        """Read what `as_json` wrote; KeyError or TypeError for a file of another version."""
        return cls(
            nodes=tuple(Node.from_json(node) for node in document["nodes"]),
            cpus=document["cpus"],
            memory=document["memory"],
            buildx=tuple(document["buildx"]),
            docker_version=document["docker_version"],
            buildx_version=document["buildx_version"],
            here=document.get("here", False),
        )


def assumed_facts(builder: str, profile: Profile | None = None) -> HostFacts:
    """Give what is assumed where no setup ran: docker-container and push by digest (contract, `plan`).

    A `profile` says itself which driver it is and what its builder is called; that of the engine is `default`.
    """
    name = builder if builder not in {"", "auto", "local"} and "/" not in builder else "multibuild"
    driver = "docker-container"
    if profile is not None:
        driver = profile.driver
        name = profile.name if driver != "docker" else "default"
    node = Node(builder=name, driver=driver, native=Platform.parse("amd64"))
    return HostFacts(nodes=(node,), cpus=2, memory=8192 * MIB, assumed=True)


def recorded_facts(
    document: Mapping[str, Any] | None, builder: str, profile: Profile | None = None
) -> HostFacts:
    """Read facts.json, or assume, where it is missing, of another version, or about another `builder:`."""
    if not document or document.get("for_builder") != builder:
        return assumed_facts(builder, profile)
    try:
        facts = HostFacts.from_json(document)
    except (KeyError, TypeError, UsageError):
        return assumed_facts(builder, profile)
    # A look at a host whose builder is not made yet leaves facts without a node.
    return facts if facts.nodes else assumed_facts(builder, profile)
