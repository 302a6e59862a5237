"""A small registry client (OCI distribution-spec 1.1): just what composing and publishing an index needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import httpx

from multibuild.oci.credentials import Credentials
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import (
    BODY_LIMIT,
    USUAL_PATIENCE,
    Answer,
    Call,
    HttpClient,
    RetryPolicy,
    is_transient,
)
from multibuild.oci.manifest import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    digest_of,
)
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.registry_settings import RegistrySettings

if TYPE_CHECKING:
    from multibuild.oci.store import Store

ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}"
MANIFEST_LIMIT = BODY_LIMIT
LIST_LIMIT = 16 * BODY_LIMIT
"""Bytes of all pages of a list together."""
MOST_PAGES = 10_000
CHUNK = 1024 * 1024
# What proxies and object stores call a manifest they know nothing about.
_VAGUE = frozenset({"", "application/json", "text/plain", "application/octet-stream"})
_GONE = frozenset({404})
_NO_REFERRERS = frozenset({400, 401, 403, 404, 405, 406, 501})
_NO_MOUNT = frozenset({"unauthorized", "denied", "invalid", "unsupported", "not-found"})


class Registry:
    """One registry, one connection pool; safe from several threads. Every method raises RegistryError."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        read_login: Callable[[], Credentials | None] = lambda: None,
        retry: RetryPolicy = USUAL_PATIENCE,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """Open no connection yet. `on_wait` hears of every wait, in words."""
        self.settings = settings
        self._wire = HttpClient(settings, read_login=read_login, retry=retry, on_wait=on_wait)
        self._lists_referrers = True
        self._seen: dict[tuple[str, str], Descriptor] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.close()

    @property
    def host(self) -> str:
        """`name[:port]`, as references say it."""
        return self.settings.host

    # -- manifests

    def manifest(self, reference: Reference) -> Manifest:
        """Fetch a manifest or index; its bytes are checked against the digest asked for."""
        answer = self._ask("GET", reference, f"manifests/{reference.target}", f"reading {reference}")
        found = Manifest.of(answer.content, _media_type(answer.headers))
        if reference.digest and not _holds(answer.content, reference.digest):
            raise RegistryError(
                "invalid",
                f"{reference}: {self.host} sent other bytes, {found.digest}",
                hint="a cache or proxy in between, or a damaged store",
            )
        media_type = found.media_type if found.media_type not in _VAGUE else found.own_type
        read = Manifest(media_type=media_type, digest=reference.digest or found.digest, content=found.content)
        if read.is_ambiguous:
            raise RegistryError(
                "invalid",
                f"{reference}: {self.host} calls it {media_type}, and its content is of another kind",
                hint="one client would take it for an image and another for an index",
            )
        own = Descriptor(media_type=read.media_type, digest=read.digest, size=len(read.content))
        self._seen[reference.repository, read.digest] = own
        return read

    def seen(self, reference: Reference) -> Descriptor | None:
        """Say what a digest was when this client read its bytes in that repository; None: it did not.

        For one merge, which reads and writes within a second; a client that lives longer should ask again.
        """
        return self._seen.get((reference.repository, reference.digest or ""))

    def head(self, reference: Reference) -> Descriptor | None:
        """Ask what a tag or digest holds, without its bytes; None when it is not there."""
        try:
            answer = self._ask("HEAD", reference, f"manifests/{reference.target}", f"looking for {reference}")
            digest = answer.headers.get("docker-content-digest", "")
            length = answer.headers.get("content-length", "")
            if not is_digest(digest) or digest != (reference.digest or digest) or not length.isdecimal():
                # What the headers do not say, or say of something else, the bytes will.
                found = self.manifest(reference)
                return Descriptor(media_type=found.media_type, digest=found.digest, size=len(found.content))
        except RegistryError as error:
            if error.kind == "not-found":
                return None
            raise
        return Descriptor(media_type=_media_type(answer.headers), digest=digest, size=int(length))

    def put_manifest(self, reference: Reference, content: bytes, media_type: str) -> str:
        """Push a manifest under `reference`'s tag or digest; gives its digest."""
        path = f"manifests/{reference.target}"
        self._ask("PUT", reference, path, f"pushing {reference}", content=content, media_type=media_type)
        return digest_of(content)

    def delete(self, reference: Reference) -> None:
        """Delete a tag or manifest; `unsupported` where the registry does not allow it."""
        try:
            self._ask("DELETE", reference, f"manifests/{reference.target}", f"deleting {reference}")
        except RegistryError as error:
            # registry 2.8 answers 400 for a tag: it deletes by digest only.
            if error.status == 400:
                raise RegistryError("unsupported", error.message, status=400) from error
            raise

    def tags(self, repository: str) -> tuple[str, ...]:
        """List the tags of a repository, all pages. What is no list of tags is an error, never an empty list."""
        name = self._named(repository)
        doing = f"listing the tags of {name}"
        pages = self._pages(name, "tags/list", doing, frozenset())
        return tuple(dict.fromkeys(tag for answer in pages or () for tag in _tags(answer, doing)))

    def referrers(self, reference: Reference) -> tuple[Descriptor, ...] | None:
        """List what refers to a digest (signatures and the like); None where the registry has no such API.

        distribution-spec, "Listing Referrers"; all pages. A registry that once had no such API is not asked again.
        """
        if not self._lists_referrers:
            return None
        doing = f"listing what refers to {reference}"
        pages = self._pages(reference, f"referrers/{reference.digest}", doing, _NO_REFERRERS)
        if pages is None:
            self._lists_referrers = False
            return None
        return tuple(entry for page in pages for entry in Manifest.of(page.content, OCI_INDEX).entries)

    def _pages(
        self, name: Reference, path: str, doing: str, allow_status: frozenset[int]
    ) -> tuple[Answer, ...] | None:
        """Read a list page by page (Link headers); None for an answer that is one of `allow_status`.

        A list that leads to another host, in a circle, or to no end is an error: part of a list would pass for all.
        """
        found: list[Answer] = []
        seen = set[str]()
        weight = 0
        while path:
            answer = self._ask("GET", name, path, doing, allow_status=allow_status)
            if answer.status >= 300:
                return None
            found.append(answer)
            weight += len(answer.content)
            seen.add(path)
            path = self._onward(answer, answer.next_page) if answer.next_page else ""
            elsewhere = bool(path) and self._is_elsewhere(path)
            if elsewhere or path in seen or weight > LIST_LIMIT or len(found) > MOST_PAGES:
                raise RegistryError(
                    "invalid", f"{doing}: {self.host} gives a list that cannot be read to its end"
                )
        return tuple(found)

    # -- blobs

    def check_push(self, repository: str) -> None:
        """Find out whether we may push: an upload is opened and ended again, nothing appears."""
        name = self._named(repository)
        self._abandon(name, self._open_upload(name))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has a blob."""
        name = self._named(repository)
        _require_digest(digest, f"looking into {name}")
        answer = self._ask("HEAD", name, f"blobs/{digest}", f"looking for {digest}", allow_status=_GONE)
        return answer.status < 300

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob as it is stored, going on after a broken connection.

        Raises RegistryError, at the end, when the bytes are not what the digest says.
        """
        doing = f"reading {digest[:19]}… of {self.host}/{repository}"
        _require_digest(digest, doing)
        seen = hashlib.new(digest.partition(":")[0])
        done, broken = 0, 0
        while True:
            try:
                for chunk in self._from(repository, digest, done, doing):
                    seen.update(chunk)
                    done += len(chunk)
                    yield chunk
                break
            except RegistryError as error:
                # What was never begun has been tried often enough already.
                broken += 1
                if not done or not is_transient(error) or broken >= self._wire.retry.tries:
                    raise
        if seen.hexdigest() != digest.partition(":")[2]:
            raise RegistryError("invalid", f"{doing}: the bytes do not match the digest")

    def _from(self, repository: str, digest: str, start: int, doing: str) -> Iterator[bytes]:
        """Stream a blob from byte `start`; a server that knows no ranges sends all, and what we have is skipped."""
        call = Call(
            method="GET",
            path=f"{repository}/blobs/{digest}",
            scope=f"repository:{repository}:pull",
            doing=doing,
            headers={"Range": f"bytes={start}-"} if start else {},
        )

        def begin() -> tuple[ExitStack, httpx.Response]:
            stack = ExitStack()
            return stack, stack.enter_context(self._wire.open(call))

        # Opening is tried again; what fails while reading is for the caller to go on from.
        stack, response = self._wire.with_retries(begin)
        with stack:
            skip = start if response.status_code != 206 else 0
            for chunk in response.iter_raw(CHUNK):
                kept = chunk[skip:]
                skip = max(0, skip - len(chunk))
                if kept:
                    yield kept

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Take a blob over from another repository of this registry; False where it wants an upload instead."""
        name = self._named(repository)
        call = Call(
            method="POST",
            path=f"{repository}/blobs/uploads/",
            scope=f"repository:{repository}:pull,push repository:{source}:pull",
            doing=f"pushing to {name}",
            query={"mount": digest, "from": source},
        )
        try:
            answer = self._wire.ask(call)
        except RegistryError as error:
            # A login that may not read the source, or a registry without mounting: there is still the upload.
            if error.kind in _NO_MOUNT:
                return False
            raise
        if answer.status == 201:
            return True
        self._abandon(name, answer)
        return False

    def link(self, digest: str, source: Store) -> bool:  # noqa: ARG002 - no file system is shared with a registry
        """Never: what goes to a registry is sent."""
        return False

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        """Upload a blob in one streaming request. Not repeated: the stream is used up."""
        name = self._named(repository)
        opened = self._open_upload(name)
        location = opened.headers.get("location")
        if not location:
            raise RegistryError("invalid", f"pushing to {name}: {self.host} opens no upload")
        call = Call(
            method="PUT",
            path=self._onward(opened, location),
            scope=f"repository:{repository}:pull,push",
            doing=f"pushing a layer to {name}",
            query={"digest": descriptor.digest},
            headers={"Content-Length": str(descriptor.size), "Content-Type": "application/octet-stream"},
            content=chunks,
        )
        self._wire.ask(call)

    # -- requests

    def _named(self, repository: str) -> Reference:
        return Reference(host=self.host, repository=repository)

    def _open_upload(self, name: Reference) -> Answer:
        return self._ask("POST", name, "blobs/uploads/", f"pushing to {name}")

    def _abandon(self, name: Reference, opened: Answer) -> None:
        """End an upload again. Registries end it by themselves in time, so it does not matter if they will not."""
        location = opened.headers.get("location")
        path = self._onward(opened, location) if location else ""
        if not path or self._is_elsewhere(path):
            return
        call = Call(
            method="DELETE",
            path=path,
            scope=f"repository:{name.repository}:pull,push",
            doing=f"ending an upload to {name}",
            allow_status=frozenset(range(300, 600)),
        )
        try:
            self._wire.ask(call)
        except RegistryError:
            return

    def _is_elsewhere(self, url: str) -> bool:
        return httpx.URL(url).host != httpx.URL(self.settings.address).host

    def _onward(self, answer: Answer, location: str) -> str:
        """Read a URL of an answer, which may be relative."""
        try:
            return str(answer.url.join(location))
        except httpx.InvalidURL:
            raise RegistryError("invalid", f"{self.host} leads to no URL") from None

    def _ask(
        self,
        method: str,
        reference: Reference,
        path: str,
        doing: str,
        *,
        content: bytes | None = None,
        media_type: str = "",
        allow_status: frozenset[int] = frozenset(),
    ) -> Answer:
        actions = {"GET": "pull", "HEAD": "pull", "DELETE": "pull,push,delete"}.get(method, "pull,push")
        whole = path if path.startswith(("http://", "https://")) else f"{reference.repository}/{path}"
        return self._wire.ask(
            Call(
                method=method,
                path=whole,
                scope=f"repository:{reference.repository}:{actions}",
                doing=doing,
                headers={"Content-Type": media_type} if media_type else {"Accept": ACCEPT},
                content=content,
                allow_status=allow_status,
            )
        )


def _media_type(headers: httpx.Headers) -> str:
    return str(headers.get("content-type", "")).split(";")[0].strip()


def _require_digest(digest: str, doing: str) -> None:
    """Raise RegistryError for what is no digest: it is about to become a part of a path."""
    if not is_digest(digest):
        raise RegistryError("invalid", f"{doing}: '{digest[:80]}' is no digest")


def _holds(content: bytes, digest: str) -> bool:
    algorithm, _, value = digest.partition(":")
    return is_digest(digest) and hashlib.new(algorithm, content).hexdigest() == value


def _tags(answer: Answer, doing: str) -> list[str]:
    """Read a page of tags; null stands for none (distribution 2)."""
    try:
        document: Any = json.loads(answer.content)
        tags = document["tags"] or []
    except (ValueError, RecursionError, TypeError, KeyError):
        tags = None
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise RegistryError("invalid", f"{doing}: {answer.url.host} gives no list of tags")
    return tags
