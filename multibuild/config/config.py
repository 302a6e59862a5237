"""The config's top level. Field names are YAML keys; defaults live only here and in sections.py."""

# No `from __future__ import annotations`: pydantic would compile each annotation again.

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from multibuild.buildx.cache_targets import missing_slug
from multibuild.config.annotations import check_annotations
from multibuild.config.field_types import (
    OptionalTag,
    RegistryHost,
    Repository,
    Seconds,
    Secret,
    check_build_flags,
    drop_empty_tags,
    parse_jobs,
    parse_limit,
    parse_stall,
    refuse_boolean,
)
from multibuild.config.gates.checks import check_gates
from multibuild.config.gates.gate import MAX_GATES, Gate
from multibuild.config.problems import invalid
from multibuild.config.publishing.sign import Sign
from multibuild.config.sections import (
    Attestations,
    Bake,
    Cache,
    Emulators,
    Lint,
    PlatformEntry,
    Publish,
    RegistryOptions,
    Retry,
    Section,
    SmokeTest,
    TestOverride,
    TestSettings,
    TextMap,
    Verify,
)
from multibuild.oci.manifests.inputs_annotation import INPUTS_ANNOTATION
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.platforms import Platform

MAX_PLATFORMS = 256
"""Four times what architectures and their variants make; each is planned with all arguments and labels."""


