"""An engine that is only said to be there: its builders and images are what a test gives it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace

from multibuild.engine.docker import BuilderInfo, BuilderNode, EngineInfo, NewBuilder
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
    """Make a builder of one running node."""
    node = BuilderNode(
        name=f"{name}0",
        endpoint="unix:///var/run/docker.sock",
        status="running",
        version="v0.32.2",
        platforms=("linux/amd64",),
    )
    return BuilderInfo(name=name, driver=driver, nodes=(node,), error=error)


def as_listed(wanted: NewBuilder) -> BuilderInfo:
    """Give a new builder as `buildx ls` lists it once it runs."""
    encoded = base64.b64encode(wanted.buildkitd.encode()).decode()
    node = replace(
        builder(wanted.name).nodes[0],
        endpoint=wanted.endpoint or "unix:///var/run/docker.sock",
        driver_opts=wanted.options,
        files={"buildkitd.toml": encoded} if wanted.buildkitd else {},
    )
    return BuilderInfo(name=wanted.name, driver=wanted.driver, nodes=(node,))


@dataclass(kw_only=True)
class FakeEngine:
    """Implements `multibuild.engine.docker.Engine`.

    `reachable` are the images that can be pulled; builders in `dead` do not start; `did` is what was asked.
    """

    facts: EngineInfo = ENGINE
    known: list[BuilderInfo] = field(default_factory=lambda: [builder("default", "docker")])
    images: set[str] = field(default_factory=set)
    reachable: set[str] = field(default_factory=set)
    dead: set[str] = field(default_factory=set)
    refusal: str = "no route to host"
    answer: str = "{}"
    did: list[str] = field(default_factory=list)

    def info(self) -> EngineInfo:
        """Give the facts."""
        return self.facts

    def builders(self) -> tuple[BuilderInfo, ...]:
        """Give the builders."""
        return tuple(self.known)

    def create_builder(self, wanted: NewBuilder) -> None:
        """Add it."""
        self.did.append(f"create {wanted.name}")
        made = as_listed(wanted)
        if wanted.name in self.dead and wanted.driver == "remote":
            made = replace(made, nodes=(replace(made.nodes[0], status="inactive"),))
        self.known.append(made)

    def start_builder(self, name: str) -> None:
        """Note it; EnvironmentFault for one of `dead`."""
        self.did.append(f"start {name}")
        if name in self.dead:
            raise EnvironmentFault(f"starting the builder {name}: no route to host")

    def remove_builder(self, name: str, *, keep_state: bool = False) -> None:
        """Forget it."""
        self.did.append(f"remove {name}{' but its state' if keep_state else ''}")
        self.known = [found for found in self.known if found.name != name]

    def has_image(self, image: str) -> bool:
        """Look it up."""
        return image in self.images

    def pull(self, image: str) -> None:
        """Make a reachable image present; EnvironmentFault for any other."""
        self.did.append(f"pull {image}")
        if image not in self.reachable:
            raise EnvironmentFault(f"pulling {image}: {self.refusal}")
        self.images.add(image)

    def run_privileged(self, image: str, arguments: tuple[str, ...]) -> str:
        """Give the answer."""
        self.did.append(f"run {image} {' '.join(arguments)}")
        return self.answer
