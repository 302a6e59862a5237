"""The config as it must be: every key, its type and its default. Nothing else in the project has defaults.

pydantic checks shapes; what a value means (durations, platforms) is read by the validators here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    field_validator,
    model_validator,
)

from multibuild.errors import MultibuildError
from multibuild.platforms import Platform
from multibuild.publish.loopback import is_loopback

_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?\Z")
_REPOSITORY = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::\d+)?|\[[0-9a-fA-F:]+\](?::\d+)?)(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)+\Z"
    r"|[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*\Z"
)
_TAG = re.compile(r"[\w][\w.-]{0,127}\Z", re.ASCII)

MANAGED_FLAGS = (
    "--platform", "--output", "-o", "--push", "--load", "--tag", "-t", "--metadata-file", "--progress", "--builder",
    "--file", "-f", "--build-arg", "--secret", "--ssh", "--provenance", "--sbom", "--attest", "--cache-from",
    "--cache-to", "--label", "--target", "--no-cache", "--pull", "--network", "--build-context", "--iidfile",
    "--annotation", "--call", "--check", "--print",
)  # fmt: skip
"""buildx build flags that multibuild sets itself, from config keys or to do its work."""


def seconds_of(value: Any) -> Any:
    """Read a duration: "5s", "2m", "1h30m", or a number of seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("a duration is wanted: like 30s, 5m or 2h")  # noqa: TRY004 - pydantic's way
    if isinstance(value, str):
        found = _DURATION.match(value.strip())
        if not found or not any(found.groups()):
            raise ValueError(f"'{value}' is not a duration: write it like 30s, 5m, 2h or 1h30m")
        hours, minutes, seconds = (float(part or 0) for part in found.groups())
        value = hours * 3600 + minutes * 60 + seconds
    if value <= 0:
        raise ValueError("a duration must be longer than nothing")
    return float(value)


def stall_of(value: Any) -> Any:
    """Read `stall_timeout`: off (YAML reads it as False), auto, or a duration."""
    if value in (False, "off", None):
        return None
    return "auto" if value == "auto" else seconds_of(value)


