"""Brings children to where the index goes: blobs mounted or streamed, manifests unchanged, signatures too."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import field

from multibuild.errors import PublishFailed
from multibuild.frozen import frozen
from multibuild.oci.consistency import PATIENCE, until_it_shows
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import INDEX_TYPES, OCI_INDEX, Descriptor, Manifest
from multibuild.oci.reference import Reference
from multibuild.oci.single_flight import Once
from multibuild.oci.store import Registries, Store

PARALLEL = 8
"""Manifests at once; each brings several blobs."""

LOOKS = 16
"""Manifests only asked for at once: over a long way the twelve of most indexes then take the time of one."""

TRIES = 3
"""Of one blob: a stream that broke is begun anew. And of a manifest whose blobs the registry says it lacks."""

SIGNATURE_SUFFIXES = ("sig", "att", "sbom")
"""Cosign's tags from before there were referrers: `sha256-<hex>.sig` (sigstore/cosign specs/SIGNATURE_SPEC.md)."""

_AGAIN = frozenset({"unreachable", "unavailable", "unauthorized", "rate-limited"})


@frozen
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
    """Make every manifest that `index` names present in the target repository, and see that it is.

    `sources` are repositories; one with a digest says where just that digest is. What refers to a copied image
    (signatures) follows, as referrers or, where the target has none, under the fallback tag. Raises PublishFailed for
    a child that is in no source, RegistryError for what a registry does, or for an entry that contradicts its manifest.
    """
    homes = {source.name: Place(name=source, registry=registries.of(source.host)) for source in sources}
    if set(homes) == {target.name}:
        _require_whole(index, target, registries.of(target.host), patience=0.0)
        return
    copying = Copying(target=Place(name=target.with_tag(None), registry=registries.of(target.host)))
    known = {source.digest: homes[source.name] for source in sources if source.digest}

    def bring(digest: str) -> None:
        held = copying.holds(digest)
        home = known.get(digest) or _home_of(digest, homes.values(), required=not held)
        if home is None or home.name.name == target.name:
            return
        if not held:
            copying.manifest(digest, home)
        copying.referrers(digest, home)

    digests = dict.fromkeys(entry.digest for entry in index.entries)
    with ThreadPoolExecutor(max_workers=PARALLEL) as pool:
        futures = [pool.submit(bring, digest) for digest in digests]
    for future in futures:
        future.result()
    home = known.get(index.digest)
    if home is not None and home.name.name != target.name:
        copying.referrers(index.digest, home)
    _require_whole(index, target, registries.of(target.host), patience=PATIENCE)


def _require_whole(index: Manifest, target: Reference, registry: Store, *, patience: float) -> None:
    """See that the target has every manifest the index names, of the size and type it says.

    Registries need not look when an index is pushed, some do not, and clients refuse an entry that says another size.
    Raises RegistryError after `patience` seconds of waiting for one that is missing.
    """

    def require(entry: Descriptor) -> None:
        at = target.with_digest(entry.digest)

        def look() -> RegistryError | None:
            held = registry.seen(at) or registry.head(at)
            if held is None:
                return RegistryError(
                    "not-found", f"{at} is not there: the index would be incomplete", hint="build it again"
                )
            if (held.size, held.media_type) == (entry.size, entry.media_type):
                return None
            _require_agreement(entry, registry.manifest(at))
            return None

        until_it_shows(look, patience=patience)

    distinct = {(entry.digest, entry.size, entry.media_type): entry for entry in index.entries}
    with ThreadPoolExecutor(max_workers=LOOKS) as pool:
        futures = [pool.submit(require, entry) for entry in distinct.values()]
    for future in futures:
        future.result()


def _require_agreement(entry: Descriptor, found: Manifest) -> None:
    """Raise RegistryError when an entry contradicts the manifest it names, by its bytes: headers may be a proxy's."""
    if (len(found.content), found.media_type) == (entry.size, entry.media_type):
        return
    raise RegistryError(
        "invalid",
        f"the index lists {entry.digest} as {entry.media_type} of {entry.size} bytes, which is "
        f"{found.media_type} of {len(found.content)}",
        hint="clients refuse such an entry: name its images one by one as sources",
    )


def _home_of(digest: str, homes: Iterable[Place], *, required: bool) -> Place | None:
    for home in homes:
        if home.registry.head(home.name.with_digest(digest)) is not None:
            return home
    if not required:
        return None
    raise PublishFailed(
        f"{digest} is in none of {', '.join(home.name.name for home in homes)}",
        hint="build it again: it was deleted meanwhile",
    )


