"""The models of a builder profile. Field names are YAML keys; defaults live here."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from multibuild.config.field_types import Image, PlatformName
from multibuild.config.problems import invalid
from multibuild.config.sections import Section, TextMap
from multibuild.ssh.destination import ADDRESS_HINT, SCHEME, Destination

Driver = Literal["docker", "docker-container", "remote", "kubernetes"]


_ENDPOINT = re.compile(r"[^\s-]\S*\Z")
_ENDPOINT_HINT = "like ssh://build@host, tcp://host:1234, or the name of a docker context"

_NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""The name of a builder, which is also that of a file of ours."""


def _check_endpoint(endpoint: str, index: int) -> None:
    """Raise the problem of an ssh:// address that docker does not take, or of what it would take for a flag."""
    if not _ENDPOINT.match(endpoint):
        raise invalid(
            "is no address and no docker context", hint=_ENDPOINT_HINT, at=("nodes", index, "endpoint")
        )
    if endpoint.startswith(SCHEME):
        try:
            Destination.parse(endpoint)
        except ValueError as error:
            raise invalid(str(error), hint=ADDRESS_HINT, at=("nodes", index, "endpoint")) from None


class Node(Section):
    """A machine of a profile, and the platforms it is meant for."""

    endpoint: str | None = None
    """What buildx connects to: ssh://…, tcp://…, or a docker context; this engine by default."""
    driver: Driver | None = None
    """The buildx driver of this machine; the profile's by default. docker is the engine's own builder."""
    platforms: tuple[PlatformName, ...] = ()
    """The platforms it is meant for; what it has natively by default."""
    name: str | None = Field(default=None, pattern=_NAME)
    """The builder's name; made from the profile's by default."""
    driver_opts: TextMap = Field(default_factory=dict)
    """Driver options of this machine, over the common ones (which are for the profile's driver)."""


class Profile(Section):
    """A builder profile, settled. `buildkitd` is absolute."""

    driver: Driver = "docker-container"
    """The buildx driver."""
    name: str = Field(default="multibuild", pattern=_NAME)
    """The buildx builder."""
    image: Image | None = None
    """The BuildKit image (docker-container)."""
    buildkitd: Path | None = None
    """A buildkitd.toml beside the profile."""
    driver_opts: TextMap = Field(default_factory=dict)
    """Driver options."""
    nodes: tuple[Node, ...] = ()
    """Machines; each becomes a builder of its own."""

    @model_validator(mode="before")
    @classmethod
    def _default_name(cls, value: Any) -> Any:
        """Use the default name of the engine's own builder, which exists already."""
        if isinstance(value, dict) and value.get("driver") == "docker" and "name" not in value:
            return {**value, "name": "default"}
        return value

    @model_validator(mode="after")
    def _fits_driver(self) -> Self:
        if self.driver == "docker":
            for key in ("image", "buildkitd", "driver_opts", "nodes"):
                if getattr(self, key):
                    raise invalid(
                        "driver docker takes none: it is the engine's own BuildKit",
                        hint="write driver: docker-container",
                        at=(key,),
                    )
        if self.driver == "remote" and not self.nodes:
            raise invalid("driver remote needs nodes", hint="like nodes: [{endpoint: tcp://host:1234}]")
        return self

    @model_validator(mode="after")
    def _nodes_fit_their_drivers(self) -> Self:
        for index, node in enumerate(self.nodes):
            driver = node.driver or self.driver
            if driver == "remote" and not node.endpoint:
                raise invalid(
                    "driver remote needs an endpoint",
                    hint="like endpoint: tcp://host:1234",
                    at=("nodes", index),
                )
            if driver == "docker" and (node.endpoint or node.driver_opts):
                raise invalid(
                    "driver docker is the engine's own BuildKit: it takes neither endpoint nor options",
                    hint="write driver: docker-container",
                    at=("nodes", index),
                )
            if node.endpoint is not None:
                _check_endpoint(node.endpoint, index)
        return self
