"""Verification of any published index or image: its children exist, agree with the index, and prove their content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from multibuild.errors import PublishFailed, VerificationFailed
from multibuild.frozen import frozen
from multibuild.json_types import as_json
from multibuild.oci.errors import RegistryError
from multibuild.oci.image import Child, read_image
from multibuild.oci.limits import MAX_INDEX_ENTRIES, LimitExceeded
from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.oci.manifests.read_manifest import NoDocument, UnusableManifest
from multibuild.oci.reference import Reference
from multibuild.oci.registry import Registry
from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.content.proof import ContentProof, ImageContent, Mode, config_mismatch, prove_content
from multibuild.prove.verify_index import Finding, IndexListing, list_images
from multibuild.terminal import one_line

MAX_ORIGINS = 3
"""Places of foreign files in a finding."""

MAX_ENTRIES = MAX_INDEX_ENTRIES
"""Entries of one index; each takes requests."""


@frozen
class Rules:
    """The mode of the content proof and the globs that it ignores."""

    mode: Mode = "entrypoint"
    ignore: tuple[str, ...] = ()


@frozen
class VerifiedEntry:
    """One entry. `content` is None when the entry could not be read; `artifact` the kind of one that is no image.

    `origins` say in which layers the foreign files of a failed proof are.
    """

    platform: str
    digest: str
    content: ContentProof | None
    artifact: str = ""
    origins: tuple[str, ...] = ()


@frozen
class Verification:
    """The result for a reference: every entry and every fault."""

    reference: str
    digest: str
    entries: tuple[VerifiedEntry, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.findings

    def document(self) -> dict[str, Any]:
        """Return the output of `verify --json`."""
        return {
            "ok": self.ok,
            "findings": as_json(self.findings),
            "reference": self.reference,
            "digest": self.digest,
            "platforms": as_json(self.entries),
        }


def verify(
    reference: Reference, registries: RegistrySession, *, rules: Rules, cache: LayerCache
) -> Verification:
    """Verify every entry of an index, or the one image; of an index within it, every entry of that.

    Raises RegistryError when the reference itself does not exist, and VerificationFailed for more than MAX_ENTRIES.
    """
    try:
        manifest = registries.of(reference.host).manifest(reference)
    except LimitExceeded as error:
        raise VerificationFailed(error.message, hint=error.hint) from error
    except UnusableManifest as error:
        if error.kind != "invalid" or isinstance(error, NoDocument):
            raise
        finding = Finding(platform="-", kind="unreadable", detail=error.message)
        return Verification(
            reference=str(reference), digest=error.manifest.digest, entries=(), findings=(finding,)
        )
    return verify_manifest(manifest, reference, registries, rules=rules, cache=cache)


def verify_manifest(
    manifest: Manifest, reference: Reference, registries: RegistrySession, *, rules: Rules, cache: LayerCache
) -> Verification:
    """Verify an index or image that was read, whose content is in the repository of `reference`."""
    registry = registries.of(reference.host)
    if not manifest.is_index:
        listing = IndexListing(images=(manifest.descriptor,))
    else:
        listing = list_images(manifest, reference, registry)
    verifier = _EntryVerifier(reference=reference, registry=registry, rules=rules, cache=cache)
    results = registries.map(verifier.verify, listing.images)
    findings = [*listing.findings, *(finding for _, faults in results for finding in faults)]
    if all(entry.artifact for entry, _ in results) and not findings:
        findings.append(Finding(platform="", kind="empty", detail=_empty(manifest)))
    return Verification(
        reference=str(reference),
        digest=manifest.digest,
        entries=tuple(entry for entry, _ in results),
        findings=tuple(findings),
    )


def _empty(manifest: Manifest) -> str:
    kind = manifest.artifact_type
    return "the index lists no image" if manifest.is_index else f"it is no image, but {one_line(kind)[:80]}"


class _Fault(Exception):
    """What is wrong with an entry that could be read."""

    def __init__(self, kind: str, detail: str, *, platform: str = "") -> None:
        """Set the fields of the finding; `platform` where the entry itself has none."""
        super().__init__(detail)
        self.kind, self.detail, self.platform = kind, detail, platform


@frozen
class _EntryVerifier:
    """The verification of the entries of one reference."""

    reference: Reference
    registry: Registry
    rules: Rules
    cache: LayerCache

    def verify(self, entry: Descriptor) -> tuple[VerifiedEntry, tuple[Finding, ...]]:
        """Read one entry's image and prove its content; an error of the registry becomes a finding."""
        name = str(entry.platform) if entry.platform else "-"
        try:
            verified = self._verified(entry)
        except LimitExceeded:
            raise
        except _Fault as fault:
            kind, detail, name = fault.kind, fault.detail, fault.platform or name
        except RegistryError as error:
            kind, detail = "missing" if error.kind == "not-found" else "unreadable", error.message
        except (VerificationFailed, PublishFailed) as error:
            kind, detail = "unreadable", error.message
        else:
            proof = verified.content
            is_failed = proof is not None and proof.status == "failed"
            detail = "; ".join([proof.detail if proof else "", *verified.origins[:MAX_ORIGINS]])
            findings = (Finding(platform=verified.platform, kind="content", detail=detail),)
            return verified, findings if is_failed else ()
        return (
            VerifiedEntry(platform=name, digest=entry.digest, content=None),
            (Finding(platform=name, kind=kind, detail=detail),),
        )

    def _verified(self, entry: Descriptor) -> VerifiedEntry:
        """Return what an entry was proved to be; raises _Fault, RegistryError or VerificationFailed."""
        reference = self.reference.with_digest(entry.digest)
        manifest = self.registry.manifest(reference)
        if len(manifest.content) != entry.size:
            raise _Fault("size", f"the index says {entry.size} bytes, it has {len(manifest.content)}")
        if manifest.is_index:
            raise _Fault("unreadable", f"the index says {entry.media_type[:80]}, it is an index")
        if manifest.is_artifact:
            self._require_blobs(manifest.blobs, "blob")
            return _artifact(entry, manifest)
        child = read_image(reference, manifest, self.registry, assumed=_complete(entry.platform))
        platform = child.config.platform.normalised()
        if entry.platform:
            platform = _known_platform(entry.platform)
            if mismatch := config_mismatch(_config_of(child), platform):
                raise _Fault("platform", mismatch)
        name = str(entry.platform or child.config.platform)
        proof = self._prove(child, platform)
        if proof.status != "failed":
            self._require_blobs(child.layers, "layer", name)
        return VerifiedEntry(
            platform=name, digest=entry.digest, content=proof, origins=_origins(proof, child)
        )

    def _prove(self, child: Child, platform: Platform) -> ContentProof:
        return prove_content(
            ImageContent(config=_config_of(child), layers=child.layers),
            platform=platform,
            mode=self.rules.mode,
            ignore=self.rules.ignore,
            open_layer=lambda digest: self.registry.blob(self.reference.repository, digest),
            cache=self.cache,
        )

    def _require_blobs(self, blobs: Sequence[Descriptor], what: str, platform: str = "") -> None:
        """Raise _Fault for a blob that the registry lacks, as a proof reads no cached layer and may be off.

        A layer with `urls` need not be in the registry (image-spec descriptor.md; the base layers of Windows).
        """
        for blob in blobs:
            if blob.extras.get("urls") or self.registry.has_blob(self.reference.repository, blob.digest):
                continue
            raise _Fault("missing", f"its {what} {blob.digest} does not exist", platform=platform)


