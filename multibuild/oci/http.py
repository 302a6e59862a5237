"""HTTP requests to one registry: retries, redirects, limits of time and size, and errors with a message."""

from __future__ import annotations

import copy
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import field
from typing import TypeVar

import httpx

from multibuild import __version__
from multibuild.frozen import frozen
from multibuild.oci.access.auth import RegistryAuth
from multibuild.oci.access.connection_errors import error_of_proxy, error_of_transport
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.access.proxies import Proxies, Proxy
from multibuild.oci.access.refusals import Refusals
from multibuild.oci.access.tls import tls_context
from multibuild.oci.access.token_service import host_of, is_of_machine
from multibuild.oci.access.transport import (
    MAX_LOGIN_BYTES,
    BoundedStream,
    ProgressStream,
    RegistryTransport,
    decoded,
)
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import READ_LIMITS, Budget
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.redact import redacted_url
from multibuild.retry_calls import Backoff, retry
from multibuild.terminal import printable

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 4 * 1024 * 1024
"""Of a response held in memory; for manifests the size the distribution-spec asks registries to accept."""

MAX_REDIRECTS = 5
_ENCODINGS = frozenset({"", "identity", "gzip", "deflate"})
_TRANSIENT = frozenset({408, 429, 500, 502, 503, 504, 520, 521, 522, 523, 524})
"""The last are Cloudflare's for a registry that does not answer it."""

T = TypeVar("T")


@frozen
class RetryPolicy:
    """Tries per request and waits in seconds; Retry-After is obeyed up to `max_wait_s`.

    Without any connection, retries end after `unreachable_s`: a mistyped name or a registry that is not running is
    reported at once.
    """

    tries: int = 5
    initial_wait_s: float = 0.5
    max_wait_s: float = 60.0
    unreachable_s: float = 3.0


DEFAULT_RETRIES = RetryPolicy()

PUBLISH_RETRIES = RetryPolicy(unreachable_s=15.0)
"""After hours of building: waits for a registry that is being restarted."""


@frozen
class Request:
    """A request. `path` is below `/v2/`, or a URL from the registry; `action` describes the request in errors."""

    method: str
    path: str
    scope: str
    action: str
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Iterator[bytes] | None = None
    allow_status: frozenset[int] = frozenset()


@frozen
class Response:
    """A response with its body. `url` is the final one after redirects, `next_page` the Link of a list."""

    status: int
    headers: httpx.Headers
    url: httpx.URL
    content: bytes
    next_page: str | None


