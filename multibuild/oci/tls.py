"""Transport parts of the HTTP client: a bounded response stream, and TLS that is prepared on first use."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx

from multibuild.errors import EnvironmentFault
from multibuild.oci.errors import RegistryError

MAX_LOGIN_BYTES = 256 * 1024
"""Of a 401 or of a token service's response; tokens with many rights take some 10 KiB."""


class BoundedStream(httpx.SyncByteStream):
    """The response to a login; RegistryError where it is longer than MAX_LOGIN_BYTES."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, host: str) -> None:
        self._stream = stream
        self._host = host

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._stream, httpx.SyncByteStream)
        total = 0
        for chunk in self._stream:
            total += len(chunk)
            if total > MAX_LOGIN_BYTES:
                raise RegistryError(
                    "invalid", f"{self._host} answers a login with more than {MAX_LOGIN_BYTES} bytes"
                )
            yield chunk

    def close(self) -> None:
        """Close the connection."""
        if isinstance(self._stream, httpx.SyncByteStream):
            self._stream.close()


class LazyTlsTransport(httpx.BaseTransport):
    """A transport that loads the trusted certificates on first use."""

    def __init__(self, ca: Path | None, host: str) -> None:
        self._ca, self._host = ca, host
        self._transport: httpx.HTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; EnvironmentFault when the CA file is unusable."""
        if self._transport is None:
            self._transport = httpx.HTTPTransport(verify=tls_context(self._ca, self._host))
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
