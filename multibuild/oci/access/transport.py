"""Transport parts of the HTTP client: connections that make progress, bounded bodies, TLS prepared on first use."""

from __future__ import annotations

import functools
import ssl
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpcore
import httpx

from multibuild.errors import EnvironmentFault
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import HttpLimits

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
        return ProgressStream(self._backend.connect_tcp(*arguments, **options), self._limits)


def require_progress(client: httpx.Client, limits: HttpLimits) -> None:
    """Let every connection of a client, also one through a proxy, be a ProgressStream.

    httpcore has network backends for this, and httpx no argument that passes one.
    """
    for transport in (client._transport, *client._mounts.values()):  # noqa: SLF001 - see above
        if isinstance(transport, httpx.HTTPTransport):
            _require_progress(transport, limits)


def _require_progress(transport: httpx.HTTPTransport, limits: HttpLimits) -> None:
    pool = transport._pool  # noqa: SLF001 - see require_progress
    pool._network_backend = _ProgressBackend(pool._network_backend, limits)  # noqa: SLF001


class LazyTlsTransport(httpx.BaseTransport):
    """A transport that loads the trusted certificates on first use."""

    def __init__(self, ca: Path | None, host: str, limits: HttpLimits) -> None:
        self._ca, self._host, self._limits = ca, host, limits
        self._transport: httpx.HTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; EnvironmentFault when the CA file is unusable."""
        if self._transport is None:
            transport = httpx.HTTPTransport(verify=tls_context(self._ca, self._host))
            _require_progress(transport, self._limits)
            self._transport = transport
        return self._transport.handle_request(request)

    def close(self) -> None:
        """Close every connection."""
        if self._transport is not None:
            self._transport.close()


@functools.cache
def tls_context(ca: Path | None, host: str) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and `ca`; EnvironmentFault when `ca` is unusable.

    Plain http needs it too: the token service or blob store may have TLS.
    """
    context = ssl.create_default_context()
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            raise EnvironmentFault(
                f"registries.{host}.ca: {ca} is no usable certificate: {error.strerror or error}",
                hint="a PEM file",
            ) from error
    return context
