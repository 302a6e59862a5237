"""Proves a published index or image, anyone's: its children exist, agree with the index, and hold what they claim."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from multibuild.errors import PublishFailed, VerificationFailed
from multibuild.frozen import frozen
from multibuild.json_types import as_json
from multibuild.oci.errors import RegistryError
from multibuild.oci.image import Child, read_child
from multibuild.oci.manifest import Descriptor
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.registries import RegistrySession
from multibuild.oci.registry import Registry
from multibuild.platforms import Platform
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.content.proof import ContentProof, ImageContent, Mode, config_mismatch, prove_content

MOST_ENTRIES = 1000
"""Images of one index that are looked into; each takes requests, and 4 MiB of JSON have room for 20000."""


@frozen
class Rules:
    """How an image is looked into: the mode of the content proof and the globs it passes over."""

    mode: Mode = "entrypoint"
    ignore: tuple[str, ...] = ()


@frozen
class Finding:
    """A fault. `kind`, for scripts to rely on:

    missing (an entry, its config or a layer is not in the registry), unreadable (it is there, and is no image or
    none that can be looked into), size (the index states another: clients refuse it), platform (the image config
    contradicts the entry), content (so do the programs), attestation (about nothing, or not there), empty (the
    index lists no image).
    """

    platform: str
    kind: str
    detail: str


@frozen
class Verified:
    """One entry. `content` is None when the entry could not be looked into."""

    platform: str
    digest: str
    content: ContentProof | None


@frozen
class Verification:
    """What came of a reference: every entry, and every fault."""

    reference: str
    digest: str
    entries: tuple[Verified, ...]
    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether no fault was found."""
        return not self.findings

    def document(self) -> dict[str, Any]:
        """Give `verify --json`."""
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
    """Look at every entry of an index, or at the one image. RegistryError when the reference itself is not there.

    VerificationFailed when it lists more than MOST_ENTRIES.
    """
    registry = registries.of(reference.host)
    found = registry.manifest(reference)
    if found.is_index:
        listed = found.entries
    else:
        listed = (Descriptor(media_type=found.media_type, digest=found.digest, size=len(found.content)),)
    images = [entry for entry in listed if not entry.is_attestation]
    if len(listed) > MOST_ENTRIES:
        raise VerificationFailed(f"{reference} lists {len(listed)} entries, more than any index for people")
    eyes = _Eyes(registry=registry, rules=rules, cache=cache)
    answers = registries.map(lambda entry: _look(reference, entry, eyes), images)
    findings = [finding for _, faults in answers for finding in faults]
    if not images:
        findings.append(Finding(platform="", kind="empty", detail="the index lists no image"))
    findings += _orphans(listed, reference, registry)
    return Verification(
        reference=str(reference),
        digest=found.digest,
        entries=tuple(entry for entry, _ in answers),
        findings=tuple(findings),
    )


@frozen
class _Eyes:
    """What every entry is looked at with."""

    registry: Registry
    rules: Rules
    cache: LayerCache


def _look(reference: Reference, entry: Descriptor, eyes: _Eyes) -> tuple[Verified, tuple[Finding, ...]]:
    """Read one entry's image and look into it; what the registry says of it becomes a finding."""
    said = str(entry.platform) if entry.platform else ""

    def failed(kind: str, detail: str) -> tuple[Verified, tuple[Finding, ...]]:
        name = said or "-"
        verified = Verified(platform=name, digest=entry.digest, content=None)
        return verified, (Finding(platform=name, kind=kind, detail=detail),)

    try:
        here = reference.with_digest(entry.digest)
        child = read_child(here, eyes.registry, None)
        said = said or str(child.config.platform)
        if child.image.digest == entry.digest and child.image.size != entry.size:
            return failed("size", f"the index says {entry.size} bytes, it has {child.image.size}")
        mismatch = config_mismatch(child.config.raw, _claimed(entry.platform)) if entry.platform else ""
        if mismatch:
            return failed("platform", mismatch)
        platform = _claimed(entry.platform) if entry.platform else child.config.platform.normalised()
        proof = _content(child, platform, here, eyes)
        gone = _gone(child, here, eyes) if proof.status != "failed" else ""
        if gone:
            return failed("missing", f"its layer {gone} does not exist")
    except RegistryError as error:
        return failed("missing" if error.kind == "not-found" else "unreadable", error.message)
    except (VerificationFailed, PublishFailed) as error:
        return failed("unreadable", error.message)
    wrong = (Finding(platform=said, kind="content", detail=proof.detail),) if proof.status == "failed" else ()
    return Verified(platform=said, digest=entry.digest, content=proof), wrong


def _gone(child: Child, here: Reference, eyes: _Eyes) -> str:
    """Find a layer that is not there: one that is remembered, or was not looked into, was not fetched.

    A layer with `urls` need not be in the registry (image-spec descriptor.md; the base layers of Windows).
    """
    for layer in child.layers:
        if not layer.extras.get("urls") and not eyes.registry.has_blob(here.repository, layer.digest):
            return layer.digest
    return ""


def _claimed(platform: Platform) -> Platform:
    """Give what an entry's programs must be: a variant that no image config has ("unknown") asks nothing of them."""
    if platform.has_known_variant:
        return platform.normalised()
    return replace(platform, variant="").normalised()


def _content(child: Child, platform: Platform, here: Reference, eyes: _Eyes) -> ContentProof:
    return prove_content(
        ImageContent(config=child.config.raw, layers=child.layers),
        platform=platform,
        mode=eyes.rules.mode,
        ignore=eyes.rules.ignore,
        open_layer=lambda digest: eyes.registry.blob(here.repository, digest),
        cache=eyes.cache,
    )


def _is_there(reference: Reference, digest: str, registry: Registry) -> bool:
    return is_digest(digest) and registry.head(reference.with_digest(digest)) is not None


def _orphans(listed: Sequence[Descriptor], reference: Reference, registry: Registry) -> list[Finding]:
    """Find attestations that are about no image of the index, or are not there."""
    digests = {entry.digest for entry in listed if not entry.is_attestation}
    found = []
    for entry in listed:
        if entry.is_attestation and entry.attests not in digests:
            detail = f"it is about {entry.attests}, which the index does not list"
            found.append(Finding(platform="-", kind="attestation", detail=detail))
        elif entry.is_attestation and not _is_there(reference, entry.digest, registry):
            detail = f"{entry.digest} is listed and does not exist"
            found.append(Finding(platform="-", kind="attestation", detail=detail))
    return found
