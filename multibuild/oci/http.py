"""Requests to one registry: retried, redirected, bounded in time and size, their failures put into words."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import TypeVar

import httpx

from multibuild import __version__
from multibuild.frozen import frozen
from multibuild.oci.auth import RegistryAuth
from multibuild.oci.credentials import Credentials
from multibuild.oci.errors import RegistryError, from_status, from_transport, retry_after
from multibuild.oci.registry_settings import RegistrySettings, is_loopback
from multibuild.oci.tls import Bounded, TlsLater, trust
from multibuild.redact import redacted_url
from multibuild.retrying import Backoff, retry

logger = logging.getLogger(__name__)

BODY_LIMIT = 4 * 1024 * 1024
"""Bytes of an answer held in memory; for manifests the size the distribution-spec asks registries to accept."""

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
# A registry over an object store copies a large blob once more before it answers.
UPLOAD_TIMEOUT = httpx.Timeout(60.0, connect=10.0, read=600.0)
HOPS = 5
# One level of these multiplies a chunk by a thousand at most.
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})

T = TypeVar("T")


@frozen
class RetryPolicy:
    """Tries per request and waits in seconds; Retry-After is obeyed up to `longest`.

    Where no connection comes about at all, waiting ends after `unreachable` seconds: a mistyped name or a registry
    that is not running should be heard of at once.
    """

    tries: int = 5
    initial: float = 0.5
    longest: float = 60.0
    unreachable: float = 3.0


USUAL_PATIENCE = RetryPolicy()

LATE_PATIENCE = RetryPolicy(unreachable=15.0)
"""At the end of hours of building a registry that is just being restarted is waited for."""


@frozen
class Call:
    """One request. `path` is below `/v2/`, or a whole URL the registry gave; `doing` says it in words."""

    method: str
    path: str
    scope: str
    doing: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Iterator[bytes] | None = None
    allow_status: frozenset[int] = frozenset()


@frozen
class Answer:
    """A response read whole. `url` is where it came from in the end, `next_page` the Link of a list."""

    status: int
    headers: httpx.Headers
    url: httpx.URL
    content: bytes
    next_page: str | None


class HttpClient:
    """One registry's connection pool; safe from several threads. Everything raises RegistryError."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        read_login: Callable[[], Credentials | None] = lambda: None,
        retry: RetryPolicy = USUAL_PATIENCE,
        on_wait: Callable[[str], None] | None = None,
    ) -> None:
        """Open no connection yet; EnvironmentFault when the CA file is unusable, or the login."""
        self.settings = settings
        self.retry = retry
        self._on_wait = on_wait
        self._backoff = Backoff(
            error=RegistryError,
            is_transient=is_transient,
            attempts=retry.tries,
            initial=retry.initial,
            max=retry.longest,
            requested_wait=lambda error: error.retry_after,
            time_limit=lambda error: None if error.connected else retry.unreachable,
            before_wait=self._announce,
        )
        local = is_loopback(settings.host)
        self._client = httpx.Client(
            auth=RegistryAuth(settings.address, settings.host, read_login, insecure=settings.insecure),
            verify=False if local else trust(settings.ca, settings.host),
            # What this machine's own registry leads to may have TLS; making ready for it takes 30 ms.
            mounts={"https://": TlsLater(settings.ca, settings.host)} if local else None,
            timeout=TIMEOUT,
            # Bytes must be those the digest names, so no encoding on the way.
            headers={"User-Agent": f"multibuild/{__version__}", "Accept-Encoding": "identity"},
            follow_redirects=False,
            event_hooks={"response": [self._guard]},
            # Proxies as the environment says, but not to this machine itself: Go's clients, Docker's too, do the same.
            trust_env=not local,
        )

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def ask(self, call: Call) -> Answer:
        """Send a request and read its answer, with retries; a body that is a stream is sent once only."""
        if call.content is None or isinstance(call.content, bytes):
            return self.with_retries(lambda: self._once(call))
        return self._once(call)

    def _once(self, call: Call) -> Answer:
        with self.open(call) as response:
            return Answer(
                status=response.status_code,
                headers=response.headers,
                url=response.url,
                content=self._body(response, call.doing),
                next_page=response.links.get("next", {}).get("url"),
            )

    def _guard(self, response: httpx.Response) -> None:
        """Bound an answer before anybody reads it; httpx reads those to a login by itself, to their end.

        Few bytes of zstd, or of gzip within gzip, become gigabytes, and no encoding was asked for.
        """
        encoding = response.headers.get("content-encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise RegistryError("invalid", f"{response.url.host} answers in the encoding {encoding[:40]}")
        if response.status_code == 401 or "scope" not in response.request.extensions:
            response.stream = Bounded(response.stream, response.url.host)

    def _body(self, response: httpx.Response, doing: str) -> bytes:
        content = bytearray()
        for chunk in response.iter_bytes():
            content += chunk
            if len(content) > BODY_LIMIT:
                raise RegistryError(
                    "invalid", f"{doing}: {self.settings.host} sends more than {BODY_LIMIT} bytes"
                )
        return bytes(content)

    @contextmanager
    def open(self, call: Call) -> Iterator[httpx.Response]:
        """Send a request once and give its response unread; GET and HEAD follow redirects."""
        try:
            response = self._send(self._request(call, self._url(call.path)))
            try:
                for _ in range(HOPS):
                    if not response.has_redirect_location or call.method not in {"GET", "HEAD"}:
                        break
                    response.close()
                    target = self._safe(response.url.join(response.headers["location"]))
                    response = self._send(self._request(call, target))
                if response.status_code >= 300 and response.status_code not in call.allow_status:
                    raise self._refusal(response, call.doing)
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise from_transport(self._blamed(error), call.doing, error) from error
        except httpx.StreamError as error:
            # A login ran out within an upload, whose body cannot be sent a second time: to be begun anew.
            raise from_transport(self.settings.host, call.doing, error) from error
        except httpx.InvalidURL as error:
            raise RegistryError("invalid", f"{call.doing}: {self.settings.host} leads to no URL") from error

    def _send(self, request: httpx.Request) -> httpx.Response:
        began, answer = time.monotonic(), "no answer"
        try:
            response = self._client.send(request, stream=True)
            answer = str(response.status_code)
            return response
        finally:
            url, seconds = redacted_url(str(request.url)), time.monotonic() - began
            logger.info("%s %s: %s in %.2f s", request.method, url, answer, seconds)

    def _request(self, call: Call, url: httpx.URL) -> httpx.Request:
        headers = dict(call.headers)
        streamed = not (call.content is None or isinstance(call.content, bytes))
        request = self._client.build_request(
            call.method,
            url.copy_merge_params(call.query) if call.query else url,
            headers=headers,
            content=call.content,
            timeout=UPLOAD_TIMEOUT if streamed else TIMEOUT,
        )
        request.extensions["scope"] = call.scope
        return request

    def _url(self, path: str) -> httpx.URL:
        if path.startswith(("http://", "https://")):
            return self._safe(httpx.URL(path))
        return httpx.URL(f"{self.settings.address}/v2/{path}")

    def _safe(self, url: httpx.URL) -> httpx.URL:
        """Keep a URL the registry gave on TLS: behind a proxy that ends TLS, registries call themselves http."""
        own = httpx.URL(self.settings.address)
        if self.settings.plain or url.scheme == "https":
            return url
        if url.scheme == "http" and url.host == own.host:
            return url.copy_with(scheme="https", port=own.port)
        raise RegistryError("tls", f"{self.settings.host} leads to {url.host} without TLS")

    def _refusal(self, response: httpx.Response, doing: str) -> RegistryError:
        body = b"" if response.request.method == "HEAD" else self._body(response, doing)
        codes, said = _said(body)
        wait = retry_after(response.headers.get("retry-after", ""))
        error = from_status(self.settings.host, doing, response.status_code, said, retry_after=wait)
        error.codes = codes
        return error

    def _blamed(self, error: httpx.HTTPError) -> str:
        """Name the host that failed: the registry, or the token service or blob store it sent us to."""
        try:
            host = error.request.url.host
        except RuntimeError:
            return self.settings.host
        return self.settings.host if host == httpx.URL(self.settings.address).host else host

    def with_retries(self, work: Callable[[], T]) -> T:
        """Repeat `work` while its RegistryError is transient; raise the last one."""
        return retry(work, self._backoff)

    def _announce(self, error: RegistryError, seconds: float) -> None:
        if self._on_wait is not None:
            self._on_wait(f"{error}; again in {seconds:.2g} s")


def is_transient(error: RegistryError) -> bool:
    """Whether trying again can help: no answer, or one of the statuses that say "later"."""
    return error.status in _RETRIED or error.kind == "unreachable"


def _said(body: bytes) -> tuple[tuple[str, ...], str]:
    """Give the registry's codes and its message (distribution-spec: errors[].code and message), short and printable."""
    import json

    from multibuild.terminal import printable

    codes: tuple[str, ...] = ()
    try:
        errors = json.loads(body)["errors"]
        codes = tuple(str(error.get("code", "")) for error in errors)
        text = "; ".join(f"{error.get('code', '')} {error.get('message', '')}".strip() for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        text = body[:200].decode(errors="replace") if body.startswith(b"Client sent an HTTP request") else ""
    return codes, " ".join(printable(text).split())[:200]