class HttpClient:
    """One registry's connection pool; thread-safe. Methods raise RegistryError."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        read_login: Callable[[], Credentials | None] = lambda: None,
        retry: RetryPolicy = DEFAULT_RETRIES,
        on_wait: Callable[[str], None] | None = None,
        budget: Budget | None = None,
        proxies: Proxies | None = None,
    ) -> None:
        """Prepare without connecting; EnvironmentFault when the certificates or the login are unusable.

        `budget` is that of the command, which the clients of several registries share; `proxies` are those of the
        environment.
        """
        self.settings = settings
        self.budget = budget or Budget(READ_LIMITS)
        self.retry = retry
        self._on_wait = on_wait
        self._backoff = self._backoff_of(retry)
        limits = self.budget.limits
        self._timeout = httpx.Timeout(limits.idle_s, connect=limits.connect_s)
        # A registry over an object store copies a large blob once more before it responds.
        self._upload_timeout = httpx.Timeout(
            limits.idle_s, connect=limits.connect_s, read=limits.upload_idle_s
        )
        if not settings.is_plain_http:
            tls_context(settings)
        auth = RegistryAuth(settings.address, settings.host, read_login, insecure=settings.insecure)
        self._refusals = Refusals(settings, auth)
        self._client = httpx.Client(
            auth=auth,
            transport=RegistryTransport(
                settings, Proxies.of(os.environ) if proxies is None else proxies, limits
            ),
            timeout=self._timeout,
            # The bytes must match the digest, so no encoding.
            headers={"User-Agent": f"multibuild/{__version__}", "Accept-Encoding": "identity"},
            follow_redirects=False,
            event_hooks={"response": [self._limit]},
            # httpx reads proxies unlike Go's programs, and logins from ~/.netrc, which docker does not.
            trust_env=False,
        )

    def _backoff_of(self, retry: RetryPolicy) -> Backoff[RegistryError]:
        return Backoff(
            error=RegistryError,
            is_transient=is_transient,
            attempts=retry.tries,
            initial=retry.initial_wait_s,
            max=retry.max_wait_s,
            requested_wait=lambda error: error.retry_after,
            time_limit=lambda error: None if error.connected else retry.unreachable_s,
            before_wait=self._announce,
        )

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def with_policy(self, retry: RetryPolicy) -> HttpClient:
        """Return a client of the same connections, logins and limits that repeats requests by another policy."""
        other = copy.copy(self)
        other.retry = retry
        other._backoff = self._backoff_of(retry)  # noqa: SLF001 - a copy of this one
        return other

    def send(self, request: Request) -> Response:
        """Send a request and read its response, with retries; a body that is a stream is sent once only."""
        if request.content is None or isinstance(request.content, bytes):
            return self.with_retries(lambda: self._send_once(request))
        return self._send_once(request)

    def _send_once(self, request: Request) -> Response:
        with self.open(request) as response:
            content = self._read_body(response, request.action)
            self._refusals.require_no_page(request.action, response, content)
            return Response(
                status=response.status_code,
                headers=response.headers,
                url=response.url,
                content=content,
                next_page=response.links.get("next", {}).get("url"),
            )

    def _limit(self, response: httpx.Response) -> None:
        """Limit a response before it is read; httpx itself reads the whole response to a login.

        A few bytes of zstd, or of gzip within gzip, become gigabytes, and no encoding was requested.
        """
        connection, host = response.extensions.get("network_stream"), host_of(response.url)
        if isinstance(connection, ProgressStream):
            connection.begin_body()
        encoding = encoding_of(response.headers)
        if encoding not in _ENCODINGS:
            raise RegistryError("invalid", f"{host} answers in the encoding {encoding[:40]}")
        if response.status_code == 401 or "scope" not in response.request.extensions:
            response.headers.pop("content-encoding", None)
            response.stream = BoundedStream(
                response.stream, host, encoding=encoding, max_bytes=MAX_LOGIN_BYTES
            )
        else:
            response.stream = BoundedStream(response.stream, host)

    def _read_body(self, response: httpx.Response, action: str) -> bytes:
        sender = f"{action}: {self.settings.host} answers"
        chunks = decoded(
            response.iter_raw(), encoding_of(response.headers), max_bytes=MAX_BODY_BYTES, action=sender
        )
        return b"".join(chunks)

    @contextmanager
    def open(self, request: Request) -> Iterator[httpx.Response]:
        """Send a request once and yield its response unread; GET and HEAD follow redirects."""
        start = time.monotonic()
        try:
            response = self._send_following(request)
            try:
                if not 200 <= response.status_code < 300 and response.status_code not in request.allow_status:
                    raise self._error(response, request.action)
                yield response
            finally:
                response.close()
        except httpx.HTTPError as error:
            self.budget.add_waiting(time.monotonic() - start, self._name(request))
            raise self._transport_error(request, error) from error
        except httpx.InvalidURL as error:
            message = f"{request.action}: {self.settings.host} leads to no URL, or is none"
            raise RegistryError(
                "invalid", message, hint="is it a registry, and is its name right?"
            ) from error

    def _send_following(self, request: Request) -> httpx.Response:
        """Send a request and return the response after redirects; RegistryError for more than MAX_REDIRECTS."""
        url = self._url(request.path)
        for _ in range(MAX_REDIRECTS + 1):
            try:
                response = self._send(self._build(request, url))
            except UnicodeError as error:
                # idna.IDNAError: httpx decodes hosts that begin with `xn--`, of a Location also if it is not followed.
                raise httpx.InvalidURL(str(error)) from error
            if not response.has_redirect_location or request.method not in {"GET", "HEAD"}:
                return response
            response.close()
            url = self._redirected(response)
        raise RegistryError(
            "invalid",
            f"{self._name(request)}: {self.settings.host} redirects more than {MAX_REDIRECTS} times",
        )

    def _send(self, request: httpx.Request) -> httpx.Response:
        url = redacted_url(str(request.url))
        self.budget.add_request(f"{request.method} {url}")
        start, outcome = time.monotonic(), "no response"
        try:
            response = self._client.send(request, stream=True)
            outcome = str(response.status_code)
            return response
        finally:
            logger.info("%s %s: %s in %.2f s", request.method, url, outcome, time.monotonic() - start)

    def _build(self, request: Request, url: httpx.URL) -> httpx.Request:
        streamed = not (request.content is None or isinstance(request.content, bytes))
        http_request = self._client.build_request(
            request.method,
            url.copy_merge_params(request.query) if request.query else url,
            headers=dict(request.headers),
            content=request.content,
            timeout=self._upload_timeout if streamed else self._timeout,
        )
        http_request.extensions["scope"] = request.scope
        return http_request

    def _url(self, path: str) -> httpx.URL:
        if path.startswith(("http://", "https://")):
            return self._require_tls(httpx.URL(path))
        return httpx.URL(f"{self.settings.address}/v2/{path}")

    def _require_tls(self, url: httpx.URL) -> httpx.URL:
        """Return a registry's URL with https: behind a proxy that terminates TLS, registries send http URLs.

        Raises RegistryError for another host without TLS, and for a URL that is not of the web, such as a file's, or at
        an address of a machine's own, such as that of a cloud's metadata.
        """
        own = httpx.URL(self.settings.address)
        place = _wrong_place(url, own)
        if place:
            raise RegistryError(
                "invalid",
                f"{self.settings.host} leads to {place}",
                hint="no registry for people does that: is it the right one?",
            )
        if self.settings.is_plain_http or url.scheme == "https":
            return url
        if url.scheme == "http" and url.raw_host == own.raw_host:
            return url.copy_with(scheme="https", port=own.port)
        raise RegistryError("tls", f"{self.settings.host} leads to {host_of(url)} without TLS")

    def _redirected(self, response: httpx.Response) -> httpx.URL:
        """Return where a response redirects to; RegistryError for a place without TLS after one with it."""
        url = self._require_tls(response.url.join(response.headers["location"]))
        if response.url.scheme == "https" and url.scheme == "http":
            raise RegistryError("tls", f"{host_of(response.url)} leads to {host_of(url)} without TLS")
        return url

    def own_url(self, url: str) -> str | None:
        """Return a URL that the registry gave if it is of its own origin, else None.

        A server in front of it that leaves the port out of `Host` makes it name itself without one: that is added.
        Raises RegistryError for a URL that it may not give.
        """
        own, other = httpx.URL(self.settings.address), self._require_tls(httpx.URL(url))
        if other.port is None and (own.scheme, own.raw_host) == (other.scheme, other.raw_host):
            other = other.copy_with(port=own.port)
        is_own = (own.scheme, own.raw_host, own.port) == (other.scheme, other.raw_host, other.port)
        return str(other) if is_own else None

    def _name(self, request: Request) -> str:
        """Return a request for an error: what for, method and path."""
        path = redacted_url(request.path) if "://" in request.path else f"/v2/{request.path}"
        return f"{request.action} ({request.method} {printable(path)[:200]})"

    def _error(self, response: httpx.Response, action: str) -> RegistryError:
        body = b"" if response.request.method == "HEAD" else self._read_body(response, action)
        return self._refusals.error(action, response, body)

    def _transport_error(self, request: Request, error: httpx.HTTPError) -> RegistryError:
        host, limits = self._failed_host(error), self.budget.limits
        if isinstance(error, httpx.ProxyError):
            proxy: Proxy | None = error.request.extensions.get("proxy")
            if proxy is not None:
                return error_of_proxy(proxy, host, request.action, str(error))
        if not isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
            return error_of_transport(host, request.action, error)
        text = str(error)
        if not text.startswith("it "):  # the message of ProgressStream; others are of sockets
            idle = limits.idle_s if isinstance(request.content, bytes | None) else limits.upload_idle_s
            text = f"no answer within {idle:g} s"
        return RegistryError(
            "unreachable",
            f"{self._name(request)}: {host} is too slow: {text}",
            hint="try again, or when the network is better",
        )

    def _failed_host(self, error: httpx.HTTPError) -> str:
        """Return the host that failed: the registry, or a token service or blob store it redirected to."""
        try:
            host = host_of(error.request.url)
        except RuntimeError:
            return self.settings.host
        return self.settings.host if host == host_of(httpx.URL(self.settings.address)) else host

    def with_retries(self, work: Callable[[], T]) -> T:
        """Repeat `work` while its RegistryError is transient; raise the last one."""
        return retry(work, self._backoff)

    def _announce(self, error: RegistryError, seconds: float) -> None:
        self.budget.add_waiting(seconds, error.message)
        if self._on_wait is not None:
            self._on_wait(f"{error}; again in {seconds:.2g} s")


def _wrong_place(url: httpx.URL, own: httpx.URL) -> str:
    """Return where a URL leads that no registry may lead to, in words; empty for any other."""
    if not url.raw_host or url.scheme not in {"http", "https"}:
        place = f"a {url.scheme[:40]}: address" if url.scheme else "no host"
        return f"{place}, not to one of http or https"
    if url.raw_host != own.raw_host and is_of_machine(host_of(url)):
        return f"{host_of(url)}, an address of a machine's own"
    return ""


def is_transient(error: RegistryError) -> bool:
    """Whether a retry can help: no response, or a transient status."""
    return error.status in _TRANSIENT or error.kind == "unreachable"


def encoding_of(headers: httpx.Headers) -> str:
    """Return the content encoding; `x-gzip` is gzip (RFC 9110 section 8.4.1.3), `aws-chunked` one of S3's uploads."""
    names = str(headers.get("content-encoding", "")).lower().split(",")
    kept = [name.strip().removeprefix("x-") for name in names if name.strip() not in {"", "aws-chunked"}]
    return ", ".join(kept)