def _origins(proof: ContentProof, child: Child) -> tuple[str, ...]:
    """Return where a failed proof's foreign files are: there is no Dockerfile, only the history of the image."""
    if proof.status != "failed":
        return ()
    # Imported with the first failure: it needs the rules of lint.
    from multibuild.prove.origin.trace import trace

    origins = trace(proof.foreign, child.config.raw, len(child.layers))
    return tuple(one.place for one in origins if one.layer)


def _artifact(entry: Descriptor, manifest: Manifest) -> VerifiedEntry:
    """Return an entry that is no image and complete: nothing more can be proved of it."""
    name = str(entry.platform) if entry.platform else "-"
    kind = one_line(manifest.artifact_type)[:80]
    return VerifiedEntry(platform=name, digest=entry.digest, content=None, artifact=kind)


def _complete(platform: Platform | None) -> Platform | None:
    """Return the platform of an entry that names os and architecture, the least that a client looks at."""
    return platform if platform is not None and platform.os and platform.architecture else None


def _config_of(child: Child) -> dict[str, Any]:
    """Return an image's config with its platform, where only the entry says it (`merge --platform-of`)."""
    platform = child.config.platform
    return {**child.config.raw, "os": platform.os, "architecture": platform.architecture}


def _known_platform(platform: Platform) -> Platform:
    """Return the platform that programs must be for; a variant that no image config has ("unknown") is dropped."""
    return (platform if platform.has_known_variant else replace(platform, variant="")).normalised()
