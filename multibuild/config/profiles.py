"""Builder profiles: a file of one's own, or one that is shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from multibuild.config.document import Document, read_document
from multibuild.config.faults import Fault, config_error, fault, faults_of
from multibuild.config.models import Section, TextMap
from multibuild.config.values import PlatformName
from multibuild.errors import ConfigError

Driver = Literal["docker", "docker-container", "remote", "kubernetes"]


class Node(Section):
    """A machine of a profile, and the platforms it is meant for."""

    endpoint: str | None = None
    """What buildx connects to: ssh://…, tcp://…, or a docker context; this engine by default."""
    driver: Driver | None = None
    """The buildx driver of this machine; the profile's by default. docker is the engine's own builder."""
    platforms: tuple[PlatformName, ...] = ()
    """The platforms it is meant for; what it has natively by default."""
    name: str | None = None
    """The builder's name; made from the profile's by default."""
    driver_opts: TextMap = Field(default_factory=dict)
    """Driver options of this machine, over the common ones (which are for the profile's driver)."""


class Profile(Section):
    """A builder profile, settled. `buildkitd` is absolute."""

    driver: Driver = "docker-container"
    """The buildx driver."""
    name: str = Field(default="multibuild", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """The buildx builder."""
    image: str | None = None
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
        """The engine's own builder cannot be created, only found: by default under its usual name."""
        if isinstance(value, dict) and value.get("driver") == "docker" and "name" not in value:
            return {**value, "name": "default"}
        return value

    @model_validator(mode="after")
    def _fits_driver(self) -> Self:
        if self.driver == "docker":
            for key in ("image", "buildkitd", "driver_opts", "nodes"):
                if getattr(self, key):
                    raise fault(
                        "driver docker takes none: it is the engine's own BuildKit",
                        hint="write driver: docker-container",
                        at=(key,),
                    )
        if self.driver == "remote" and not self.nodes:
            raise fault("driver remote needs nodes", hint="like nodes: [{endpoint: tcp://host:1234}]")
        return self

    @model_validator(mode="after")
    def _nodes_fit_their_drivers(self) -> Self:
        for place, node in enumerate(self.nodes):
            driver = node.driver or self.driver
            if driver == "remote" and not node.endpoint:
                raise fault(
                    "driver remote needs an endpoint",
                    hint="like endpoint: tcp://host:1234",
                    at=("nodes", place),
                )
            if driver == "docker" and (node.endpoint or node.driver_opts):
                raise fault(
                    "driver docker is the engine's own BuildKit: it takes neither endpoint nor options",
                    hint="write driver: docker-container",
                    at=("nodes", place),
                )
        return self


def load_profile(builder: str, project: Path) -> Profile | None:
    """Read the profile that `builder:` names; None for auto and for the name of an existing builder.

    With a `/` or ending in `.yaml` it is a file, relative to `project`; otherwise a shipped profile's name. Raises
    ConfigError with the place of each fault.
    """
    if builder == "auto":
        return None
    if "/" in builder or builder.endswith((".yaml", ".yml")):
        path = project / builder
        if not path.is_file():
            raise ConfigError(f"builder: there is no profile {path}", hint=_shipped_hint())
        return _read(path)
    shipped = shipped_folder() / f"{builder}.yaml"
    return _read(shipped) if shipped.is_file() else None


def shipped_folder() -> Path:
    """Give the folder of shipped profiles: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "builders"
    return installed if installed.is_dir() else package.parent / "builders"


def _shipped_hint() -> str:
    names = sorted(path.stem for path in shipped_folder().glob("*.yaml"))
    return f"the shipped ones are named without path: {', '.join(names)}"


def _read(path: Path) -> Profile | None:
    document = read_document(path)
    if document.values == {"driver": "auto"}:
        return None
    try:
        profile = Profile.model_validate(document.values)
    except ValidationError as error:
        raise config_error(document, faults_of(error, Profile, document)) from None
    return _with_buildkitd(profile, document, path)


def _with_buildkitd(profile: Profile, document: Document, path: Path) -> Profile:
    if profile.buildkitd is None:
        return profile
    file = (path.parent / profile.buildkitd).resolve()
    if not file.is_file():
        missing = Fault(
            key=("buildkitd",), message=f"there is no file {file}", hint="it stands beside the profile"
        )
        raise config_error(document, [missing])
    return profile.model_copy(update={"buildkitd": file})
