"""Transport parts of the HTTP client: connections that make progress, bounded bodies, TLS prepared on first use."""

from __future__ import annotations

import ssl
import threading
import time
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

from multibuild.oci.access.proxies import PORTS, Proxies, Proxy
from multibuild.oci.access.tls import tls_context
from multibuild.oci.access.token_service import host_of
from multibuild.oci.access.tunnels import TunnelBackend, proxy_authorization
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import HttpLimits
from multibuild.oci.registry_settings import RegistrySettings

MAX_LOGIN_BYTES = 256 * 1024
"""Of a 401 or of a token service's response, decoded; tokens with many rights take some 10 KiB."""

MAX_HEADER_BYTES = 256 * 1024
"""Before the end of an answer's headers, interim answers (1xx) included; h11 takes 100 KiB of one of them."""

MIN_CHUNK_BYTES = 8
"""On average, after MAX_SMALL_CHUNKS: each chunk costs some 20 µs, and single bytes minutes for 4 MiB. Servers that
encode JSON piece by piece send about 10."""

MAX_SMALL_CHUNKS = 10_000
"""Of any size: documents of 80 kB and fewer may come as they like."""

_WRITE_BYTES = 64 * 1024


class BoundedStream(httpx.SyncByteStream):
    """A body whose bytes are few enough and not in tiny pieces; RegistryError where it is otherwise.

    With `max_bytes` it is the response to a login, which httpx reads as a whole: it is decoded here.
    """

    def __init__(
        self,
        stream: httpx.SyncByteStream | httpx.AsyncByteStream,
        host: str,
        *,
        encoding: str = "",
        max_bytes: int | None = None,
    ) -> None:
        self._stream = stream
        self._host = host
        self._encoding = encoding
        self._max_bytes = max_bytes

    def __iter__(self) -> Iterator[bytes]:
        if self._max_bytes is None:
            return self._chunks()
        message = f"{self._host} answers a login"
        return decoded(self._chunks(), self._encoding, max_bytes=self._max_bytes, action=message)

    def _chunks(self) -> Iterator[bytes]:
        assert isinstance(self._stream, httpx.SyncByteStream)
        total = 0
        for count, chunk in enumerate(self._stream):
            total += len(chunk)
            if count > MAX_SMALL_CHUNKS and total < count * MIN_CHUNK_BYTES:
                raise RegistryError(
                    "invalid",
                    f"{self._host} sends {total} bytes in {count} pieces: fewer than {MIN_CHUNK_BYTES} each",
                )
            yield chunk

    def close(self) -> None:
        """Close the connection."""
        if isinstance(self._stream, httpx.SyncByteStream):
            self._stream.close()


def decoded(chunks: Iterable[bytes], encoding: str, *, max_bytes: int, action: str) -> Iterator[bytes]:
    """Yield a body without its content encoding; RegistryError for more than `max_bytes`, before they are in memory.

    httpx decodes a chunk at once, and one of 64 KiB may become 64 MiB.
    """
    inflate = zlib.decompressobj(32 + zlib.MAX_WBITS) if encoding in {"gzip", "deflate"} else None
    total = 0
    try:
        for chunk in chunks:
            piece = inflate.decompress(chunk, max_bytes + 1 - total) if inflate is not None else chunk
            total += len(piece)
            if total > max_bytes:
                raise RegistryError("invalid", f"{action} with more than {max_bytes} bytes")
            yield piece
    except zlib.error:
        raise RegistryError("invalid", f"{action} with broken {encoding}") from None


class ProgressStream(httpcore.NetworkStream):
    """A connection that must transfer `min_bytes_per_s` over each `window_s` of waiting; httpcore's timeouts otherwise.

    Their own limit is for the silence between two bytes, so that a byte a minute would do. Not counted: the time until
    the first byte of an answer, and that in which the caller does something else.
    """

    def __init__(self, stream: httpcore.NetworkStream, limits: HttpLimits) -> None:
        self._stream = stream
        self._limits = limits
        self._is_answering = False
        self._header_bytes = 0
        self._waited_s, self._bytes = 0.0, 0

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read some bytes. Raises httpcore.ReadTimeout, which httpx translates."""
        start = time.monotonic()
        data = self._stream.read(max_bytes, timeout)
        if self._is_answering and not self._has_progress(time.monotonic() - start, len(data)):
            raise httpcore.ReadTimeout(f"it sends fewer than {self._limits.min_bytes_per_s} bytes a second")
        self._is_answering = True
        self._header_bytes += len(data)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise httpcore.RemoteProtocolError(
                f"it sends more than {MAX_HEADER_BYTES} bytes before its answer"
            )
        return data

    def begin_body(self) -> None:
        """End the limit of header bytes: what follows is the body."""
        self._header_bytes = -(2**63)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write bytes; the first after an answer begin another request. Raises httpcore.WriteTimeout."""
        if self._is_answering:
            self._is_answering, self._header_bytes = False, 0
            self._waited_s, self._bytes = 0.0, 0
        for at in range(0, len(buffer), _WRITE_BYTES):
            piece = buffer[at : at + _WRITE_BYTES]
            start = time.monotonic()
            self._stream.write(piece, timeout)
            if not self._has_progress(time.monotonic() - start, len(piece)):
                raise httpcore.WriteTimeout(
                    f"it takes fewer than {self._limits.min_bytes_per_s} bytes a second"
                )

    def _has_progress(self, seconds: float, count: int) -> bool:
        self._waited_s += seconds
        self._bytes += count
        if self._waited_s < self._limits.window_s:
            return True
        is_fast = self._bytes >= self._waited_s * self._limits.min_bytes_per_s
        self._waited_s, self._bytes = 0.0, 0
        return is_fast

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """Return the connection with TLS; Python limits a handshake as a whole."""
        return ProgressStream(self._stream.start_tls(ssl_context, server_hostname, timeout), self._limits)

    def get_extra_info(self, info: str) -> Any:
        """Return what the connection knows of itself (httpcore, "Network Backends")."""
        return self._stream.get_extra_info(info)


