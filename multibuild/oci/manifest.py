"""Descriptors, manifests and indexes as values (OCI image-spec)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from multibuild.frozen import frozen
from multibuild.oci.document import parse_object, require_exact_names
from multibuild.oci.errors import RegistryError
from multibuild.platforms import Platform
from multibuild.terminal import one_line

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
INDEX_TYPES = frozenset({OCI_INDEX, DOCKER_LIST})
MANIFEST_TYPES = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})
ARTIFACT_TYPES = frozenset(
    {
        "application/vnd.oci.artifact.manifest.v1+json",
        "application/vnd.cncf.oras.artifact.manifest.v1+json",
    }
)
"""Manifests of artifacts from before image-spec 1.1: blobs and a subject, no config."""

IMAGE_CONFIGS = frozenset(
    {"application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"}
)
"""Media types of the configs of images; a manifest with another config is an artifact (image-spec, manifest.md)."""

MAX_DESCRIPTORS = 5_000
"""In one list. An index of every platform has tens, an image at most hundreds of layers."""

MAX_SIZE = 2**63 - 1
"""Of a descriptor: Go's clients read it as an int64."""

REFERENCE_TYPE = "vnd.docker.reference.type"
REFERENCE_DIGEST = "vnd.docker.reference.digest"


@frozen
class Descriptor:
    """An OCI descriptor. `size` in bytes; `platform` None where the entry has none.

    `extras` holds its further fields and `platform_extras` those of its platform, unchanged.
    """

    media_type: str
    digest: str
    size: int
    platform: Platform | None = None
    os_version: str = ""
    os_features: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict)
    artifact_type: str = ""
    extras: Mapping[str, Any] = field(default_factory=dict)
    platform_extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_attestation(self) -> bool:
        """Whether it is an attestation manifest of BuildKit: platform unknown/unknown with this annotation."""
        return self.annotations.get(REFERENCE_TYPE) == "attestation-manifest"

    @property
    def attests(self) -> str | None:
        """The digest of the image that an attestation describes."""
        return self.annotations.get(REFERENCE_DIGEST)

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object without empty fields, in the order of the spec."""
        document: dict[str, Any] = {"mediaType": self.media_type, "digest": self.digest, "size": self.size}
        if self.artifact_type:
            document["artifactType"] = self.artifact_type
        if self.annotations:
            document["annotations"] = dict(sorted(self.annotations.items()))
        if self.platform is not None:
            platform: dict[str, Any] = {"architecture": self.platform.architecture, "os": self.platform.os}
            if self.os_version:
                platform["os.version"] = self.os_version
            if self.os_features:
                platform["os.features"] = list(self.os_features)
            if self.platform.variant:
                platform["variant"] = self.platform.variant
            platform.update(sorted(self.platform_extras.items()))
            document["platform"] = platform
        document.update(sorted(self.extras.items()))
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Descriptor:
        """Parse an untrusted JSON object; RegistryError when it is not a descriptor.

        Its digest is validated where it is used (`Reference.with_digest`).
        """
        try:
            platform = document.get("platform") or {}
            require_exact_names(document, _FIELDS | {"urls", "data"})
            require_exact_names(platform, _PLATFORM_FIELDS)
            return cls(
                media_type=_text(document["mediaType"]),
                digest=_text(document["digest"]),
                size=_size(document["size"]),
                platform=_platform(platform),
                os_version=_text(platform.get("os.version")),
                os_features=tuple(_text(feature) for feature in platform.get("os.features") or ()),
                annotations={key: _text(value) for key, value in (document.get("annotations") or {}).items()},
                artifact_type=_text(document.get("artifactType")),
                extras={key: value for key, value in document.items() if key not in _FIELDS},
                platform_extras={k: v for k, v in platform.items() if k not in _PLATFORM_FIELDS},
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            digest = one_line(str(as_mapping(document).get("digest") or "without a digest"))[:80]
            raise RegistryError(
                "invalid",
                f"a manifest holds a descriptor that is none: {digest}",
                hint="inspect it with --raw",
            ) from None


_FIELDS = frozenset({"mediaType", "digest", "size", "platform", "annotations", "artifactType"})
_PLATFORM_FIELDS = frozenset({"os", "architecture", "variant", "os.version", "os.features"})
_MANIFEST_FIELDS = frozenset(
    {"schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"}
)


def _platform(document: Mapping[str, Any] | None) -> Platform | None:
    if not document:
        return None
    return Platform(
        os=_text(document.get("os")),
        architecture=_text(document.get("architecture")),
        variant=_text(document.get("variant")),
    )


def _size(value: object) -> int:
    """Parse a size; ValueError for an invalid one. JSON's 1e999 is infinity to Python, and true an integer."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SIZE:
        raise ValueError
    return value


def _text(value: object) -> str:
    """Parse a string, null as an empty one like Go's clients; TypeError for anything else."""
    if value is not None and not isinstance(value, str):
        raise TypeError
    return value or ""


