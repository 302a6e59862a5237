"""A small registry client (OCI distribution-spec 1.1): just what composing and publishing an index needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import httpx

from multibuild.publish.credentials import Credentials
from multibuild.publish.failures import RegistryError, from_status, from_transport
from multibuild.publish.reference import (
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_INDEX,
    OCI_MANIFEST,
    Descriptor,
    Manifest,
    Reference,
    digest_of,
)
from multibuild.publish.wire import RegistrySettings, RetryPolicy, Wire

ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}"
MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes; the size the distribution-spec asks registries to accept."""

CHUNK = 1024 * 1024
_NO_REFERRERS = frozenset({400, 401, 403, 404, 405, 406, 501})


class Registry:
    """One registry, one connection pool; safe from several threads. Every method raises RegistryError."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        credentials: Credentials | None = None,
        retry: RetryPolicy | None = None,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """Open no connection yet. `on_wait` hears of every wait, in words."""
        self.settings = settings
        self._wire = Wire(settings, credentials=credentials, retry=retry or RetryPolicy(), on_wait=on_wait)

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
        answer = self._wire.ask("GET", reference, f"manifests/{reference.target}", headers={"Accept": ACCEPT})
        if len(answer.content) > MANIFEST_LIMIT:
            raise RegistryError(
                "invalid", f"{reference}: a manifest of {len(answer.content)} bytes is too large"
            )
        media_type = answer.headers.get("content-type", "").split(";")[0].strip()
        found = Manifest.of(answer.content, media_type)
        if reference.digest and found.digest != reference.digest:
            raise RegistryError(
                "invalid", f"{reference}: the registry sent {found.digest}", hint="never trust it"
            )
        if media_type in {"", "application/json", "text/plain", "application/octet-stream"}:
            media_type = str(found.document.get("mediaType", OCI_MANIFEST))
        return Manifest(media_type=media_type, digest=found.digest, content=found.content)

    def head(self, reference: Reference) -> Descriptor | None:
        """Ask what a tag or digest holds, without its bytes; None when it is not there."""
        try:
            answer = self._wire.ask(
                "HEAD", reference, f"manifests/{reference.target}", headers={"Accept": ACCEPT}
            )
        except RegistryError as error:
            if error.kind == "not-found":
                return None
            raise
        digest = answer.headers.get("docker-content-digest")
        if not digest:
            found = self.manifest(reference)
            return Descriptor(media_type=found.media_type, digest=found.digest, size=len(found.content))
        size = int(answer.headers.get("content-length") or 0)
        return Descriptor(media_type=answer.headers.get("content-type", ""), digest=digest, size=size)

    def put_manifest(self, reference: Reference, content: bytes, media_type: str) -> str:
        """Push a manifest under `reference`'s tag or digest; gives its digest."""
        headers = {"Content-Type": media_type}
        self._wire.ask("PUT", reference, f"manifests/{reference.target}", headers=headers, content=content)
        return digest_of(content)

    def delete(self, reference: Reference) -> None:
        """Delete a tag or manifest; `unsupported` where the registry does not allow it."""
        try:
            self._wire.ask("DELETE", reference, f"manifests/{reference.target}")
        except RegistryError as error:
            # registry 2.8 answers 400 for a tag: it deletes by digest only.
            if error.status == 400:
                raise RegistryError("unsupported", error.message, status=400) from error
            raise

    def tags(self, repository: str) -> tuple[str, ...]:
        """List the tags of a repository, all pages."""
        name = Reference(host=self.settings.host, repository=repository)
        path = "tags/list"
        found: list[str] = []
        while path:
            answer = self._wire.ask("GET", name, path)
            found += answer.json().get("tags") or []
            link = answer.links.get("next", {}).get("url")
            path = "" if not link else urljoin(str(answer.request.url), link)
        return tuple(found)

    def referrers(self, reference: Reference) -> tuple[Descriptor, ...] | None:
        """List what refers to a digest (signatures and the like); None where the registry has no such API.

        distribution-spec, "Listing Referrers"; all pages.
        """
        path = f"referrers/{reference.digest}"
        found: list[Descriptor] = []
        while path:
            answer = self._wire.ask("GET", reference, path, tolerate=_NO_REFERRERS)
            if answer.status_code >= 400:
                return None
            page = Manifest.of(answer.content, OCI_INDEX)
            found += page.entries
            link = answer.links.get("next", {}).get("url")
            path = "" if not link else urljoin(str(answer.request.url), link)
        return tuple(found)

    # -- pushing

    def check_push(self, repository: str) -> None:
        """Find out whether we may push: an upload is opened and ended again, nothing appears."""
        name = Reference(host=self.settings.host, repository=repository)
        answer = self._wire.ask("POST", name, "blobs/uploads/", doing=f"pushing to {name.name}")
        location = answer.headers.get("location")
        if location:
            self._wire.ask("DELETE", name, _absolute(answer, location), tolerate=frozenset({404, 405, 400}))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has a blob."""
        name = Reference(host=self.settings.host, repository=repository)
        answer = self._wire.ask("HEAD", name, f"blobs/{digest}", tolerate=frozenset({404}), follow=True)
        return answer.status_code < 300

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob; RegistryError at its end when the bytes are not what the digest says."""
        doing = f"reading {digest[:19]}… of {self.settings.host}/{repository}"
        seen = hashlib.sha256()
        try:
            with self._wire.stream(repository, digest) as answer:
                if answer.status_code >= 300:
                    raise from_status(self.settings.host, doing, answer.status_code, "")
                for chunk in answer.iter_raw(CHUNK):
                    seen.update(chunk)
                    yield chunk
        except httpx.HTTPError as error:
            raise from_transport(self.settings.host, doing, error) from error
        if digest.startswith("sha256:") and digest != f"sha256:{seen.hexdigest()}":
            raise RegistryError("invalid", f"{doing}: the bytes do not match the digest")

    def mount(self, repository: str, digest: str, source: str) -> bool:
        """Take a blob over from another repository of this registry; False where it wants an upload instead."""
        name = Reference(host=self.settings.host, repository=repository)
        path = f"blobs/uploads/?mount={digest}&from={source}"
        # An account may push here and yet not be allowed to mount from there.
        refused = frozenset({400, 401, 403, 404, 405})
        answer = self._wire.ask("POST", name, path, pulls=source, tolerate=refused)
        if answer.status_code == 201:
            return True
        location = answer.headers.get("location")
        if location and answer.status_code < 300:
            self._wire.ask("DELETE", name, _absolute(answer, location), tolerate=frozenset({404, 405, 400}))
        return False

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        """Upload a blob in one request, streaming."""
        name = Reference(host=self.settings.host, repository=repository)
        opened = self._wire.ask("POST", name, "blobs/uploads/")
        location = _absolute(opened, opened.headers["location"])
        joint = "&" if "?" in location else "?"
        headers = {"Content-Length": str(descriptor.size), "Content-Type": "application/octet-stream"}
        target = f"{location}{joint}digest={descriptor.digest}"
        self._wire.ask("PUT", name, target, headers=headers, content=chunks)


def _absolute(answer: httpx.Response, location: str) -> str:
    """Read Location, which may be relative."""
    return urljoin(str(answer.request.url), location)
