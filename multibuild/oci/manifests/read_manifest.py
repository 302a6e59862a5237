"""Decide what a document from a registry or a layout is: one rule for every command.

Content that contradicts itself or its media type is refused, as clients would read one digest in two ways
(CVE-2021-41190; containerd core/images validateMediaType, containers/image ValidateUnambiguousManifestFormat).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from multibuild.oci.errors import ErrorKind, RegistryError
from multibuild.oci.manifest import (
    ARTIFACT_TYPES,
    INDEX_TYPES,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Manifest,
    as_mapping,
    digest_of,
)
from multibuild.terminal import one_line

KNOWN_TYPES = INDEX_TYPES | MANIFEST_TYPES | ARTIFACT_TYPES
"""Media types that a manifest can have. Any other Content-Type says nothing: proxies and object stores send many."""


class UnusableManifest(RegistryError):
    """A document that is no manifest a client can use. `manifest` is what came: its bytes, and its declared type."""

    def __init__(self, message: str, *, hint: str | None, kind: ErrorKind = "invalid") -> None:
        """Set what it is, and what to do."""
        super().__init__(kind, message, hint=hint)
        self.manifest = Manifest(media_type="", digest="", content=b"")


class NoDocument(UnusableManifest):
    """Bytes that are no JSON object, or one that clients read differently."""


_Class = Literal["index", "image", "artifact"]

_SCHEMA_1_TYPES = frozenset(
    {
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    }
)
_SCHEMA_1_FIELDS = frozenset({"fsLayers", "history", "signatures"})
_ERROR_KINDS: dict[str, ErrorKind] = {
    "MANIFEST_UNKNOWN": "not-found",
    "NAME_UNKNOWN": "not-found",
    "NOT_FOUND": "not-found",
    "UNAUTHORIZED": "unauthorized",
    "DENIED": "denied",
    "TOOMANYREQUESTS": "rate-limited",
}
"""Codes of errors (distribution-spec, "Error Codes"; NOT_FOUND is Harbor's) that come with status 200."""


def read_manifest(content: bytes, declared: str, *, digest: str = "", name: str = "") -> Manifest:
    """Return the manifest that bytes are; UnusableManifest naming `name` for any other document.

    `declared` is the media type of a Content-Type header or an entry, empty for none. The content's own comes first:
    it is what the digest covers. `digest` is that of the request, where it is not SHA-256.
    """
    raw = Manifest(media_type=declared, digest=digest or digest_of(content), content=content)
    try:
        return replace(raw, media_type=_kind(raw, declared, name or raw.digest))
    except UnusableManifest as error:
        error.manifest = raw
        raise


def _kind(raw: Manifest, declared: str, name: str) -> str:
    """Return the media type of a document; raises UnusableManifest."""
    try:
        document = raw.document
    except RegistryError as error:
        raise NoDocument(f"{name}: {error.message}", hint=error.hint) from error
    _refuse_errors(document, name)
    _refuse_schema_1(document, declared, name)
    media_type = _media_type(document, declared, name)
    _require_fields(document, media_type, name)
    return media_type


def _class_of(media_type: str) -> _Class:
    if media_type in INDEX_TYPES:
        return "index"
    return "image" if media_type in MANIFEST_TYPES else "artifact"


def _refuse_errors(document: Mapping[str, Any], name: str) -> None:
    """Raise UnusableManifest for a list of errors that was sent as if it were the manifest."""
    errors = document.get("errors")
    if not isinstance(errors, list) or "config" in document or "manifests" in document:
        return
    first = as_mapping(errors[0]) if errors else {}
    code, message = (one_line(str(first.get(key) or ""))[:200] for key in ("code", "message"))
    raise UnusableManifest(
        f"{name}: the registry sends an error in place of a manifest: {f'{code} {message}'.strip() or 'none named'}",
        hint="does it exist, and may this login read it?",
        kind=_ERROR_KINDS.get(code, "invalid"),
    )


def _refuse_schema_1(document: Mapping[str, Any], declared: str, name: str) -> None:
    """Raise UnusableManifest for an image manifest of schema 1, which has no config and which engines dropped."""
    version = document.get("schemaVersion")
    is_old = version == 1 or not _SCHEMA_1_TYPES.isdisjoint((str(document.get("mediaType")), declared))
    if is_old or ("fsLayers" in document and document.keys() & _SCHEMA_1_FIELDS):
        raise UnusableManifest(
            f"{name} is an image of Docker's schema 1, which no index can list",
            hint="push it again with Docker 1.10 or later, or `skopeo copy --format oci`",
        )
    if version not in (None, 2):
        raise UnusableManifest(
            f"{name} is no manifest: its schemaVersion is {one_line(repr(version))[:40]}, not 2",
            hint="inspect it with --raw",
        )


def _media_type(document: Mapping[str, Any], declared: str, name: str) -> str:
    """Return the media type of the content, else the declared one, else the one that the fields imply."""
    own = document.get("mediaType") or ""
    if not isinstance(own, str) or (own and own not in KNOWN_TYPES):
        raise UnusableManifest(
            f"{name} is no manifest: it calls itself {one_line(str(own))[:80]}",
            hint="is it a blob, or of a registry of other things?",
        )
    media_type = own or (declared if declared in KNOWN_TYPES else "") or _implied(document, name)
    contradicts = declared in KNOWN_TYPES and _class_of(declared) != _class_of(media_type)
    fields = {"index": ("config", "layers"), "image": ("manifests",), "artifact": ("manifests",)}
    if contradicts or any(document.get(field) for field in fields[_class_of(media_type)]):
        raise UnusableManifest(
            f"{name} is called {(declared if contradicts else media_type)[:80]}, and its content is of another kind",
            hint="one client would take it for an image and another for an index",
        )
    return media_type


def _implied(document: Mapping[str, Any], name: str) -> str:
    if "manifests" in document:
        return OCI_INDEX
    if "config" in document:
        return OCI_MANIFEST
    raise UnusableManifest(f"{name} is neither an image nor an index", hint="is it a registry that answered?")


def _require_fields(document: Mapping[str, Any], media_type: str, name: str) -> None:
    """Raise UnusableManifest for an index without a list, or an image without a config."""
    kind = _class_of(media_type)
    if kind == "index" and "manifests" not in document:
        raise UnusableManifest(f"{name} is no index: it lists no manifests", hint="inspect it with --raw")
    if kind == "image" and not isinstance(document.get("config"), dict):
        raise UnusableManifest(f"{name} is no image: its manifest has no config", hint="build it again")