@frozen
class Manifest:
    """A manifest or index: the exact bytes, their digest and media type."""

    media_type: str
    digest: str
    content: bytes

    @classmethod
    def of(cls, content: bytes, media_type: str) -> Manifest:
        """Return the manifest with its SHA-256 digest."""
        return cls(media_type=media_type, digest=digest_of(content), content=content)

    @property
    def document(self) -> dict[str, Any]:
        """The parsed JSON object; RegistryError when it is not one, or when clients would read it differently."""
        try:
            document = parse_object(self.content)
            require_exact_names(document, _MANIFEST_FIELDS)
        except ValueError as error:
            raise RegistryError(
                "invalid",
                f"{self.digest} is no manifest: not a JSON object that clients agree on: {error}",
                hint="was it changed on its way?",
            ) from None
        return document

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the manifest itself, without platform."""
        return Descriptor(media_type=self.media_type, digest=self.digest, size=len(self.content))

    @property
    def is_index(self) -> bool:
        """Whether it is an OCI index or a Docker manifest list."""
        return self.media_type in INDEX_TYPES

    @property
    def artifact_type(self) -> str:
        """The artifactType of what lists it: its own, else the config's media type (distribution-spec, "Referrers Tag
        Schema"); empty for an index that names none.
        """
        declared = self.document.get("artifactType")
        return declared if isinstance(declared, str) and declared else self._config_type

    @property
    def is_artifact(self) -> bool:
        """Whether it is neither an index nor an image: a chart, a signature, a model (image-spec, manifest.md)."""
        return not self.is_index and self._config_type not in IMAGE_CONFIGS | {""}

    @property
    def _config_type(self) -> str:
        if self.media_type in ARTIFACT_TYPES:
            return self.media_type
        config_type = as_mapping(self.document.get("config")).get("mediaType")
        return config_type if isinstance(config_type, str) else ""

    @property
    def subject(self) -> str:
        """The digest of the manifest it refers to, empty for none."""
        return str(as_mapping(self.document.get("subject")).get("digest") or "")

    @property
    def entries(self) -> tuple[Descriptor, ...]:
        """The entries of an index."""
        return self.descriptors_in("manifests")

    @property
    def config(self) -> Descriptor | None:
        """The config of a manifest; None where it has none."""
        config = self.document.get("config")
        return Descriptor.from_json(config) if config is not None else None

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """The config and layers of a manifest, each once."""
        config = self.config
        blobs = [config] if config is not None else []
        blobs += self.descriptors_in("layers", "blobs")
        return tuple({blob.digest: blob for blob in blobs}.values())

    @property
    def read_entries(self) -> IndexEntries:
        """The entries of an index for commands that show it: one that is no descriptor hides no other.

        RegistryError when there is none that can be read, but those that cannot.
        """
        entries = self.split_entries()
        if entries.odd and not entries.readable:
            raise RegistryError("invalid", entries.odd[0].problem, hint="inspect it with --raw")
        return entries

    def split_entries(self) -> IndexEntries:
        """Return the entries that are descriptors, and those that are none."""
        readable, odd = [], []
        for position, entry in enumerate(self._listed("manifests"), 1):
            try:
                readable.append(Descriptor.from_json(entry))
            except RegistryError as error:
                text = as_mapping(entry).get("digest")
                digest = one_line(text)[:80] if isinstance(text, str) else ""
                odd.append(OddEntry(position=position, digest=digest, problem=error.message))
        return IndexEntries(readable=tuple(readable), odd=tuple(odd))

    def descriptors_in(self, *fields: str) -> tuple[Descriptor, ...]:
        """Return the descriptors that the lists in these fields hold; RegistryError when one is not a list."""
        return tuple(Descriptor.from_json(entry) for entry in self._listed(*fields))

    def _listed(self, *fields: str) -> list[Any]:
        lists = [self.document.get(field) or [] for field in fields]
        if not all(isinstance(entries, list) for entries in lists):
            raise RegistryError(
                "invalid",
                f"{self.digest} is no manifest: its {' or '.join(fields)} is no list",
                hint="inspect it with --raw",
            )
        if sum(map(len, lists)) > MAX_DESCRIPTORS:
            raise RegistryError(
                "invalid",
                f"{self.digest} lists more than {MAX_DESCRIPTORS} descriptors in {' or '.join(fields)}",
                hint="it is no image that a client could use",
            )
        return [entry for entries in lists for entry in entries]


@frozen
class OddEntry:
    """An element of an index's list that is no descriptor, by its position from 1; `digest` as written, or empty."""

    position: int
    digest: str
    problem: str


@frozen
class IndexEntries:
    """The entries of an index that could be read, in order, and those that could not."""

    readable: tuple[Descriptor, ...]
    odd: tuple[OddEntry, ...]


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return an untrusted JSON value as an object; empty where it is not one."""
    return value if isinstance(value, Mapping) else {}


def digest_of(content: bytes) -> str:
    """Return the digest of bytes: `sha256:…`."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def matches_digest(content: bytes, digest: str) -> bool:
    """Whether bytes have a digest, which must be a valid one."""
    algorithm, _, expected = digest.partition(":")
    return hashlib.new(algorithm, content).hexdigest() == expected


def require_agreement(entry: Descriptor, manifest: Manifest) -> None:
    """Raise RegistryError when an entry contradicts its manifest's bytes: clients refuse it then."""
    if (len(manifest.content), manifest.media_type) == (entry.size, entry.media_type):
        return
    raise RegistryError(
        "invalid",
        f"the index lists {entry.digest} as {entry.media_type} of {entry.size} bytes, which is "
        f"{manifest.media_type} of {len(manifest.content)}",
        hint="clients refuse such an entry: name its images one by one as sources",
    )
