"""A small registry client (OCI distribution-spec 1.1): what composing and publishing an index needs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from multibuild.oci.access.token_service import host_of
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import MAX_BODY_BYTES, Response, encoding_of
from multibuild.oci.limits import MAX_INDEX_ENTRIES, LimitExceeded
from multibuild.oci.manifest import MANIFEST_TYPES, Descriptor, Manifest, as_mapping, digest_of
from multibuild.oci.manifests.read_manifest import KNOWN_TYPES, UnusableManifest, read_manifest
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.registry_blobs import RegistryBlobs
from multibuild.oci.registry_requests import UNANSWERED, media_type_in

MAX_MANIFEST_BYTES = MAX_BODY_BYTES
MAX_LIST_BYTES = 16 * MAX_BODY_BYTES
"""Of all pages of a list together."""
MAX_LIST_PAGES = 10_000
_NO_REFERRERS = frozenset({400, 404, 405, 406, 501})
"""Statuses of a registry without the API of referrers."""


class Registry(RegistryBlobs):
    """One registry, one connection pool; thread-safe. Every method raises RegistryError."""

    def manifest(self, reference: Reference) -> Manifest:
        """Fetch a manifest or index; its bytes are verified against the digest of the reference."""
        response = self._send("GET", reference, f"manifests/{reference.target}", f"reading {reference}")
        if reference.digest and not _matches(response.content, reference.digest):
            raise RegistryError(
                "invalid",
                f"{reference}: {self.host} sent other bytes, {digest_of(response.content)}",
                hint="a cache or proxy in between, or a damaged store",
            )
        manifest = read_manifest(
            response.content,
            media_type_in(response.headers),
            digest=reference.digest or "",
            name=str(reference),
        )
        self._require_few_entries(reference, manifest)
        self._note_blob_sizes(manifest)
        self._descriptors[reference.repository, manifest.digest] = manifest.descriptor
        return manifest

    def _require_few_entries(self, reference: Reference, manifest: Manifest) -> None:
        """Raise LimitExceeded for an index with too many entries, or too many in all of the command's indexes."""
        if not manifest.is_index:
            return
        entries = manifest.document.get("manifests")
        count = len(entries) if isinstance(entries, list) else 0
        if count > MAX_INDEX_ENTRIES:
            raise LimitExceeded(f"{reference} lists {count} entries, more than {MAX_INDEX_ENTRIES}")
        self._http.budget.add_entries(count, f"reading {reference}")
        if reference.digest:
            self._http.budget.add_index(f"reading {reference}")

    def _note_blob_sizes(self, manifest: Manifest) -> None:
        """Remember the sizes that a manifest states of its blobs; of several the largest, as one may be a lie."""
        document = manifest.document if manifest.media_type in MANIFEST_TYPES else {}
        layers = document.get("layers")
        for entry in (document.get("config"), *(layers if isinstance(layers, list) else ())):
            digest, size = as_mapping(entry).get("digest"), as_mapping(entry).get("size")
            if isinstance(digest, str) and isinstance(size, int) and is_digest(digest):
                self._blob_sizes[digest] = max(size, self._blob_sizes.get(digest, 0))

    def cached_descriptor(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor of a digest whose bytes this client read in that repository, else None.

        For one merge, which reads and writes within a second; a longer-lived client should call `head` again.
        """
        return self._descriptors.get((reference.repository, reference.digest or ""))

    def head(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor of a tag or digest without fetching it; None when it does not exist.

        Fetches it where the registry refuses the question (`UNANSWERED`), or answers it in part or about another
        manifest. Raises RegistryError when that is refused too.
        """
        try:
            response = self._send(
                "HEAD", reference, f"manifests/{reference.target}", f"looking for {reference}"
            )
        except RegistryError as error:
            if error.kind == "not-found":
                return None
            if error.status not in UNANSWERED:
                raise
            return self._fetched(reference)
        digest = response.headers.get("docker-content-digest", "")
        length = response.headers.get("content-length", "")
        media_type = media_type_in(response.headers)
        is_whole = is_digest(digest) and length.isdecimal() and int(length) > 0 and media_type in KNOWN_TYPES
        # The length of an encoded answer is not that of the manifest.
        is_whole = is_whole and not encoding_of(response.headers)
        if not is_whole or digest != (reference.digest or digest):
            return self._fetched(reference)
        return Descriptor(media_type=media_type, digest=digest, size=int(length))

    def _fetched(self, reference: Reference) -> Descriptor | None:
        try:
            return self.manifest(reference).descriptor
        except RegistryError as error:
            if error.kind == "not-found":
                return None
            # A tag may hold anything: what it is matters to whoever reads it.
            if isinstance(error, UnusableManifest) and error.kind == "invalid":
                return error.manifest.descriptor
            raise

    def put_manifest(self, reference: Reference, content: bytes, media_type: str) -> str:
        """Push a manifest under `reference`'s tag or digest; return the digest of the subject that was noted.

        That is the header OCI-Subject; without it the registry does not list what refers to a subject
        (distribution-spec, "Pushing Manifests with Subject").
        """
        path = f"manifests/{reference.target}"
        headers = {"Content-Type": media_type}
        response = self._send(
            "PUT", reference, path, f"pushing {reference}", headers=headers, content=content
        )
        subject = response.headers.get("oci-subject", "").strip()
        return subject if is_digest(subject) else ""

    def delete(self, reference: Reference) -> None:
        """Delete a tag or manifest; `unsupported` where the registry does not allow it."""
        try:
            self._send("DELETE", reference, f"manifests/{reference.target}", f"deleting {reference}")
        except RegistryError as error:
            # registry 2.8 responds with 400 to a tag: it deletes by digest only.
            if error.status == 400:
                raise RegistryError("unsupported", error.message, status=400) from error
            raise

    def tags(self, repository: str) -> tuple[str, ...]:
        """List the tags of a repository, all pages; RegistryError for a response that is no list of tags."""
        name = self._reference(repository)
        action = f"listing the tags of {name}"
        pages = self._pages(name, "tags/list", action, frozenset())
        return tuple(dict.fromkeys(tag for response in pages or () for tag in _tags(response, action)))

    def referrers(self, reference: Reference) -> tuple[Descriptor, ...] | None:
        """List the manifests that claim to refer to a digest (signatures and the like); None without such an API.

        distribution-spec, "Listing Referrers"; all pages. A registry without the API is asked only once. What is listed
        is only a claim: registries list wrong sizes and types, and some answer with a page for people.
        """
        if "referrers" in self._missing_apis:
            return None
        action = f"listing what refers to {reference}"
        pages = self._pages(reference, f"referrers/{reference.digest}", action, _NO_REFERRERS)
        if pages is None:
            self._missing_apis.add("referrers")
            return None
        return tuple(entry for page in pages for entry in self._page_entries(page, action))

    def _page_entries(self, page: Response, action: str) -> tuple[Descriptor, ...]:
        """Return the descriptors of a page, and of those that are none the digest, where there is one."""
        listed = read_manifest(page.content, media_type_in(page.headers), name=f"{action}: the answer")
        if not listed.is_index:
            raise RegistryError("invalid", f"{action}: {self.host} answers with something else than a list")
        entries = listed.split_entries()
        bare = [odd for odd in entries.odd if is_digest(odd.digest)]
        self._http.budget.add_entries(len(entries.readable) + len(bare), action)
        return (*entries.readable, *(Descriptor(media_type="", digest=odd.digest, size=0) for odd in bare))

    def _pages(
        self, name: Reference, path: str, action: str, allow_status: frozenset[int]
    ) -> tuple[Response, ...] | None:
        """Read a list page by page (Link headers); None for a response with one of `allow_status`.

        Raises RegistryError for a list that leads to another host, loops, or does not end: a part is not the list.
        """
        pages: list[Response] = []
        visited = set[str]()
        total_bytes = 0
        while path:
            response = self._send("GET", name, path, action, allow_status=allow_status)
            if response.status >= 300:
                return None
            pages.append(response)
            total_bytes += len(response.content)
            visited.add(path)
            path = self._join(response, response.next_page) if response.next_page else ""
            is_foreign = bool(path) and self._host_of(path) != self._host_of(self.settings.address)
            if is_foreign or path in visited or total_bytes > MAX_LIST_BYTES or len(pages) > MAX_LIST_PAGES:
                raise RegistryError(
                    "invalid", f"{action}: {self.host} gives a list that cannot be read to its end"
                )
        return tuple(pages)


def _matches(content: bytes, digest: str) -> bool:
    algorithm, _, value = digest.partition(":")
    return is_digest(digest) and hashlib.new(algorithm, content).hexdigest() == value


def _tags(response: Response, action: str) -> list[str]:
    """Parse a page of tags; null is an empty list (distribution 2)."""
    try:
        document: Any = json.loads(response.content)
        tags = document["tags"] or []
    except (ValueError, RecursionError, TypeError, KeyError):
        tags = None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise RegistryError("invalid", f"{action}: {host_of(response.url)} gives no list of tags")
    return tags
