"""What refers to a manifest: read from the referrers API or the fallback tag, and checked, as both only claim it.

distribution-spec, "Listing Referrers", "Referrers Tag Schema" and "Pushing Manifests with Subject".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from multibuild.frozen import frozen
from multibuild.oci.copy.copier import Repository
from multibuild.oci.copy.target import stored_manifest
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import OCI_INDEX, Descriptor, Manifest, as_mapping
from multibuild.oci.reference import is_digest


@frozen
class Referrer:
    """A manifest that refers to a subject, as the repository has it."""

    manifest: Manifest

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of a referrers list, from the manifest's own bytes."""
        annotations = as_mapping(self.manifest.document.get("annotations"))
        return replace(
            self.manifest.descriptor,
            artifact_type=self.manifest.artifact_type,
            annotations={key: value for key, value in annotations.items() if isinstance(value, str)},
        )


def fallback_tag(digest: str) -> str:
    """Return the tag that lists what refers to a digest where a registry has no such API.

    Of sha512 the first 64 digits: a tag has at most 128 characters (distribution-spec, "Referrers Tag Schema").
    """
    algorithm, _, encoded = digest.partition(":")
    return f"{algorithm}-{encoded[:64]}"


def list_referrers(digest: str, repository: Repository, skip: Callable[[RegistryError], None]) -> list[str]:
    """Return the digests that a repository says refer to one; `skip` gets what could not be read.

    A registry whose API fails may have the tag all the same (GHCR redirects the API to a page for people).
    """
    subject = repository.reference.with_digest(digest)
    try:
        listed = repository.store.referrers(subject)
    except RegistryError as error:
        skip(error)
        listed = None
    if listed is None:
        try:
            listed = _tagged(digest, repository)
        except RegistryError as error:
            skip(error)
    digests = (entry.digest for entry in listed or () if is_digest(entry.digest))
    return [one for one in dict.fromkeys(digests) if one != digest]


def _tagged(digest: str, repository: Repository) -> tuple[Descriptor, ...]:
    """Read the fallback tag; RegistryError when it is anything but a list.

    A registry that takes `sha256-<hex>` for the digest sends the subject itself (GitLab): it has no list then.
    """
    tag = repository.reference.with_tag(fallback_tag(digest))
    try:
        index = repository.store.manifest(tag)
    except RegistryError as error:
        if error.kind == "not-found":
            return ()
        raise
    if index.digest == digest:
        return ()
    if not index.is_index:
        raise RegistryError("invalid", f"{tag} is no list of what refers to {digest}, but an image")
    return index.read_entries.readable


def read_referrer(digest: str, subject: str, repository: Repository) -> Referrer:
    """Read a manifest that is said to refer to `subject`; RegistryError when it does not."""
    manifest = repository.store.manifest(repository.reference.with_digest(digest))
    if manifest.subject != subject:
        about = manifest.subject or "nothing"
        raise RegistryError(
            "invalid", f"{digest} is listed as about {subject}, and says that it is about {about[:80]}"
        )
    return Referrer(manifest=manifest)


def add_to_fallback_tag(subject: str, entries: Sequence[Descriptor], target: Repository) -> None:
    """List referrers under the target's fallback tag, beside those that it lists; each digest once.

    RegistryError when the tag holds anything but a list, which must not be overwritten.
    """
    tag = target.reference.with_tag(fallback_tag(subject))
    current = stored_manifest(target.store, tag)
    if current is not None and not (current.is_index and current.digest != subject):
        raise RegistryError("invalid", f"{tag} is no list of what refers to {subject}: it is not overwritten")
    document = current.document if current is not None else {}
    listed = {entry.digest: entry for entry in current.entries} if current is not None else {}
    union = listed | {entry.digest: entry for entry in entries}
    if union == listed:
        return
    content = {
        **document,
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [entry.to_json() for entry in union.values()],
    }
    encoded = json.dumps(content, indent=2, ensure_ascii=False).encode()
    target.store.put_manifest(tag, encoded, OCI_INDEX)
