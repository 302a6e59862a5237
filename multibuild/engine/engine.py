"""What a Docker engine is asked and answers: the values, and the interface that `docker.py` implements."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal, Protocol

from multibuild.engine.builder_container import BuilderContainer, is_restarting
from multibuild.frozen import frozen
from multibuild.platforms import Platform


@frozen
class EngineInfo:
    """The answer of `docker info`. `memory` is in bytes; `buildx_path` is the plugin's own binary.

    `local` is False for an engine on another machine (ssh:// or tcp://): its files and kernel are out of reach.
    `insecure` are the registries (host[:port]) the engine itself speaks plain http with.
    """

    name: str
    version: str
    native: Platform
    cpus: int
    memory: int
    containerd_store: bool
    buildx_path: str
    buildx_version: str
    context: str
    local: bool
    insecure: tuple[str, ...] = ()


@frozen
class BuilderNode:
    """One node of a buildx builder as `docker buildx ls` lists it."""

    name: str
    endpoint: str
    status: str
    version: str
    platforms: tuple[str, ...]
    driver_opts: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)


@frozen
class BuilderInfo:
    """A buildx builder. `error` is buildx's message about one that cannot be reached."""

    name: str
    driver: str
    nodes: tuple[BuilderNode, ...]
    current: bool = False
    error: str = ""

    @property
    def is_down(self) -> bool:
        """Whether it is a container that does not run, or not yet again, or is not there any more."""
        stopped = any(node.status in {"inactive", "stopped"} for node in self.nodes)
        down = is_restarting(self.error) if self.error else stopped
        return self.driver == "docker-container" and down


@frozen
class NewBuilder:
    """The arguments of `docker buildx create`.

    `image` is the BuildKit image of the docker-container driver; `buildkitd` is the text of a buildkitd.toml, empty
    for none.
    """

    name: str
    driver: str
    endpoint: str | None = None
    image: str | None = None
    buildkitd: str = ""
    driver_opts: Mapping[str, str] = field(default_factory=dict)

    @property
    def options(self) -> dict[str, str]:
        """Return the driver options as buildx takes and lists them: the image is one."""
        image = {"image": self.image} if self.image and self.driver == "docker-container" else {}
        return {**self.driver_opts, **image}


class Engine(Protocol):
    """The Docker engine; every method raises EnvironmentFault when it cannot answer."""

    def info(self) -> EngineInfo:
        """Return the engine's facts."""

    def builders(self) -> tuple[BuilderInfo, ...]:
        """Return the buildx builders."""

    def create_builder(self, new: NewBuilder) -> None:
        """Create a builder; nothing is started yet."""

    def start_builder(self, name: str) -> None:
        """Start a builder and wait for it; the first start of a docker-container may pull its image."""

    def remove_builder(self, name: str, *, keep: Literal["nothing", "state", "daemon"] = "nothing") -> None:
        """Remove a builder; what is kept, its cache or its whole container, is for one of the same name."""

    def builder_container(self, node: str, endpoint: str | None = None) -> BuilderContainer | None:
        """Return the container of a docker-container builder's node, whoever made it; None if there is none.

        `endpoint` is the node's: an ssh:// address or a docker context, None for this engine; any other address is not
        looked at, as buildx has the certificates for it.
        """

    def running_builds(self, builder: str) -> int:
        """Return how many builds a builder carries out now, anyone's."""

    def context_address(self, name: str) -> str:
        """Return the address of a docker context's engine, of the current one for ""; empty if there is none."""

    def has_image(self, image: str) -> bool:
        """Whether the image is in the engine."""

    def pull(self, image: str) -> None:
        """Pull an image, quietly."""

    def run_privileged(self, image: str, arguments: tuple[str, ...]) -> str:
        """Run a privileged container, remove it, and return its stdout."""
