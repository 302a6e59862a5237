"""Builder profiles: a file of one's own, or one that is shipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from multibuild.config.document import read_document
from multibuild.config.load import read_text
from multibuild.config.models import Model, PlatformName
from multibuild.config.validate import validate
from multibuild.errors import ConfigError
from multibuild.platforms import Platform


class _Node(Model):
    endpoint: str
    name: str | None = None
    platforms: tuple[PlatformName, ...] = ()
    driver_opts: Mapping[str, str] = Field(default_factory=dict)


class _File(Model):
    driver: Literal["docker", "docker-container", "remote", "kubernetes"]
    name: str = "multibuild"
    image: str | None = None
    buildkitd: str | None = None
    driver_opts: Mapping[str, str] = Field(default_factory=dict)
    nodes: tuple[_Node, ...] = ()

    @field_validator("name")
    @classmethod
    def _name(cls, value: str) -> str:
        if not value.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise ValueError(f"'{value}' cannot be a builder's name: letters, digits, '.', '_' and '-'")
        return value


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileNode:
    """A machine of a profile and the platforms it is meant for."""

    endpoint: str
    platforms: tuple[Platform, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """A builder profile, read. `buildkitd` is an absolute path."""

    driver: str
    name: str
    image: str | None
    buildkitd: Path | None
    driver_opts: Mapping[str, str]
    nodes: tuple[ProfileNode, ...]


def load_profile(builder: str, project: Path) -> Profile | None:
    """Read the profile that `builder:` names; None for auto and for the name of an existing builder.

    With a `/` or ending in `.yaml` it is a file, relative to the project; otherwise a shipped profile's name.
    """
    if builder == "auto":
        return None
    if "/" in builder or builder.endswith((".yaml", ".yml")):
        return _read(project / builder)
    shipped = shipped_folder() / f"{builder}.yaml"
    return _read(shipped) if shipped.is_file() else None


def shipped_folder() -> Path:
    """Give the folder of shipped profiles: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "builders"
    return installed if installed.is_dir() else package.parent / "builders"


def _read(path: Path) -> Profile | None:
    document = read_document(str(path), read_text(path, hint="`builder:` names a profile file"))
    if isinstance(document.data, dict) and document.data.get("driver") == "auto":
        return None
    file = validate(_File, document)
    buildkitd = path.parent / file.buildkitd if file.buildkitd else None
    if buildkitd is not None and not buildkitd.is_file():
        raise ConfigError(
            f"{document.place(('buildkitd',))}: there is no file {buildkitd}",
            hint="it stands beside the profile",
        )
    return Profile(
        driver=file.driver,
        name=file.name,
        image=file.image,
        buildkitd=buildkitd.resolve() if buildkitd else None,
        driver_opts=file.driver_opts,
        nodes=tuple(ProfileNode(endpoint=node.endpoint, platforms=node.platforms) for node in file.nodes),
    )
