"""An engine in memory, with the builders and images of a test."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from typing import Literal

from multibuild.engine.builder_container import BuilderContainer
from multibuild.engine.engine import BuilderInfo, BuilderNode, EngineInfo, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.platforms import Platform

ENGINE = EngineInfo(
    name="host",
    version="28.0.0",
    native=Platform.parse("linux/amd64"),
    cpus=2,
    memory=8 * 1024**3,
    containerd_store=False,
    buildx_path="/usr/libexec/docker/cli-plugins/docker-buildx",
    buildx_version="v0.29.1",
    context="default",
    local=True,
)


def builder(name: str, driver: str = "docker-container", *, error: str = "") -> BuilderInfo:
    """Return a builder of one running node."""
    node = BuilderNode(
        name=f"{name}0",
        endpoint="unix:///var/run/docker.sock",
        status="running",
        version="v0.32.2",
        platforms=("linux/amd64",),
    )
    return BuilderInfo(name=name, driver=driver, nodes=(node,), error=error)


def listed_builder(new: NewBuilder) -> BuilderInfo:
    """Return a new builder as `buildx ls` lists it once it runs."""
    encoded = base64.b64encode(new.buildkitd.encode()).decode()
    node = replace(
        builder(new.name).nodes[0],
        endpoint=new.endpoint or "unix:///var/run/docker.sock",
        driver_opts=new.options,
        files={"buildkitd.toml": encoded} if new.buildkitd else {},
    )
    return BuilderInfo(name=new.name, driver=new.driver, nodes=(node,))


@dataclass(kw_only=True)
class FakeEngine:
    """Implements `multibuild.engine.engine.Engine`.

    `reachable` are the images that can be pulled; the builders in `unreachable` do not start; `calls` are those that
    change something.
    """

    facts: EngineInfo = ENGINE
    existing: list[BuilderInfo] = field(default_factory=lambda: [builder("default", "docker")])
    images: set[str] = field(default_factory=set)
    reachable: set[str] = field(default_factory=set)
    unreachable: set[str] = field(default_factory=set)
    refusal: str = "no route to host"
    answer: str = "{}"
    containers: dict[str, BuilderContainer] = field(default_factory=dict)
    contexts: dict[str, str] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    def info(self) -> EngineInfo:
        """Return the facts."""
        return self.facts

    def builders(self) -> tuple[BuilderInfo, ...]:
        """Return the builders."""
        return tuple(self.existing)

    def create_builder(self, new: NewBuilder) -> None:
        """Add a builder."""
        self.calls.append(f"create {new.name}")
        created = listed_builder(new)
        if new.name in self.unreachable and new.driver == "remote":
            created = replace(created, nodes=(replace(created.nodes[0], status="inactive"),))
        self.existing.append(created)

    def start_builder(self, name: str) -> None:
        """Record the start, after which it runs; EnvironmentFault for one of `unreachable`."""
        self.calls.append(f"start {name}")
        if name in self.unreachable:
            raise EnvironmentFault(f"starting the builder {name}: no route to host")
        self.existing = [
            replace(listed, error="", nodes=tuple(replace(node, status="running") for node in listed.nodes))
            if listed.name == name
            else listed
            for listed in self.existing
        ]

    def remove_builder(self, name: str, *, keep: Literal["nothing", "state", "daemon"] = "nothing") -> None:
        """Remove a builder."""
        self.calls.append(f"remove {name}{'' if keep == 'nothing' else f' keeping its {keep}'}")
        self.existing = [listed for listed in self.existing if listed.name != name]

    def builder_container(self, node: str, endpoint: str | None = None) -> BuilderContainer | None:
        """Return the container of a node; those of listed builders are in `containers` once they were started."""
        return self.containers.get(node if endpoint is None else f"{node} at {endpoint}")

    def running_builds(self, builder: str) -> int:
        """Return the number of builds of a builder."""
        return self.running.get(builder, 0)

    def context_address(self, name: str) -> str:
        """Return the address of a context."""
        return self.contexts.get(name, "")

    def has_image(self, image: str) -> bool:
        """Whether the image is present."""
        return image in self.images

    def pull(self, image: str) -> None:
        """Make a reachable image present; EnvironmentFault for any other."""
        self.calls.append(f"pull {image}")
        if image not in self.reachable:
            raise EnvironmentFault(f"pulling {image}: {self.refusal}")
        self.images.add(image)

    def run_privileged(self, image: str, arguments: tuple[str, ...]) -> str:
        """Return the answer."""
        self.calls.append(f"run {image} {' '.join(arguments)}")
        return self.answer
