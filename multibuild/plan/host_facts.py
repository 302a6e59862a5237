"""Facts about the host, as values: a plan is made from them without asking the engine."""

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
    """A buildx builder, with the platforms whose probe ran there (`runs`).

    `serves` is the `builder:` of the config it was chosen for; `profile_platforms` are those its profile assigns to
    it; `emulators` maps a platform to a description of its emulator.
    """

    builder: str
    driver: str
    native: Platform
    serves: str = ""
    profile_platforms: tuple[Platform, ...] = ()
    runs: tuple[Platform, ...] = ()
    buildkit: str = ""
    emulators: Mapping[str, str] = field(default_factory=dict)

    @property
    def pushes_by_digest(self) -> bool:
        """Whether the driver can push by digest; buildx build/opt.go refuses it for the docker driver."""
        return self.driver != "docker"

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form kept in facts.json."""
        return {
            "builder": self.builder,
            "driver": self.driver,
            "native": str(self.native),
            "serves": self.serves,
            "meant": list(map(str, self.profile_platforms)),
            "runs": list(map(str, self.runs)),
            "buildkit": self.buildkit,
            "emulators": dict(self.emulators),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Node:
        """Parse the JSON form."""
        return cls(
            builder=document["builder"],
            driver=document["driver"],
            native=Platform.parse(document["native"]),
            serves=document.get("serves", ""),
            profile_platforms=tuple(map(Platform.parse, document.get("meant", ()))),
            runs=tuple(map(Platform.parse, document["runs"])),
            buildkit=document["buildkit"],
            emulators=document["emulators"],
        )


@frozen
class HostFacts:
    """The nodes and the machine. `memory` is in bytes; `buildx` is argv of the buildx client.

    `all_local` is whether this machine's processors do all the building. `assumed` is whether nothing was measured
    yet: a plan made from it says so.
    """

    nodes: tuple[Node, ...]
    cpus: int
    memory: int
    buildx: tuple[str, ...] = ("docker", "buildx")
    docker_version: str = ""
    buildx_version: str = ""
    all_local: bool = False
    assumed: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return the JSON form kept in facts.json."""
        return {
            "nodes": [node.as_json() for node in self.nodes],
            "cpus": self.cpus,
            "memory": self.memory,
            "buildx": list(self.buildx),
            "docker_version": self.docker_version,
            "buildx_version": self.buildx_version,
            "here": self.all_local,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> HostFacts:
        """Parse the JSON form; KeyError or TypeError for that of another version."""
        return cls(
            nodes=tuple(map(Node.from_json, document["nodes"])),
            cpus=document["cpus"],
            memory=document["memory"],
            buildx=tuple(document["buildx"]),
            docker_version=document["docker_version"],
            buildx_version=document["buildx_version"],
            all_local=document.get("here", False),
        )


def assumed_facts(builder: str, profile: Profile | None = None) -> HostFacts:
    """Return the facts assumed before any setup; the engine's own builder is called `default`."""
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
    """Parse facts.json; assume facts if it is missing, of another version, or about another `builder:`."""
    if not document or document.get("for_builder") != builder:
        return assumed_facts(builder, profile)
    try:
        facts = HostFacts.from_json(document)
    except (KeyError, TypeError, UsageError):
        return assumed_facts(builder, profile)
    # `doctor` on a host without a builder leaves facts without a node.
    return facts if facts.nodes else assumed_facts(builder, profile)
