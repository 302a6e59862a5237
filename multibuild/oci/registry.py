"""A small registry client (OCI distribution-spec 1.1): what composing and publishing an index needs."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import httpx

from multibuild.oci.auth import scope_of
from multibuild.oci.credentials import Credentials
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import (
    DEFAULT_RETRIES,
    MAX_BODY_BYTES,
    HttpClient,
    Request,
    Response,
    RetryPolicy,
    is_transient,
)
from multibuild.oci.limits import MAX_INDEX_ENTRIES, Budget, LimitExceeded
from multibuild.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    MANIFEST_TYPES,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    as_mapping,
    digest_of,
)
from multibuild.oci.read_manifest import KNOWN_TYPES, UnusableManifest, read_manifest
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.registry_settings import RegistrySettings

if TYPE_CHECKING:
    from multibuild.oci.store import Store

ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}, */*"
"""As containerd's: some registries answer 406 where their own type is not named, though they send one of these."""
MAX_MANIFEST_BYTES = MAX_BODY_BYTES
MAX_LIST_BYTES = 16 * MAX_BODY_BYTES
"""Of all pages of a list together."""
MAX_LIST_PAGES = 10_000
CHUNK_BYTES = 1024 * 1024
UNANSWERED = frozenset({400, 403, 405, 406, 411, 415, 500, 501})
"""Statuses with which registries and proxies refuse HEAD, though they answer GET."""

OPTIONAL_TRIES = 2
OPTIONAL_WAIT_S = 2.0
"""For requests that may fail: an attempt to mount, and signatures. Many of them with long waits would take hours."""

_NO_REFERRERS = frozenset({400, 404, 405, 406, 501})


