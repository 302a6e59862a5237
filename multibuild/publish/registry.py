"""A small registry client (OCI distribution-spec 1.1): just what composing and publishing an index needs."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urljoin

import httpx

from multibuild import __version__
from multibuild.publish.auth import RegistryAuth
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

ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}"
MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes; the size the distribution-spec asks registries to accept."""

CHUNK = 1024 * 1024
TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrySettings:
    """How a registry is reached. `insecure`: plain http; `ca`: a PEM file beside the system's."""

    host: str
    insecure: bool = False
    ca: Path | None = None

    @property
    def plain(self) -> bool:
        """Plain http, also for this machine's own loopback, as Docker does."""
        from multibuild.publish.loopback import is_loopback

        return self.insecure or is_loopback(self.host)

    @property
    def address(self) -> str:
        """Where requests go; Docker Hub's API lives under another name than its images."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{'http' if self.plain else 'https'}://{host}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Tries per request and waits in seconds; Retry-After is obeyed up to `longest`."""

    tries: int = 4
    initial: float = 0.5
    longest: float = 60.0


class Registry:
    """One registry, one connection pool; safe from several threads. Every method raises RegistryError."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        credentials: Credentials | None = None,
        retry: RetryPolicy = RetryPolicy(),
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """Open no connection yet. `on_wait` hears of every wait, in words."""
        self.settings = settings
        self._retry = retry
        self._on_wait = on_wait
        self._client = httpx.Client(
            base_url=settings.address,
            auth=RegistryAuth(settings.host, credentials, plain=settings.plain),
            verify=_trust(settings),
            timeout=TIMEOUT,
            headers={"User-Agent": f"multibuild/{__version__}"},
            follow_redirects=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    # -- manifests

    def manifest(self, reference: Reference) -> Manifest:
        """Fetch a manifest or index; its bytes are checked against the digest asked for."""
        answer = self._ask("GET", reference, f"manifests/{reference.target}", headers={"Accept": ACCEPT})
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
            answer = self._ask("HEAD", reference, f"manifests/{reference.target}", headers={"Accept": ACCEPT})
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
        self._ask("PUT", reference, f"manifests/{reference.target}", headers=headers, content=content)
        return digest_of(content)

    def delete(self, reference: Reference) -> None:
        """Delete a tag or manifest; `unsupported` where the registry does not allow it."""
        try:
            self._ask("DELETE", reference, f"manifests/{reference.target}")
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
            answer = self._ask("GET", name, path)
            found += answer.json().get("tags") or []
            link = answer.links.get("next", {}).get("url")
            path = "" if not link else urljoin(str(answer.request.url), link)
        return tuple(found)

    # -- pushing

    def check_push(self, repository: str) -> None:
        """Find out whether we may push: an upload is opened and ended again, nothing appears."""
        name = Reference(host=self.settings.host, repository=repository)
        answer = self._ask("POST", name, "blobs/uploads/", doing=f"pushing to {name.name}")
        location = answer.headers.get("location")
        if location:
            self._ask("DELETE", name, self._absolute(answer, location), tolerate=frozenset({404, 405, 400}))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the repository has a blob."""
        name = Reference(host=self.settings.host, repository=repository)
        answer = self._ask("HEAD", name, f"blobs/{digest}", tolerate=frozenset({404}), follow=True)
        return answer.status_code < 300

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:
        """Stream a blob; RegistryError at its end when the bytes are not what the digest says."""
        doing = f"reading {digest[:19]}… of {self.settings.host}/{repository}"
        seen = hashlib.sha256()
        try:
            with self._stream(repository, digest) as answer:
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
        answer = self._ask("POST", name, path, pulls=source)
        if answer.status_code == 201:
            return True
        location = answer.headers.get("location")
        if location:
            self._ask("DELETE", name, self._absolute(answer, location), tolerate=frozenset({404, 405, 400}))
        return False

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:
        """Upload a blob in one request, streaming."""
        name = Reference(host=self.settings.host, repository=repository)
        opened = self._ask("POST", name, "blobs/uploads/")
        location = self._absolute(opened, opened.headers["location"])
        joint = "&" if "?" in location else "?"
        headers = {"Content-Length": str(descriptor.size), "Content-Type": "application/octet-stream"}
        target = f"{location}{joint}digest={descriptor.digest}"
        self._ask("PUT", name, target, headers=headers, content=chunks)

    # -- the wire

    def _absolute(self, answer: httpx.Response, location: str) -> str:
        """Read Location, which may be relative; it may not lead to another host with our login."""
        return urljoin(str(answer.request.url), location)

    def _stream(self, repository: str, digest: str) -> Any:
        request = self._request(
            "GET",
            repository,
            f"blobs/{digest}",
            scope=f"repository:{repository}:pull",
            headers={},
            content=None,
        )
        answer = self._client.send(request, stream=True)
        hops = 0
        while answer.is_redirect and hops < 5:
            hops += 1
            target = urljoin(str(answer.request.url), answer.headers["location"])
            answer.close()
            onward = self._client.build_request("GET", target)
            same = onward.url.netloc == httpx.URL(self.settings.address).netloc
            answer = self._client.send(
                request if same and target == str(request.url) else onward, stream=True, auth=None
            )
        return _closing(answer)

    def _request(
        self, method: str, repository: str, path: str, *, scope: str, headers: Mapping[str, str], content: Any
    ) -> httpx.Request:
        url = path if path.startswith(("http://", "https://")) else f"/v2/{repository}/{path}"
        request = self._client.build_request(method, url, headers=dict(headers), content=content)
        request.extensions["scope"] = scope
        request.extensions["registry"] = httpx.URL(self.settings.address).netloc.decode()
        return request

    def _ask(
        self,
        method: str,
        reference: Reference,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: Any = None,
        tolerate: frozenset[int] = frozenset(),
        pulls: str | None = None,
        follow: bool = False,
        doing: str | None = None,
    ) -> httpx.Response:
        """Send one request with retries; the body of a stream is sent once only."""
        from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

        actions = (
            "pull" if method in {"GET", "HEAD"} else "pull,push" + (",delete" if method == "DELETE" else "")
        )
        scope = f"repository:{reference.repository}:{actions}"
        if pulls:
            scope += f" repository:{pulls}:pull"
        what = doing or f"{_VERBS[method]} {reference}"
        replayable = content is None or isinstance(content, bytes)

        def once() -> httpx.Response:
            request = self._request(
                method, reference.repository, path, scope=scope, headers=headers or {}, content=content
            )
            try:
                answer = self._client.send(request, follow_redirects=follow or method == "GET")
            except httpx.HTTPError as error:
                raise from_transport(self.settings.host, what, error) from error
            if answer.status_code >= 400 and answer.status_code not in tolerate:
                raise from_status(
                    self.settings.host,
                    what,
                    answer.status_code,
                    _said(answer),
                    retry_after=_retry_after(answer),
                )
            return answer

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = getattr(error, "retry_after", None)
            if asked is not None:
                return float(min(asked, self._retry.longest))
            return float(self._retry.initial * 2 ** (state.attempt_number - 1))

        def announce(state: RetryCallState) -> None:
            if self._on_wait is not None and state.next_action is not None and state.outcome is not None:
                self._on_wait(f"{state.outcome.exception()}; again in {state.next_action.sleep:.0f} s")

        retrying = Retrying(
            retry=retry_if_exception(lambda error: replayable and _worth_retrying(error)),
            stop=stop_after_attempt(self._retry.tries),
            wait=pause,
            before_sleep=announce,
            reraise=True,
        )
        return retrying(once)


_VERBS = {
    "GET": "reading",
    "HEAD": "looking for",
    "PUT": "pushing",
    "POST": "pushing to",
    "DELETE": "deleting",
}


class _closing:  # noqa: N801 - reads as the context manager it is
    """A streamed response that is closed whatever happens."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def __enter__(self) -> httpx.Response:
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._answer.close()


def _worth_retrying(error: BaseException) -> bool:
    if not isinstance(error, RegistryError):
        return False
    return error.status in _RETRIED or error.kind == "unreachable"


def _retry_after(answer: httpx.Response) -> float | None:
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isdigit() else None


def _said(answer: httpx.Response) -> str:
    """Give the registry's own message (distribution-spec: errors[].code and message), short and printable."""
    from multibuild.record.text import printable

    try:
        errors = answer.json()["errors"]
        text = "; ".join(f"{error.get('code', '')} {error.get('message', '')}".strip() for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = ""
    return printable(text)[:200]


def _trust(settings: RegistrySettings) -> ssl.SSLContext | bool:
    if settings.plain:
        return False
    context = ssl.create_default_context()
    if settings.ca is not None:
        context.load_verify_locations(settings.ca)
    return context