def _platform(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a platform is wanted: like linux/arm64")  # noqa: TRY004 - pydantic turns it into a message
    try:
        return Platform.parse(value)
    except MultibuildError as error:
        raise ValueError(f"{error.message}{f' ({error.hint})' if error.hint else ''}") from None


def _literal_platform(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("a platform is wanted: like linux/arm64/unknown")  # noqa: TRY004
    try:
        return Platform.literal(value)
    except MultibuildError as error:
        raise ValueError(error.message) from None


def _off(value: Any) -> Any:
    """YAML reads `off` as False."""
    return "off" if value is False else value


_STRING_SCHEMA: dict[str, Any] = {"type": "string"}
_DURATION_SCHEMA: dict[str, Any] = {"type": ["string", "number"], "description": "30s, 5m, 2h, or seconds"}

Text = PlainSerializer(str, return_type=str)
Duration = Annotated[float, BeforeValidator(seconds_of), Field(json_schema_extra=_DURATION_SCHEMA)]
Stall = Annotated[float | Literal["auto"] | None, BeforeValidator(stall_of)]
PlatformName = Annotated[Any, BeforeValidator(_platform), Text, Field(json_schema_extra=_STRING_SCHEMA)]
LiteralPlatform = Annotated[
    Any, BeforeValidator(_literal_platform), Text, Field(json_schema_extra=_STRING_SCHEMA)
]


@dataclass(frozen=True, kw_only=True, slots=True)
class SmokeTest:
    """The test of one platform. `timeout` in seconds; `emulator_cpu` is QEMU_CPU for old ARM levels."""

    run: tuple[str, ...]
    timeout: float
    network: bool = False
    emulator_cpu: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlet:
    """Where the index goes. `path` is set for the layouts."""

    kind: Literal["registry", "oci", "oci-archive", "docker"]
    path: str | None = None


class Model(BaseModel):
    """Frozen, and every unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Cache(Model):
    """Where build cache is read from and written to; `{slug}` becomes the platform's."""

    from_: tuple[str, ...] = Field(default=(), alias="from")
    to: tuple[str, ...] = ()


class Attestations(Model):
    """What BuildKit attests about each child."""

    provenance: Literal["min", "max", False] = "min"
    sbom: bool = False


class Emulators(Model):
    """Where missing emulators come from."""

    source: Annotated[Literal["auto", "image", "host", "none"], Field()] = "auto"
    image: str = "tonistiigi/binfmt:qemu-v10.2.3-68"


class Retry(Model):
    """How often and how patiently a transient failure is tried again."""

    attempts: int = Field(default=3, ge=1, le=100)
    initial: Duration = 5.0
    max: Duration = 120.0


class PlatformTest(Model):
    """What differs in the test of one platform."""

    run: tuple[str, ...] | None = Field(default=None, min_length=1)
    timeout: Duration | None = None
    skip: bool = False
    emulator_cpu: str | None = None


class Test(Model):
    """A command that every child must run with exit code 0."""

    __test__ = False

    run: tuple[str, ...] = Field(min_length=1)
    timeout: Duration = 120.0
    skip: tuple[PlatformName, ...] = ()
    network: bool = False
    emulator_cpu: str | None = None


class Verify(Model):
    """What is looked at inside each child."""

    content: Annotated[Literal["off", "entrypoint", "all"], BeforeValidator(_off)] = "entrypoint"
    ignore: tuple[str, ...] = ()


class Publish(Model):
    """How children are staged and where the index goes."""

    staging: str = "auto"
    on_missing: Literal["omit", "carry", "fail"] = "omit"
    carry_from: str = "latest"
    to: str = "registry"

    @field_validator("staging")
    @classmethod
    def _template(cls, value: str) -> str:
        if value in {"auto", "digest", "tag"}:
            return value
        if "{arch}" not in value and "{slug}" not in value:
            raise ValueError(
                'auto, digest, tag, or a template with {arch} or {slug}, like "{image}-{arch}:{tag}"'
            )
        return value

    @field_validator("to")
    @classmethod
    def _outlet(cls, value: str) -> str:
        kind, colon, path = value.partition(":")
        if kind in {"registry", "docker"} and not colon:
            return value
        if kind in {"oci", "oci-archive"} and path:
            return value
        raise ValueError("registry, oci:DIR, oci-archive:FILE or docker")

    @property
    def outlet(self) -> Outlet:
        """Give `to`, read."""
        kind, _, path = self.to.partition(":")
        return Outlet(kind=kind, path=path or None)  # type: ignore[arg-type]


class RegistryOptions(Model):
    """How a registry is reached: plain http, or TLS with a CA of its own."""

    insecure: bool = False
    ca: str | None = None


class PlatformEntry(Model):
    """One platform, and what differs for it."""

    name: PlatformName
    also_as: tuple[LiteralPlatform, ...] = ()
    required: bool = True
    timeout: Duration | None = None
    args: Mapping[str, str] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)
    dockerfile: str | None = None
    target: str | None = None
    builder: str | None = None
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    annotations: Mapping[str, str] = Field(default_factory=dict)
    test: PlatformTest | None = None

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Config(Model):
    """`multibuild.yaml`, settled."""

    version: Literal[1]
    image: str
    tags: tuple[str, ...] = ("latest",)
    destinations: tuple[str, ...] = ()
    context: str = "."
    dockerfile: str = "Dockerfile"
    target: str | None = None
    args: Mapping[str, str] = Field(default_factory=dict)
    pull: bool = True
    no_cache: bool = False
    network: str = "default"
    build_flags: tuple[str, ...] = ()
    contexts: Mapping[str, str] = Field(default_factory=dict)
    labels: Mapping[str, str] = Field(default_factory=dict)
    secrets: tuple[str, ...] = ()
    ssh: tuple[str, ...] = ()
    cache: Cache = Cache()
    attestations: Attestations = Attestations()
    media_type: Literal["oci", "docker"] = "oci"
    reproducible: bool = False
    platforms: tuple[PlatformEntry, ...] = Field(min_length=1)
    annotations: Mapping[str, str] = Field(default_factory=dict)
    builder: str = "auto"
    emulators: Emulators = Emulators()
    jobs: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    retry: Retry = Retry()
    timeout: Duration = 6 * 3600.0
    stall_timeout: Stall = None
    fail_fast: bool = False
    test: Test | None = None
    verify: Verify = Verify()
    publish: Publish = Publish()
    registries: Mapping[str, RegistryOptions] = Field(default_factory=dict)

    @field_validator("image")
    @classmethod
    def _image(cls, value: str) -> str:
        return _repository(value)

    @field_validator("destinations")
    @classmethod
    def _destinations(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_repository(value) for value in values)

    @field_validator("tags", mode="before")
    @classmethod
    def _tags(cls, values: Any) -> Any:
        """Drop tags that came out empty; a tag of none is an error."""
        if not isinstance(values, list | tuple):
            return values
        kept = [value for value in values if value != ""]
        if not kept:
            raise ValueError("no tag is left: every one came out empty")
        for value in kept:
            if isinstance(value, str) and not _TAG.match(value):
                raise ValueError(f"'{value}' is not a tag: letters, digits, '_', '.' and '-', at most 128")
        return tuple(dict.fromkeys(kept)) if all(isinstance(value, str) for value in kept) else kept

    @field_validator("build_flags")
    @classmethod
    def _flags(cls, values: tuple[str, ...]) -> tuple[str, ...]:
        for value in values:
            flag = value.split("=", 1)[0]
            if flag in MANAGED_FLAGS:
                raise ValueError(f"{flag} is managed by multibuild; there is a config key for what it does")
        return values

    @field_validator("platforms")
    @classmethod
    def _distinct(cls, values: tuple[PlatformEntry, ...]) -> tuple[PlatformEntry, ...]:
        seen: set[str] = set()
        for entry in values:
            for name in (str(entry.name), *map(str, entry.also_as)):
                if name in seen:
                    raise ValueError(f"{name} is listed twice")
                seen.add(name)
        return values

    @model_validator(mode="before")
    @classmethod
    def _no_attestations_for_docker(cls, value: Any) -> Any:
        """Docker media types cannot carry attestations: where none were asked for, there are none."""
        if isinstance(value, dict) and value.get("media_type") == "docker" and "attestations" not in value:
            return {**value, "attestations": {"provenance": False}}
        return value

    @model_validator(mode="after")
    def _docker_types(self) -> Config:
        """Docker's own manifest list can hold neither annotations nor attestations (contract §6)."""
        if self.media_type == "docker":
            if self.annotations or any(entry.annotations for entry in self.platforms):
                raise ValueError(
                    "annotations: a Docker manifest list has none; write `media_type: oci` or leave them out"
                )
            if self.attestations.provenance or self.attestations.sbom:
                raise ValueError(
                    "attestations: they need OCI media types; with `media_type: docker` write "
                    "`attestations: {provenance: false}`"
                )
        return self

    def is_insecure(self, host: str) -> bool:
        """Whether a registry may be spoken to over plain http: said so, or on this machine (as Docker does)."""
        options = self.registries.get(host)
        return (options is not None and options.insecure) or is_loopback(host)

    def test_of(self, entry: PlatformEntry) -> SmokeTest | None:
        """Give the test of a platform; None when there is none for it."""
        test, own = self.test, entry.test
        if own is not None and own.skip:
            return None
        if test is None:
            if own is None or own.run is None:
                return None
            return SmokeTest(run=own.run, timeout=own.timeout or 120.0, emulator_cpu=own.emulator_cpu)
        if entry.name in test.skip:
            return None
        return SmokeTest(
            run=(own.run if own and own.run else test.run),
            timeout=(own.timeout if own and own.timeout else test.timeout),
            network=test.network,
            emulator_cpu=(own.emulator_cpu if own and own.emulator_cpu else test.emulator_cpu),
        )


def _repository(value: str) -> str:
    if _REPOSITORY.match(value):
        return value
    last = value.rpartition("/")[2]
    if "@" in last or ":" in last:
        raise ValueError(f"'{value}' must have no tag or digest: tags go under `tags`")
    if value != value.lower():
        raise ValueError(f"'{value}': the path of a repository is lower case only")
    raise ValueError(f"'{value}' is not a repository, like registry.example.org/team/app")
