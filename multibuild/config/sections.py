"""The sections of the config: everything below its top level. Field names are YAML keys; defaults live here."""

# No `from __future__ import annotations`: pydantic would compile each annotation again.

import re
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Self, cast, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from multibuild.config.field_types import (
    Image,
    LiteralPlatform,
    MemorySize,
    PlatformName,
    Seconds,
    Tag,
    Text,
    refuse_boolean,
)
from multibuild.config.problems import invalid
from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.oci.reference import Reference

TextMap = dict[str, Text]
OutputKind = Literal["registry", "oci", "oci-archive", "docker"]


class Section(BaseModel):
    """A mapping of the file: frozen, and with no key beyond those named."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


@frozen
class SmokeTest:
    """The smoke test of one platform, its own settings over the common ones. `timeout` in seconds."""

    run: tuple[str, ...]
    timeout: float
    network: bool = False
    emulator_cpu: str | None = None


@frozen
class Output:
    """The destination of the result; `path` (relative to the project) for an OCI layout or its archive."""

    kind: OutputKind
    path: str | None = None


class Cache(Section):
    """Build caches, as buildx takes them."""

    from_: tuple[str, ...] = Field(default=(), alias="from")
    """Caches to read (--cache-from); {slug} is the platform."""
    to: tuple[str, ...] = ()
    """Caches to write (--cache-to), one for each platform: {slug} is the platform. One that cannot be written fails no
    build."""


class Attestations(Section):
    """What BuildKit attests about each child."""

    provenance: Annotated[
        Literal["min", "max", False], BeforeValidator(lambda value: False if value == "false" else value)
    ] = "min"
    """SLSA provenance: min, max or false."""
    sbom: bool = False
    """A bill of materials (SPDX)."""


class TestOverride(Section):
    """What differs in the test of one platform."""

    __test__ = False  # pytest would take the name for a test class

    run: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """The command, as a list of words."""
    timeout: Seconds | None = None
    """How long it may take."""
    skip: bool = False
    """Do not test this platform."""
    emulator_cpu: str | None = None
    """The CPU model QEMU plays (QEMU_CPU)."""
    network: bool | None = None
    """Whether the test has a network."""


class TestSettings(Section):
    """The command run in every child to see that it works."""

    __test__ = False

    run: Annotated[tuple[str, ...], Field(min_length=1)]
    """The command, as a list of words: no shell."""
    timeout: Seconds = 120.0
    """How long it may take."""
    skip: tuple[PlatformName, ...] = ()
    """Platforms that are not tested."""
    emulator_cpu: str | None = None
    """The CPU model QEMU plays (QEMU_CPU)."""
    network: bool = False
    """Whether the test has a network."""


class PlatformEntry(Section):
    """One platform, and what differs for it."""

    name: PlatformName
    """os/arch[/variant]; aliases like aarch64 are understood."""
    also_as: tuple[LiteralPlatform, ...] = ()
    """Further index entries for the same digest, exactly as written."""
    required: bool = True
    """Whether the run fails when this platform does."""
    timeout: Seconds | None = None
    """Per attempt; instead of the common one."""
    args: TextMap = Field(default_factory=dict)
    """Build arguments beyond the common ones, or over them."""
    labels: TextMap = Field(default_factory=dict)
    """Image labels beyond the common ones, or over them."""
    dockerfile: str | None = None
    """Instead of the common one."""
    target: str | None = None
    """Instead of the common one."""
    builder: str | None = None
    """Instead of the common one."""
    memory: MemorySize | None = None
    """How much memory each RUN may use, in bytes or like 512m or 2g. Needs buildx 0.35 and BuildKit 0.31."""
    cpus: Annotated[float, BeforeValidator(refuse_boolean), Field(ge=0.01, le=10_000)] | None = None
    """How many processors' time each RUN may use, like 1.5. Needs the same."""
    runner: str | None = None
    """The CI runner that builds it, for `matrix`: a GitHub label, or a tag of a GitLab runner."""
    os_version: str = ""
    """os.version of the index entry."""
    os_features: tuple[str, ...] = ()
    """os.features of the index entry."""
    annotations: TextMap = Field(default_factory=dict)
    """Annotations of the index entry, or with `manifest:` of the manifest; see [annotations](#annotations)."""
    test: TestOverride | None = None
    """What differs in the test."""

    @model_validator(mode="before")
    @classmethod
    def _from_name(cls, value: Any) -> Any:
        """Accept `- linux/arm64`; anything else that is no mapping fails as a name."""
        return value if isinstance(value, dict | PlatformEntry) else {"name": value}


class Emulators(Section):
    """Where emulators come from when the builder lacks one."""

    source: Literal["auto", "image", "host", "none"] = "auto"
    """auto, image (the binfmt image), host (QEMU of the host) or none (registers nothing)."""
    image: Image = "tonistiigi/binfmt:qemu-v10.2.3-68"
    """The binfmt image."""


class Retry(Section):
    """How often a platform is tried when the failure may pass, waiting longer each time."""

    attempts: Annotated[int, BeforeValidator(refuse_boolean)] = Field(default=3, ge=1, le=100)
    """Attempts in all."""
    initial: Seconds = 5.0
    """The first wait."""
    max: Seconds = 120.0
    """The longest wait."""


