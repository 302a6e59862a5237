"""What an index lists, and those within it: the images to verify, and the faults of the lists themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from multibuild.errors import PublishFailed
from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import MAX_INDEX_DEPTH, LimitExceeded
from multibuild.oci.manifest import INDEX_TYPES, Descriptor, Manifest, require_agreement
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.registry import Registry


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
class IndexListing:
    """What an index and those within it list: images and artifacts in order, and faults found on the way."""

    images: tuple[Descriptor, ...] = ()
    findings: tuple[Finding, ...] = ()


def list_images(index: Manifest, reference: Reference, registry: Registry, depth: int = 0) -> IndexListing:
    """Return the entries of an index, with those of an index within it in its place (`merge --no-flatten`)."""
    entries = index.read_entries
    images: list[Descriptor] = []
    findings = [
        Finding(platform="-", kind="unreadable", detail=f"entry {odd.position}: {odd.problem}")
        for odd in entries.odd
    ]
    for entry in entries.readable:
        if entry.is_attestation:
            continue
        if entry.media_type not in INDEX_TYPES:
            images.append(entry)
            continue
        inner = _inner_listing(entry, reference, registry, depth)
        images += inner.images
        findings += inner.findings
    findings += _attestation_faults(entries.readable, reference, registry)
    return IndexListing(images=tuple(images), findings=tuple(findings))


def _inner_listing(entry: Descriptor, reference: Reference, registry: Registry, depth: int) -> IndexListing:
    """Return what an index within an index lists, or the fault that hides it."""
    name = str(entry.platform) if entry.platform else "-"
    try:
        if depth >= MAX_INDEX_DEPTH:
            raise RegistryError("invalid", f"indexes within indexes, more than {MAX_INDEX_DEPTH} deep")
        inner = registry.manifest(reference.with_digest(entry.digest))
        require_agreement(entry, inner)
        return _named_by(entry, list_images(inner, reference, registry, depth + 1))
    except LimitExceeded:
        raise
    except PublishFailed as error:
        is_missing = isinstance(error, RegistryError) and error.kind == "not-found"
        kind = "missing" if is_missing else "unreadable"
        return IndexListing(findings=(Finding(platform=name, kind=kind, detail=error.message),))


def _named_by(entry: Descriptor, listing: IndexListing) -> IndexListing:
    """Return what an inner index lists, where the entry for it says a platform: clients look for that first."""
    listed = entry.platform
    if listed is None or not listing.images:
        return listing
    images = tuple(replace(image, platform=image.platform or listed) for image in listing.images)
    if any(
        (one.platform.os, one.platform.architecture) == (listed.os, listed.architecture)
        for one in images
        if one.platform
    ):
        return replace(listing, images=images)
    detail = f"it is an index of {', '.join(dict.fromkeys(str(one.platform) for one in images))}"
    finding = Finding(platform=str(listed), kind="platform", detail=detail)
    return IndexListing(images=images, findings=(finding, *listing.findings))


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
        else:
            detail = _missing_attestation(entry, reference, registry)
        if not detail:
            continue
        yield Finding(platform="-", kind="attestation", detail=detail)


def _missing_attestation(entry: Descriptor, reference: Reference, registry: Registry) -> str:
    """Return why an attestation cannot be read, empty for one that exists."""
    if not is_digest(entry.digest):
        return f"{entry.digest[:80]} is listed and is no digest"
    try:
        exists = registry.head(reference.with_digest(entry.digest)) is not None
    except LimitExceeded:
        raise
    except RegistryError as error:
        return error.message
    return "" if exists else f"{entry.digest} is listed and does not exist"