class _ProgressBackend(httpcore.NetworkBackend):
    """Opens connections that must make progress."""

    def __init__(self, backend: httpcore.NetworkBackend, limits: HttpLimits) -> None:
        self._backend = backend
        self._limits = limits

    def connect_tcp(self, *arguments: Any, **options: Any) -> httpcore.NetworkStream:
        """Open a connection. Raises httpcore.ConnectError, ConnectTimeout."""
        try:
            stream = self._backend.connect_tcp(*arguments, **options)
        except UnicodeError:
            # Of Python's IDNA codec, which looks at every name before it is looked up.
            message = "Name or service not known: a part of it is empty or has more than 63 characters"
            raise httpcore.ConnectError(message) from None
        except OverflowError:
            raise httpcore.ConnectError("its port is none from 0 to 65535") from None
        return ProgressStream(stream, self._limits)


class RegistryTransport(httpx.BaseTransport):
    """Sends requests directly or through the proxy of the environment, each host with its TLS; thread-safe.

    Raises EnvironmentFault for an unusable proxy or certificate, httpx.ProxyError for a proxy that fails. The proxy is
    in the extensions of a request (`proxy`).
    """

    def __init__(self, settings: RegistrySettings, proxies: Proxies, limits: HttpLimits) -> None:
        self._settings, self._proxies, self._limits = settings, proxies, limits
        self._own = httpx.URL(settings.address)
        self._lock = threading.Lock()
        self._transports: dict[tuple[bool, bool, Proxy | None], httpx.HTTPTransport] = {}

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request."""
        url = request.url
        port = url.port or PORTS[url.scheme]
        proxy = self._proxies.of_url(url.scheme, host_of(url), port)
        request.extensions["proxy"] = proxy
        is_own = (url.scheme, url.raw_host, url.port) == (
            self._own.scheme,
            self._own.raw_host,
            self._own.port,
        )
        transport = self._transport(url.scheme == "https", is_own, proxy)
        try:
            return transport.handle_request(request)
        except (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout) as error:
            if proxy is None or url.scheme == "https" or proxy.is_socks:
                raise
            # Of a request that is not tunnelled, every connection is one to the proxy.
            raise httpx.ProxyError(str(error) or "it does not answer") from error

    def _transport(self, has_tls: bool, is_own: bool, proxy: Proxy | None) -> httpx.HTTPTransport:
        key = (has_tls, is_own and has_tls, proxy)
        with self._lock:
            if key not in self._transports:
                self._transports[key] = self._create(*key)
            return self._transports[key]

    def _create(self, has_tls: bool, is_own: bool, proxy: Proxy | None) -> httpx.HTTPTransport:
        """Create a transport; without TLS no certificate is loaded, which takes 30 ms."""
        tls = tls_context(self._settings, is_own=is_own) if has_tls else False
        if proxy is None or has_tls or proxy.is_socks:
            transport = httpx.HTTPTransport(verify=tls)
        else:
            transport = httpx.HTTPTransport(verify=tls, proxy=self._forwarding(proxy))
        pool = transport._pool  # noqa: SLF001 - httpcore has network backends, and httpx no argument that passes one
        backend: httpcore.NetworkBackend = _ProgressBackend(pool._network_backend, self._limits)  # noqa: SLF001
        if proxy is not None and (has_tls or proxy.is_socks):
            backend = TunnelBackend(backend, proxy, self._proxy_tls)
        pool._network_backend = backend  # noqa: SLF001 - see above
        return transport

    def _proxy_tls(self) -> ssl.SSLContext:
        """Return the context for a proxy with TLS: the authorities of the registry, and no client certificate."""
        return tls_context(self._settings, is_own=False)

    def _forwarding(self, proxy: Proxy) -> httpx.Proxy:
        authorization = proxy_authorization(proxy)
        headers = {"Proxy-Authorization": authorization.decode()} if authorization else {}
        context = self._proxy_tls() if proxy.scheme == "https" else None
        return httpx.Proxy(proxy.address, headers=headers, ssl_context=context)

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for transport in self._transports.values():
                transport.close()
