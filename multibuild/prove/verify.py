"""Verification of any published index or image: its children exist, agree with the index, and prove their content."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from multibuild.errors import PublishFailed, VerificationFailed
from multibuild.frozen import frozen
from multibuild.json_types import as_json
from multibuild.oci.errors import RegistryError
from multibuild.oci.image import Child, read_child
from multibuild.oci.limits import MAX_INDEX_ENTRIES, LimitExceeded
from multibuild.oci.manifest import Descriptor
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.registry import Registry
from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.content.proof import ContentProof, ImageContent, Mode, config_mismatch, prove_content

MAX_ENTRIES = MAX_INDEX_ENTRIES
"""Entries of one index; each takes requests."""


@frozen
class Rules:
    """The mode of the content proof and the globs that it ignores."""

    mode: Mode = "entrypoint"
    ignore: tuple[str, ...] = ()


@frozen
class Finding:
    """A fault. Scripts may rely on `kind`:

    missing (an entry, its config or a layer is not in the registry), unreadable (it exists, but is no image or none
    whose content can be read), size (the index states another: clients refuse it), platform (the image config
    contradicts the entry), content (the programs contradict it), attestation (about no image, or missing), empty (the
    index lists no image).
    """

    platform: str
    kind: str
    detail: str


@frozen
class VerifiedEntry:
    """One entry. `content` is None when the entry could not be read."""

    platform: str
    digest: str
    content: ContentProof | None


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
    """Verify every entry of an index, or the one image.

    Raises RegistryError when the reference itself does not exist, and VerificationFailed for more than MAX_ENTRIES.
    """
    registry = registries.of(reference.host)
    try:
        manifest = registry.manifest(reference)
    except LimitExceeded as error:
        raise VerificationFailed(error.message, hint=error.hint) from error
    if manifest.is_index:
        entries = manifest.entries
    else:
        size = len(manifest.content)
        entries = (Descriptor(media_type=manifest.media_type, digest=manifest.digest, size=size),)
    images = [entry for entry in entries if not entry.is_attestation]
    verifier = _EntryVerifier(reference=reference, registry=registry, rules=rules, cache=cache)
    results = registries.map(verifier.verify, images)
    findings = [finding for _, faults in results for finding in faults]
    if not images:
        findings.append(Finding(platform="", kind="empty", detail="the index lists no image"))
    findings += _attestation_faults(entries, reference, registry)
    return Verification(
        reference=str(reference),
        digest=manifest.digest,
        entries=tuple(entry for entry, _ in results),
        findings=tuple(findings),
    )


@frozen
class _EntryVerifier:
    """The verification of the entries of one reference."""

    reference: Reference
    registry: Registry
    rules: Rules
    cache: LayerCache

    def verify(self, entry: Descriptor) -> tuple[VerifiedEntry, tuple[Finding, ...]]:
        """Read one entry's image and prove its content; an error of the registry becomes a finding."""
        name = str(entry.platform) if entry.platform else ""

        def fault(kind: str, detail: str) -> tuple[VerifiedEntry, tuple[Finding, ...]]:
            platform = name or "-"
            verified = VerifiedEntry(platform=platform, digest=entry.digest, content=None)
            return verified, (Finding(platform=platform, kind=kind, detail=detail),)

        try:
            child = read_child(self.reference.with_digest(entry.digest), self.registry, None)
            name = name or str(child.config.platform)
            if child.image.digest == entry.digest and child.image.size != entry.size:
                return fault("size", f"the index says {entry.size} bytes, it has {child.image.size}")
            platform = child.config.platform.normalised()
            if entry.platform:
                platform = _known_platform(entry.platform)
                if mismatch := config_mismatch(child.config.raw, platform):
                    return fault("platform", mismatch)
            proof = self._prove(child, platform)
            if proof.status != "failed" and (missing := self._missing_layer(child)):
                return fault("missing", f"its layer {missing} does not exist")
        except LimitExceeded:
            raise
        except RegistryError as error:
            return fault("missing" if error.kind == "not-found" else "unreadable", error.message)
        except (VerificationFailed, PublishFailed) as error:
            return fault("unreadable", error.message)
        findings = (Finding(platform=name, kind="content", detail=proof.detail),)
        verified = VerifiedEntry(platform=name, digest=entry.digest, content=proof)
        return verified, findings if proof.status == "failed" else ()

    def _prove(self, child: Child, platform: Platform) -> ContentProof:
        return prove_content(
            ImageContent(config=child.config.raw, layers=child.layers),
            platform=platform,
            mode=self.rules.mode,
            ignore=self.rules.ignore,
            open_layer=lambda digest: self.registry.blob(self.reference.repository, digest),
            cache=self.cache,
        )

    def _missing_layer(self, child: Child) -> str:
        """Return the digest of a layer that the registry lacks, as a proof reads no cached layer and may be off.

        A layer with `urls` need not be in the registry (image-spec descriptor.md; the base layers of Windows).
        """
        required = (layer.digest for layer in child.layers if not layer.extras.get("urls"))
        has_blob = self.registry.has_blob
        return next((one for one in required if not has_blob(self.reference.repository, one)), "")


def _known_platform(platform: Platform) -> Platform:
    """Return the platform that programs must be for; a variant that no image config has ("unknown") is dropped."""
    return (platform if platform.has_known_variant else replace(platform, variant="")).normalised()


def _attestation_faults(
    entries: Sequence[Descriptor], reference: Reference, registry: Registry
) -> Iterator[Finding]:
    """Return a fault for each attestation that is about no image of the index or does not exist."""
    images = {entry.digest for entry in entries if not entry.is_attestation}
    for entry in entries:
        if not entry.is_attestation:
            continue
        if entry.attests not in images:
            detail = f"it is about {entry.attests}, which the index does not list"
        elif not is_digest(entry.digest) or registry.head(reference.with_digest(entry.digest)) is None:
            detail = f"{entry.digest} is listed and does not exist"
        else:
            continue
        yield Finding(platform="-", kind="attestation", detail=detail)