class Registry:
    """One registry, one connection pool; thread-safe. Every method raises RegistryError."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        read_login: Callable[[], Credentials | None] = lambda: None,
        retry: RetryPolicy = DEFAULT_RETRIES,
        on_wait: Callable[[str], None] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Prepare the client without connecting. `on_wait` gets a message before each retry."""
        self.settings = settings
        self._http = HttpClient(settings, read_login=read_login, retry=retry, on_wait=on_wait, budget=budget)
        self._missing_apis = set[str]()
        self._descriptors: dict[tuple[str, str], Descriptor] = {}
        self._blob_sizes: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._http.close()

    @property
    def host(self) -> str:
        """`name[:port]`, as in references."""
        return self.settings.host

    @property
    def impatient(self) -> Registry:
        """The same registry for what a command can do without: a request is repeated once, and soon."""
        policy = self._http.retry
        other = copy.copy(self)
        other._http = self._http.with_policy(  # noqa: SLF001 - a copy of this one
            replace(
                policy,
                tries=min(policy.tries, OPTIONAL_TRIES),
                max_wait_s=min(policy.max_wait_s, OPTIONAL_WAIT_S),
            )
        )
        return other

    # -- manifests

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
            _media_type(response.headers),
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
        media_type = _media_type(response.headers)
        is_whole = is_digest(digest) and length.isdecimal() and int(length) > 0 and media_type in KNOWN_TYPES
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
        listed = read_manifest(page.content, _media_type(page.headers), name=f"{action}: the answer")
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
            is_foreign = bool(path) and self._is_other_host(path)
            if is_foreign or path in visited or total_bytes > MAX_LIST_BYTES or len(pages) > MAX_LIST_PAGES:
                raise RegistryError(
                    "invalid", f"{action}: {self.host} gives a list that cannot be read to its end"
                )
        return tuple(pages)

    # -- blobs

    def check_push(self, repository: str) -> None:
        """Raise RegistryError where pushing is not allowed: open an upload and cancel it; nothing is stored."""
        self._cancel_upload(self._reference(repository), self.begin_upload(repository))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has a blob; it is opened where the registry refuses the question (`UNANSWERED`)."""
        name = self._reference(repository)
        action = f"looking into {name}"
        _require_digest(digest, action)
        try:
            self._send("HEAD", name, f"blobs/{digest}", f"looking for {digest}")
        except RegistryError as error:
            if error.kind == "not-found":
                return False
            if error.status not in UNANSWERED:
                raise
            return self._can_open(repository, digest, action)
        return True

    def _can_open(self, repository: str, digest: str, action: str) -> bool:
        try:
            stack, _ = self._open_blob(repository, digest, 0, action)
        except RegistryError as error:
            if error.kind == "not-found":
                return False
            raise
        stack.close()
        return True

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob as it is stored, resuming after a broken connection.

        Raises RegistryError at the end when the bytes do not match the digest, and earlier when there are more of them
        than any manifest states that this client read.
        """
        action = f"reading {digest[:19]}… of {self.host}/{repository}"
        _require_digest(digest, action)
        stated = self._blob_sizes.get(digest)
        self._http.budget.add_bytes(stated or 0, action)
        hasher = hashlib.new(digest.partition(":")[0])
        offset, failures = 0, 0
        while True:
            try:
                for chunk in self._stream(repository, digest, offset, action):
                    hasher.update(chunk)
                    offset += len(chunk)
                    self._require_stated(offset, stated, digest)
                    yield chunk
                break
            except RegistryError as error:
                # Opening the stream had its own retries.
                failures += 1
                if not offset or not is_transient(error) or failures >= self._http.retry.tries:
                    raise
        if hasher.hexdigest() != digest.partition(":")[2]:
            raise RegistryError("invalid", f"{action}: the bytes do not match the digest")

    def _require_stated(self, received: int, stated: int | None, digest: str) -> None:
        if stated is not None and received > stated:
            raise RegistryError(
                "invalid",
                f"{digest}: {self.host} sends more than the {stated} bytes that its manifest states",
                hint="clients refuse such an image: build it again",
            )

    def _stream(self, repository: str, digest: str, start: int, action: str) -> Iterator[bytes]:
        """Stream a blob from byte `start`; where the server ignores ranges, the bytes before it are skipped."""
        stack, response = self._open_blob(repository, digest, start, action)
        with stack:
            skip = start if response.status_code != 206 else 0
            for chunk in response.iter_raw(CHUNK_BYTES):
                remaining = chunk[skip:]
                skip = max(0, skip - len(chunk))
                if remaining:
                    yield remaining

    def _open_blob(
        self, repository: str, digest: str, start: int, action: str
    ) -> tuple[ExitStack, httpx.Response]:
        """Open a blob from byte `start`, with retries; after a failure while reading, the caller resumes."""
        request = Request(
            method="GET",
            path=f"{repository}/blobs/{digest}",
            scope=scope_of("GET", repository),
            action=action,
            headers={"Range": f"bytes={start}-"} if start else {},
        )

        def open_stream() -> tuple[ExitStack, httpx.Response]:
            stack = ExitStack()
            return stack, stack.enter_context(self._http.open(request))

        return self._http.with_retries(open_stream)

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Mount a blob from another repository of this registry; False where it requires an upload instead.

        Whatever is no clear yes means an upload: registries without mounting answer 202, 4xx or 5xx, and some 201 about
        another blob.
        """
        if "mount" in self._missing_apis:
            return False
        try:
            response = self.impatient.begin_upload(repository, {"mount": digest, "from": source})
        except LimitExceeded:
            raise
        except RegistryError as error:
            if error.kind in {"unsupported", "unavailable"}:
                self._missing_apis.add("mount")
            return False
        stored = response.headers.get("docker-content-digest", digest)
        if response.status == 201 and stored == digest:
            return True
        self._cancel_upload(self._reference(repository), response)
        return False

    def begin_upload(self, repository: str, query: Mapping[str, str] = MappingProxyType({})) -> Response:
        """Open an upload; the query asks for a mount instead."""
        name = self._reference(repository)
        return self._send("POST", name, "blobs/uploads/", f"pushing to {name}", query=query)

    def link(self, digest: str, source: Store) -> bool:  # noqa: ARG002 - no shared file system
        """Return False: a registry shares no file system."""
        return False

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        """Upload a blob in one streaming request, without retries: the stream can be read only once."""
        name = self._reference(repository)
        response = self.begin_upload(repository)
        location = response.headers.get("location")
        if not location:
            raise RegistryError("invalid", f"pushing to {name}: {self.host} opens no upload")
        url, query = self._join(response, location), {"digest": descriptor.digest}
        if not self._http.is_own(url):
            raise RegistryError(
                "invalid",
                f"pushing to {name}: {self.host} wants the upload sent to {httpx.URL(url).host[:80]}",
                hint="a layer goes only to the registry that it is for: is it the right one?",
            )
        headers = {"Content-Length": str(descriptor.size), "Content-Type": "application/octet-stream"}
        action = f"pushing a layer to {name}"
        self._send("PUT", name, url, action, query=query, headers=headers, content=chunks)

    # -- requests

    def _reference(self, repository: str) -> Reference:
        return Reference(host=self.host, repository=repository)

    def _cancel_upload(self, name: Reference, response: Response) -> None:
        """Cancel an upload, ignoring failures: registries expire it by themselves."""
        location = response.headers.get("location")
        with suppress(RegistryError):
            path = self._join(response, location) if location else ""
            if path and self._http.is_own(path):
                self._delete_upload(name, path)

    def _delete_upload(self, name: Reference, path: str) -> None:
        request = Request(
            method="DELETE",
            path=path,
            scope=scope_of("POST", name.repository),
            action=f"ending an upload to {name}",
            allow_status=frozenset(range(300, 600)),
        )
        self._http.send(request)

    def _is_other_host(self, url: str) -> bool:
        return httpx.URL(url).host != httpx.URL(self.settings.address).host

    def _join(self, response: Response, location: str) -> str:
        """Resolve a URL from a response, which may be relative."""
        try:
            return str(response.url.join(location))
        except httpx.InvalidURL:
            raise RegistryError("invalid", f"{self.host} leads to no URL") from None

    def _send(
        self,
        method: str,
        reference: Reference,
        path: str,
        action: str,
        *,
        query: Mapping[str, str] = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({"Accept": ACCEPT}),
        content: bytes | Iterator[bytes] | None = None,
        allow_status: frozenset[int] = frozenset(),
    ) -> Response:
        """Send a request; `path` is below the repository, or a URL."""
        full_path = path if path.startswith(("http://", "https://")) else f"{reference.repository}/{path}"
        return self._http.send(
            Request(
                method=method,
                path=full_path,
                scope=scope_of(method, reference.repository, mounted_from=query.get("from", "")),
                action=action,
                query=query,
                headers=headers,
                content=content,
                allow_status=allow_status,
            )
        )


def _media_type(headers: httpx.Headers) -> str:
    return str(headers.get("content-type", "")).split(";")[0].strip()


def _require_digest(digest: str, action: str) -> None:
    """Raise RegistryError for an invalid digest before it becomes part of a path."""
    if not is_digest(digest):
        raise RegistryError("invalid", f"{action}: '{digest[:80]}' is no digest")


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
        raise RegistryError("invalid", f"{action}: {response.url.host} gives no list of tags")
    return tags