class Verify(Section):
    """The proof that the binaries inside are of the platform."""

    content: Annotated[
        Literal["off", "entrypoint", "all"], BeforeValidator(lambda value: "off" if value is False else value)
    ] = "entrypoint"
    """off, entrypoint (what the image starts) or all (every binary)."""
    ignore: tuple[str, ...] = ()
    """Paths, as globs, that may be of another architecture."""


def _check_ignored(value: str) -> str:
    rule, colon, line = value.partition(":")
    if re.fullmatch(r"[a-z][a-z-]*", rule) and (not colon or re.fullmatch(r"[1-9][0-9]{0,8}", line)):
        return value
    raise invalid(
        f"'{value}' is no rule",
        hint="write a rule, or a rule and a line of the Dockerfile: fixed-arch-url:42",
    )


class Lint(Section):
    """The lint of Dockerfiles before a run."""

    fail: Literal["error", "warning", "never"] = "error"
    """The level that stops `all` and `build` before the first build: error, warning or never."""
    ignore: tuple[Annotated[str, AfterValidator(_check_ignored)], ...] = ()
    """Rules that are ignored, everywhere or in one line of the Dockerfile: rule, or rule:line."""


def _check_staging(value: str) -> str:
    if value in {"auto", "digest", "tag"}:
        return value
    from string import Formatter

    try:
        names = {name for _, name, _, _ in Formatter().parse(value) if name is not None}
    except ValueError:
        names = {""}
    unknown = names - {"image", "arch", "slug", "tag"}
    if unknown:
        raise invalid(
            f"'{value}' has a placeholder that does not exist",
            hint="there are {image}, {arch}, {slug} and {tag}",
        )
    if not names & {"arch", "slug"}:
        raise invalid(
            f"'{value}' would stage all platforms under one name",
            hint="use {arch} or {slug} in it, or write auto, digest or tag",
        )
    try:
        staged = Reference.parse(_with_examples(value))
    except UsageError:
        staged = None
    if staged is None or staged.digest:
        raise invalid(f"'{value}' makes no image reference", hint="like {image}-{arch}:{tag}")
    return value


def _with_examples(staging: str) -> str:
    for name, example in (
        ("image", "r.example/app"),
        ("arch", "arm-v7"),
        ("slug", "linux-arm-v7"),
        ("tag", "1"),
    ):
        staging = staging.replace(f"{{{name}}}", example)
    return staging


def _check_output(value: str) -> str:
    kind, colon, path = value.partition(":")
    if (value in {"registry", "docker"}) or (kind in {"oci", "oci-archive"} and colon and path):
        return value
    near = get_close_matches(kind, get_args(OutputKind), n=1)
    places = {"oci": f":{path or 'DIR'}", "oci-archive": f":{path or 'FILE'}"}
    raise invalid(
        f"must be registry, oci:DIR, oci-archive:FILE or docker, not '{value}'",
        hint=f"perhaps you meant {near[0]}{places.get(near[0], '')}" if near else "like oci:out",
    )


class Publish(Section):
    """How the result gets out."""

    staging: Annotated[str, AfterValidator(_check_staging)] = "auto"
    """Where children are pushed: auto, digest, tag, or a template of {image} {arch} {slug} {tag}. With auto and a `to`
    that is no registry they are not pushed: they wait in the state directory.
    """
    on_missing: Literal["omit", "carry", "fail"] = "omit"
    """What becomes of an optional platform that failed."""
    carry_from: Tag = "latest"
    """With carry: the tag of `image` whose entry is taken; with `to: oci:DIR` that of the layout."""
    to: Annotated[str, AfterValidator(_check_output)] = "registry"
    """registry, oci:DIR, oci-archive:FILE or docker (into the local engine)."""
    together: Literal["all", "image"] = "all"
    """Of several images: whether the tags of all move together or not at all, or those of each image by itself."""

    @property
    def output(self) -> Output:
        """`to`, parsed."""
        kind, _, path = self.to.partition(":")
        return Output(kind=cast("OutputKind", kind), path=path or None)


class RegistryOptions(Section):
    """How one registry is reached."""

    insecure: bool = False
    """Plain HTTP, or a certificate that is not verified."""
    ca: str | None = None
    """A file of CA certificates (PEM)."""
    cert: str | None = None
    """A file with the client certificate that the registry wants (PEM); `key` is its key."""
    key: str | None = None
    """A file with the key of `cert` (PEM), without a passphrase."""

    @property
    def files(self) -> tuple[tuple[str, str], ...]:
        """The files that are named, by key."""
        files = (("ca", self.ca), ("cert", self.cert), ("key", self.key))
        return tuple((name, path) for name, path in files if path)

    @model_validator(mode="after")
    def _has_whole_pair(self) -> Self:
        for name, other in (("cert", "key"), ("key", "cert")):
            if getattr(self, name) and not getattr(self, other):
                message = f"a client certificate has two files, and {other} is not there"
                raise invalid(message, hint=f"write {other}: FILE beside it", at=(name,))
        return self


class Bake(Section):
    """Images that `docker buildx bake` already knows."""

    files: Annotated[
        tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1, max_length=100)
    ] = ()
    """The bake or compose files, relative to this file; later ones win. Without: those that buildx reads by itself."""
    targets: Annotated[tuple[Annotated[str, Field(min_length=1)], ...], Field(min_length=1)] = ("default",)
    """The targets and groups to build."""
    vars: TextMap = Field(default_factory=dict)
    """Values of the files' variables."""