class Config(Section):
    """What is built, for which platforms, and where it goes."""

    version: Annotated[Literal[1], BeforeValidator(refuse_boolean)]
    """The version of this format: 1."""
    image: Repository
    """The repository that is published to, without a tag."""
    tags: Annotated[tuple[OptionalTag, ...], AfterValidator(drop_empty_tags)] = ("latest",)
    """The tags users pull; one that comes out empty is dropped."""
    destinations: tuple[Repository, ...] = ()
    """Further repositories for the same index."""
    context: str = "."
    """The build context: a directory, relative to this file, or a URL."""
    dockerfile: str = "Dockerfile"
    """Relative to this file."""
    target: str | None = None
    """The build stage; the last one by default."""
    args: TextMap = Field(default_factory=dict)
    """Build arguments."""
    pull: bool = True
    """Resolve base images at the registry, always; false trusts local copies."""
    no_cache: bool = False
    """Build every step again."""
    network: Literal["default", "none", "host"] = "default"
    """The network of RUN: default, none or host."""
    build_flags: Annotated[tuple[str, ...], AfterValidator(check_build_flags)] = ()
    """Other flags of `docker buildx build`; those multibuild passes itself are refused."""
    contexts: dict[str, str] = Field(default_factory=dict)
    """Named build contexts."""
    labels: TextMap = Field(default_factory=dict)
    """Image labels."""
    secrets: tuple[Secret, ...] = ()
    """Build secrets: id=NAME,src=FILE or id=NAME,env=VARIABLE."""
    ssh: tuple[str, ...] = ()
    """SSH agents or keys for the build: default, or id=path."""
    cache: Cache = Field(default_factory=Cache.model_construct)
    """Build caches."""
    attestations: Attestations = Field(default_factory=Attestations.model_construct)
    """Attestations of each child; none with media_type docker."""
    media_type: Literal["oci", "docker"] = "oci"
    """OCI images and index, or Docker ones and a manifest list."""
    reproducible: bool = False
    """SOURCE_DATE_EPOCH from git, and rewritten timestamps."""
    remember: bool = False
    """Annotate the index with digests of what goes into it, so that `--if-changed` knows on an empty machine what needs
    no build. Not with media_type docker."""
    platforms: Annotated[tuple[PlatformEntry, ...], Field(min_length=1, max_length=MAX_PLATFORMS)]
    """What to build for, in the order of the index."""
    annotations: TextMap = Field(default_factory=dict)
    """Annotations of the index, or with a prefix of manifests or entries; see [annotations](#annotations)."""
    builder: Annotated[str, Field(min_length=1)] = "auto"
    """auto, a shipped profile, a profile file, or an existing builder."""
    emulators: Emulators = Field(default_factory=Emulators.model_construct)
    """Where emulators come from."""
    jobs: Annotated[
        int | Literal["auto"],
        BeforeValidator(parse_jobs),
        WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "auto"}]}),
    ] = "auto"
    """Builds at once. `auto`: what memory allows; three for each processor, and more while one is idle."""
    retry: Retry = Field(default_factory=Retry.model_construct)
    """What happens after a failure that may pass."""
    timeout: Seconds = 21600.0
    """Per platform and attempt."""
    stall_timeout: Annotated[
        float | Literal["auto"] | None,
        BeforeValidator(parse_stall),
        WithJsonSchema({"type": ["string", "number", "boolean"]}),
    ] = None
    """off, a duration without a sign of life after which an attempt ends, or auto."""
    crash_timeout: Annotated[
        float | None,
        BeforeValidator(parse_limit),
        WithJsonSchema({"type": ["string", "number", "boolean"]}),
    ] = 60.0
    """off, or how long a step may be silent and idle after an emulator in it crashed; ten times as long where emulators
    cannot be seen, on another machine."""
    fail_fast: bool = False
    """Stop the other platforms when a required one has failed."""
    test: TestSettings | None = None
    """The command that every child must pass."""
    verify: Verify = Field(default_factory=Verify.model_construct)
    """The proof of content."""
    lint: Lint = Field(default_factory=Lint.model_construct)
    """What is done about mistakes in the Dockerfile."""
    gates: Annotated[tuple[Gate, ...], Field(max_length=MAX_GATES)] = ()
    """What each platform's child must pass before any tag moves."""
    publish: Publish = Field(default_factory=Publish.model_construct)
    """How children are staged, and where the index goes."""
    sign: Sign | None = None
    """The signature of the index and of each of its images, in every destination. Without it nothing is signed."""
    registries: dict[RegistryHost, RegistryOptions] = Field(default_factory=dict)
    """How registries are reached, by host[:port]."""

    @model_validator(mode="before")
    @classmethod
    def _no_default_provenance_for_docker(cls, value: Any) -> Any:
        """Attestations exist in OCI indexes only, so with Docker media types the default is none."""
        if not isinstance(value, dict) or value.get("media_type") != "docker":
            return value
        attestations = value.get("attestations", {})
        if not isinstance(attestations, dict) or "provenance" in attestations:
            return value
        return {**value, "attestations": {**attestations, "provenance": False}}

    @model_validator(mode="after")
    def _can_remember(self) -> Self:
        if not self.remember:
            return self
        if self.media_type == "docker":
            raise invalid(
                "media_type docker has no annotations, and `remember` is one",
                hint="write remember: false, or media_type: oci",
                at=("remember",),
            )
        own = ((("platforms", index, "annotations"), e.annotations) for index, e in enumerate(self.platforms))
        for path, annotations in ((("annotations",), self.annotations), *own):
            for text in annotations:
                if text.rpartition(":")[2] == INPUTS_ANNOTATION:
                    raise invalid(
                        "`remember` writes this annotation",
                        hint="remove it, or write remember: false",
                        at=(*path, text),
                    )
        return self

    @model_validator(mode="after")
    def _docker_media_type(self) -> Self:
        if self.media_type != "docker":
            return self
        for key, enabled in (("provenance", self.attestations.provenance), ("sbom", self.attestations.sbom)):
            if enabled:
                raise invalid(
                    "media_type docker has no attestations: they need an OCI index",
                    hint=f"write {key}: false, or media_type: oci",
                    at=("attestations", key),
                )
        own = ((("platforms", index, "annotations"), e.annotations) for index, e in enumerate(self.platforms))
        for path, annotations in ((("annotations",), self.annotations), *own):
            if annotations:
                raise invalid(
                    "media_type docker has no annotations: Docker manifests and lists cannot hold them",
                    hint="remove them, or write media_type: oci",
                    at=path,
                )
        return self

    @model_validator(mode="after")
    def _annotations_have_places(self) -> Self:
        check_annotations(self.annotations, self.platforms, self.publish)
        return self

    @model_validator(mode="after")
    def _signs_in_registries(self) -> Self:
        if self.sign is not None and self.publish.output.kind != "registry":
            raise invalid(
                f"cosign signs in registries, and publish.to is {self.publish.to}",
                hint="remove sign, or write publish: {to: registry}",
                at=("sign",),
            )
        return self

    @model_validator(mode="after")
    def _platforms_differ(self) -> Self:
        seen: dict[Platform, str] = {}
        for index, entry in enumerate(self.platforms):
            for number, platform in enumerate((entry.name, *entry.also_as)):
                at = ("platforms", index, *(("also_as", number - 1) if number else ("name",)))
                if platform in seen:
                    message = f"{platform} is already listed as {seen[platform]}"
                    raise invalid(message, hint="remove one", at=at)
                seen[platform] = ".".join(map(str, at)).removesuffix(".name")
        return self

    @model_validator(mode="after")
    def _gates_can_run(self) -> Self:
        to_registry = self.publish.output.kind == "registry"
        staged = to_registry or self.publish.staging != "auto"
        check_gates(self.gates, to_registry=to_registry, staged=staged, to=self.publish.to)
        return self

    @model_validator(mode="after")
    def _caches_differ(self) -> Self:
        """Refuse a cache that all platforms would write: the last build to end would leave only its own."""
        if len(self.platforms) == 1:
            return self
        for index, entry in enumerate(self.cache.to):
            if hint := missing_slug(entry):
                message = f"{len(self.platforms)} platforms would overwrite each other's cache"
                raise invalid(message, hint=hint, at=("cache", "to", index))
        return self

    @model_validator(mode="after")
    def _destinations_differ(self) -> Self:
        seen = {self.image}
        for index, name in enumerate(self.destinations):
            if name in seen:
                raise invalid(f"{name} is already published to", hint="remove it", at=("destinations", index))
            seen.add(name)
        return self

    @property
    def registry_settings(self) -> dict[str, RegistrySettings]:
        """Return the settings of each configured registry, by host[:port]."""
        return {
            host: RegistrySettings(
                host=host,
                insecure=options.insecure,
                **{name: Path(path) for name, path in options.files},
            )
            for host, options in self.registries.items()
        }

    def is_insecure(self, host: str) -> bool:
        """Whether `host[:port]` is reached without TLS: configured so, or on loopback (as Docker does) without a CA."""
        return self.registry_settings.get(host, RegistrySettings(host=host)).is_plain_http

    def test_of(self, entry: PlatformEntry) -> SmokeTest | None:
        """Return the smoke test of a platform, its own settings over the common ones; None without a test."""
        own = entry.test or TestOverride.model_construct()
        common = self.test
        run = own.run or (common.run if common else None)
        if run is None or own.skip or (common is not None and entry.name in common.skip):
            return None
        defaults = common or TestSettings(run=run)
        return SmokeTest(
            run=run,
            timeout=defaults.timeout if own.timeout is None else own.timeout,
            network=defaults.network if own.network is None else own.network,
            emulator_cpu=own.emulator_cpu or defaults.emulator_cpu,
        )


class ConfigFile(Config):
    """A whole file: what one image is, or what several share, and what differs for each."""

    images: dict[str, Any] = Field(default_factory=dict)
    """Several images: name → the keys that differ from those of the top level. A key with `*`, `?` or `[` is a pattern
    of names; of keys for one image the later wins."""
    bake: Bake | None = None
    """Images from files of `docker buildx bake`, beside or under `images`."""