@frozen
class Copying:
    """Copies into one repository, from several threads: what two images share is brought once, the other one waits.

    Registries lose a blob that is linked twice at once (distribution 2.8: "blob unknown to registry" for the manifest
    afterwards), so this is no matter of speed alone.
    """

    target: Place
    once: Once = field(default_factory=Once)

    def holds(self, digest: str) -> bool:
        """Whether the target has a manifest."""
        return self.target.registry.head(self.target.name.with_digest(digest)) is not None

    def manifest(self, digest: str, source: Place, *, tag: str | None = None) -> None:
        """Copy a manifest with all it names; an index brings its manifests. `tag` names it at the target."""
        manifest = source.registry.manifest(source.name.with_digest(digest))
        if manifest.media_type in INDEX_TYPES:
            for entry in manifest.entries:
                self.once.do(entry.digest, lambda entry=entry: self.manifest(entry.digest, source))  # type: ignore[misc]
        blobs = blobs_of(manifest)
        for blob in blobs:
            self.once.do(blob.digest, lambda blob=blob: self._blob(blob, source))  # type: ignore[misc]
        named = self.target.name.with_tag(tag) if tag else self.target.name.with_digest(digest)
        for left in reversed(range(TRIES)):
            try:
                self.target.registry.put_manifest(named, manifest.content, manifest.media_type)
            except RegistryError as error:
                if not left or "MANIFEST_BLOB_UNKNOWN" not in error.codes:
                    raise
                # Somebody else pushed the same blob at the same moment: what was there a moment ago is not.
                for blob in blobs:
                    self._blob(blob, source, anew=True)
            else:
                return

    def _blob(self, blob: Descriptor, source: Place, *, anew: bool = False) -> None:
        """Copy one blob unless it is there: mounted within a registry, else streamed, begun anew when that breaks.

        A blob with `urls` (a foreign layer, image-spec descriptor) may be in no registry at all; it stays where it is.
        """
        goal, repository = self.target.registry, self.target.repository
        if not anew and goal.has_blob(repository, blob.digest):
            return
        if blob.rest.get("urls") and not source.registry.has_blob(source.repository, blob.digest):
            return
        if source.registry.host == goal.host and goal.mount(repository, blob.digest, source.repository):
            return
        if goal.link(blob.digest, source.registry):
            return
        for left in reversed(range(TRIES)):
            try:
                goal.upload(repository, blob, source.registry.blob(source.repository, blob.digest))
            except RegistryError as error:
                # Our own reading was checked: a registry that found another digest was disturbed while it wrote.
                if not left or not (error.kind in _AGAIN or "DIGEST_INVALID" in error.codes):
                    raise
            else:
                return

    def referrers(self, digest: str, source: Place) -> None:
        """Copy what refers to a digest, with its manifests and blobs; nothing where there is nothing."""
        listed = source.registry.referrers(source.name.with_digest(digest))
        if listed is None:
            listed = _tagged_referrers(digest, source)
        self._cosign_tags(digest, source)
        for descriptor in listed:
            if not self.holds(descriptor.digest):
                self.manifest(descriptor.digest, source)
        if listed and self.target.registry.referrers(self.target.name.with_digest(digest)) is None:
            self._tag_referrers(digest, listed)

    def _tag_referrers(self, digest: str, listed: Sequence[Descriptor]) -> None:
        """Add to the target's fallback tag; what it lists already stays."""
        known = {entry.digest: entry for entry in _tagged_referrers(digest, self.target)}
        added = {entry.digest: entry for entry in listed}
        if set(added) <= set(known):
            return
        entries = [entry.to_json() for entry in (known | added).values()]
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        content = json.dumps(document, indent=2, ensure_ascii=False).encode()
        tag = self.target.name.with_tag(_fallback_tag(digest))
        self.target.registry.put_manifest(tag, content, OCI_INDEX)

    def _cosign_tags(self, digest: str, source: Place) -> None:
        for suffix in SIGNATURE_SUFFIXES:
            tag = f"{_fallback_tag(digest)}.{suffix}"
            held = source.registry.head(source.name.with_tag(tag))
            if held is not None and self.target.registry.head(self.target.name.with_tag(tag)) is None:
                self.manifest(held.digest, source, tag=tag)


def blobs_of(manifest: Manifest) -> tuple[Descriptor, ...]:
    """Give the blobs a manifest names, each once."""
    config = manifest.document.get("config")
    blobs = [Descriptor.from_json(config)] if config is not None else []
    blobs += manifest.listed("layers", "blobs")
    return tuple({blob.digest: blob for blob in blobs}.values())


def _tagged_referrers(digest: str, place: Place) -> tuple[Descriptor, ...]:
    """Read the fallback tag (distribution-spec, "Referrers Tag Schema")."""
    try:
        found = place.registry.manifest(place.name.with_tag(_fallback_tag(digest)))
    except RegistryError as error:
        if error.kind == "not-found":
            return ()
        raise
    return found.entries if found.is_index else ()


def _fallback_tag(digest: str) -> str:
    return digest.replace(":", "-")
