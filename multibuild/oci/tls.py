"""What answers come through: bounded where httpx reads them by itself, over TLS made ready when it is needed."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx

from multibuild.errors import EnvironmentFault
from multibuild.oci.errors import RegistryError

LOGIN_LIMIT = 256 * 1024
"""Bytes of a refusal, or of what a token service answers; tokens with many rights take some 10 KiB."""


class Bounded(httpx.SyncByteStream):
    """An answer to a login, which is short."""

    def __init__(self, stream: httpx.SyncByteStream | httpx.AsyncByteStream, host: str) -> None:
        self._stream = stream
        self._host = host

    def __iter__(self) -> Iterator[bytes]:
        assert isinstance(self._stream, httpx.SyncByteStream)
        total = 0
        for chunk in self._stream:
            total += len(chunk)
            if total > LOGIN_LIMIT:
                raise RegistryError(
                    "invalid", f"{self._host} answers a login with more than {LOGIN_LIMIT} bytes"
                )
            yield chunk

    def close(self) -> None:
        """Let go of the connection."""
        if isinstance(self._stream, httpx.SyncByteStream):
            self._stream.close()


class TlsLater(httpx.BaseTransport):
    """A transport that reads the certificates it trusts when it is first needed."""

    def __init__(self, ca: Path | None, host: str) -> None:
        self._ca, self._host = ca, host
        self._made: httpx.HTTPTransport | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request; EnvironmentFault when the CA file is unusable."""
        if self._made is None:
            self._made = httpx.HTTPTransport(verify=trust(self._ca, self._host))
        return self._made.handle_request(request)

    def close(self) -> None:
        """Close every connection."""
        if self._made is not None:
            self._made.close()


@functools.cache
def trust(ca: Path | None, host: str) -> ssl.SSLContext:
    """Trust the system's authorities, also beside plain http: the token service or blob store may have TLS."""
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
