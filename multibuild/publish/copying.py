"""Brings children to where the index goes: blobs mounted or streamed, manifests unchanged, signatures too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from multibuild.errors import PublishFailed
from multibuild.publish.failures import RegistryError
from multibuild.publish.reference import INDEX_TYPES, OCI_INDEX, Descriptor, Manifest, Reference
from multibuild.publish.store import Registries, Store

PARALLEL = 4
"""Manifests at once; each brings several blobs."""

TRIES = 3
"""Of one blob: a stream that broke is begun anew."""

SIGNATURE_SUFFIXES = ("sig", "att", "sbom")
"""Cosign's tags from before there were referrers: `sha256-<hex>.sig` (sigstore/cosign specs/SIGNATURE_SPEC.md)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A repository with the registry it is in."""

    name: Reference
    registry: Store

    @property
    def repository(self) -> str:
        """The repository without its host."""
        return self.name.repository


def bring_children(
    index: Manifest, target: Reference, sources: Sequence[Reference], registries: Registries
) -> None:
    """Make every manifest that `index` names present in the target repository; digests stay as they are.

    What refers to a copied image (signatures) follows, as referrers or, where the target has none, under the
    fallback tag. Raises PublishFailed for a child that is in no source, RegistryError for what a registry does.
    """
    homes = {source.name: Place(name=source, registry=registries.of(source.host)) for source in sources}
    if set(homes) == {target.name}:
        return
    goal = Place(name=target, registry=registries.of(target.host))
    digests = list(dict.fromkeys(entry.digest for entry in index.entries))
    others = [home for name, home in homes.items() if name != target.name]

    def bring(digest: str) -> None:
        if goal.registry.head(target.with_digest(digest)) is None:
            copy_manifest(digest, _home_of(digest, others), goal)
        for home in others:
            copy_referrers(digest, home, goal)

    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        futures = [pool.submit(bring, digest) for digest in digests]
    for future in futures:
        future.result()
    for home in others:
        copy_referrers(index.digest, home, goal)


def _home_of(digest: str, homes: Sequence[Place]) -> Place:
    for home in homes:
        if home.registry.head(home.name.with_digest(digest)) is not None:
            return home
    raise PublishFailed(
        f"{digest} is in none of {', '.join(home.name.name for home in homes)}",
        hint="build it again: it was deleted meanwhile",
    )


def copy_manifest(digest: str, source: Place, target: Place, *, tag: str | None = None) -> None:
    """Copy a manifest with all it names; an index brings its manifests. `tag` names it at the target."""
    manifest = source.registry.manifest(source.name.with_digest(digest))
    document = manifest.document
    if manifest.media_type in INDEX_TYPES:
        for entry in manifest.entries:
            copy_manifest(entry.digest, source, target)
    for blob in (document.get("config"), *(document.get("layers") or ()), *(document.get("blobs") or ())):
        if blob is not None:
            copy_blob(Descriptor.from_json(blob), source, target)
    named = target.name.with_tag(tag) if tag else target.name.with_digest(digest)
    target.registry.put_manifest(named, manifest.content, manifest.media_type)


def copy_blob(blob: Descriptor, source: Place, target: Place) -> None:
    """Copy one blob unless it is there: mounted within a registry, else streamed, begun anew when that breaks.

    A blob with `urls` (a foreign layer, image-spec descriptor) may be in no registry at all; it stays where it is.
    """
    if target.registry.has_blob(target.repository, blob.digest):
        return
    if blob.rest.get("urls") and not source.registry.has_blob(source.repository, blob.digest):
        return
    same = source.registry.host == target.registry.host
    if same and target.registry.mount(target.repository, blob.digest, source.repository):
        return
    for left in reversed(range(TRIES)):
        try:
            chunks = source.registry.blob(source.repository, blob.digest)
            target.registry.upload(target.repository, blob, chunks)
        except RegistryError as error:
            if not left or error.kind not in {"unreachable", "unavailable", "unauthorized", "rate-limited"}:
                raise
        else:
            return


def copy_referrers(digest: str, source: Place, target: Place) -> None:
    """Copy what refers to a digest, with its manifests and blobs; nothing where there is nothing."""
    listed = source.registry.referrers(source.name.with_digest(digest))
    if listed is None:
        listed = _tagged_referrers(digest, source)
    _copy_cosign_tags(digest, source, target)
    missing = [d for d in listed if target.registry.head(target.name.with_digest(d.digest)) is None]
    for descriptor in missing:
        copy_manifest(descriptor.digest, source, target)
    if listed and target.registry.referrers(target.name.with_digest(digest)) is None:
        _tag_referrers(digest, listed, target)


def _tagged_referrers(digest: str, place: Place) -> tuple[Descriptor, ...]:
    """Read the fallback tag (distribution-spec, "Referrers Tag Schema")."""
    try:
        found = place.registry.manifest(place.name.with_tag(_fallback_tag(digest)))
    except RegistryError as error:
        if error.kind == "not-found":
            return ()
        raise
    return found.entries if found.is_index else ()


def _tag_referrers(digest: str, listed: Sequence[Descriptor], target: Place) -> None:
    """Add to the target's fallback tag; what it lists already stays."""
    known = {entry.digest: entry for entry in _tagged_referrers(digest, target)}
    added = {entry.digest: entry for entry in listed}
    if set(added) <= set(known):
        return
    entries = [entry.to_json() for entry in (known | added).values()]
    document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    content = json.dumps(document, indent=2, ensure_ascii=False).encode()
    target.registry.put_manifest(target.name.with_tag(_fallback_tag(digest)), content, OCI_INDEX)


def _copy_cosign_tags(digest: str, source: Place, target: Place) -> None:
    for suffix in SIGNATURE_SUFFIXES:
        tag = f"{_fallback_tag(digest)}.{suffix}"
        held = source.registry.head(source.name.with_tag(tag))
        if held is not None and target.registry.head(target.name.with_tag(tag)) is None:
            copy_manifest(held.digest, source, target, tag=tag)


def _fallback_tag(digest: str) -> str:
    return digest.replace(":", "-")
