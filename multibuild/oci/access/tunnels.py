"""Connections through a proxy: HTTP's CONNECT (RFC 9110 section 9.3.6) and SOCKS 5 (RFC 1928, login of RFC 1929).

A SOCKS proxy resolves names, with `socks5` as with `socks5h`, as in Go's net/http. httpcore has CONNECT too, but names
an IPv6 address without its brackets, and an error there is not told from one of the registry's.
"""

from __future__ import annotations

import base64
import ipaddress
import ssl
import time
from collections.abc import Callable
from typing import Any

import httpcore

from multibuild.oci.access.proxies import Proxy

MAX_HEADER_BYTES = 64 * 1024
"""Of a proxy's answer to CONNECT."""


_VERSION, _CONNECT = 5, 1
_NO_LOGIN, _PASSWORD = 0, 2
_IPV4, _NAME, _IPV6 = 1, 3, 4
_MAX_TEXT = 255

_REPLIES = {
    1: "it fails",
    2: "it does not allow this host",
    3: "the network of this host cannot be reached",
    4: "this host cannot be reached",
    5: "this host refuses the connection",
    6: "this host is too far away",
    7: "it forwards no connections",
    8: "it takes no address of this kind",
}
"""RFC 1928 section 6."""


class TunnelBackend(httpcore.NetworkBackend):
    """Opens connections through a proxy. Raises httpcore.ProxyError alone: where this fails, it is the proxy.

    Its text is `STATUS REASON` where an HTTP proxy refused. `proxy_tls` returns the context for a proxy with TLS.
    """

    def __init__(
        self, backend: httpcore.NetworkBackend, proxy: Proxy, proxy_tls: Callable[[], ssl.SSLContext]
    ) -> None:
        self._backend = backend
        self._proxy = proxy
        self._proxy_tls = proxy_tls

    def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *arguments: Any, **options: Any
    ) -> httpcore.NetworkStream:
        """Open a connection to `host` behind the proxy; the talk with the proxy takes `timeout` in all."""
        proxy, deadline = self._proxy, None if timeout is None else time.monotonic() + timeout
        try:
            stream = self._backend.connect_tcp(proxy.host, proxy.port, timeout, *arguments, **options)
            try:
                if proxy.scheme == "https":
                    stream = stream.start_tls(self._proxy_tls(), proxy.host, timeout)
                talk = _Talk(stream, deadline)
                if proxy.is_socks:
                    _open_socks(talk, proxy.login, host, port)
                else:
                    _connect(talk, proxy, host, port)
            except BaseException:
                stream.close()
                raise
        except httpcore.ProxyError:
            raise
        except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise httpcore.ProxyError(str(error) or "it does not answer") from error
        return stream


class _Talk:
    """A conversation with a proxy. Raises httpcore.ProxyError for its end, ConnectTimeout after the deadline."""

    def __init__(self, stream: httpcore.NetworkStream, deadline: float | None) -> None:
        """`deadline` is of time.monotonic; None for none."""
        self._stream = stream
        self._deadline = deadline

    def write(self, data: bytes) -> None:
        """Write all bytes."""
        self._stream.write(data, self._rest_s())

    def read(self, count: int) -> bytes:
        """Read exactly so many bytes."""
        data = b""
        while len(data) < count:
            data += self._read_some(count - len(data))
        return data

    def read_until(self, end: bytes, max_bytes: int) -> bytes:
        """Read up to `end` and nothing after it: what follows is for another reader."""
        data = bytearray()
        while not data.endswith(end):
            # At least as many bytes are missing as of `end` the last ones are not there yet.
            missing = next(n for n in range(1, len(end) + 1) if data.endswith(end[: len(end) - n]))
            data += self._read_some(missing)
            if len(data) > max_bytes:
                raise httpcore.ProxyError(f"it answers with more than {max_bytes} bytes")
        return bytes(data)

    def _read_some(self, count: int) -> bytes:
        data = self._stream.read(count, self._rest_s())
        if not data:
            raise httpcore.ProxyError("it closes the connection")
        return data

    def _rest_s(self) -> float | None:
        if self._deadline is None:
            return None
        rest = self._deadline - time.monotonic()
        if rest <= 0:
            raise httpcore.ConnectTimeout("it does not answer in time")
        return rest


def proxy_authorization(proxy: Proxy) -> bytes | None:
    """Return the header that logs in to an HTTP proxy, None without a login."""
    return None if proxy.login is None else b"Basic " + base64.b64encode(b":".join(proxy.login))


def _connect(talk: _Talk, proxy: Proxy, host: str, port: int) -> None:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    authorization = proxy_authorization(proxy)
    lines = [f"CONNECT {target} HTTP/1.1".encode(), b"Host: " + target.encode()]
    lines += [b"Proxy-Authorization: " + authorization] if authorization else []
    talk.write(b"\r\n".join((*lines, b"", b"")))
    head = talk.read_until(b"\r\n\r\n", MAX_HEADER_BYTES)
    version, _, rest = head.split(b"\r\n", 1)[0].partition(b" ")
    status, _, reason = rest.partition(b" ")
    if not version.startswith(b"HTTP/") or len(status) != 3 or not status.isdigit():
        raise httpcore.ProxyError("it does not speak HTTP")
    if not status.startswith(b"2"):
        raise httpcore.ProxyError(f"{status.decode()} {reason.decode(errors='replace')}".strip())


def _open_socks(talk: _Talk, login: tuple[bytes, bytes] | None, host: str, port: int) -> None:
    """Ask a proxy for a connection to `host`; raises httpcore.ProxyError where it refuses."""
    _log_in(talk, login)
    _ask_for(talk, host, port)


def _log_in(talk: _Talk, login: tuple[bytes, bytes] | None) -> None:
    methods = [_NO_LOGIN] if login is None else [_NO_LOGIN, _PASSWORD]
    talk.write(bytes([_VERSION, len(methods), *methods]))
    version, method = talk.read(2)
    if version != _VERSION:
        raise httpcore.ProxyError("it speaks no SOCKS 5")
    if method == _NO_LOGIN:
        return
    if method != _PASSWORD or login is None:
        raise httpcore.ProxyError("it wants a login" if login is None else "it takes no login by password")
    name, password = login
    if max(len(name), len(password)) > _MAX_TEXT:
        raise httpcore.ProxyError(f"its login has more than {_MAX_TEXT} bytes")
    talk.write(bytes([1, len(name)]) + name + bytes([len(password)]) + password)
    if talk.read(2)[1] != 0:
        raise httpcore.ProxyError("it refuses the login")


def _ask_for(talk: _Talk, host: str, port: int) -> None:
    talk.write(bytes([_VERSION, _CONNECT, 0]) + _address(host) + port.to_bytes(2, "big"))
    version, reply, _, kind = talk.read(4)
    if version != _VERSION:
        raise httpcore.ProxyError("it speaks no SOCKS 5")
    if reply:
        raise httpcore.ProxyError(_REPLIES.get(reply, f"it fails with {reply}"))
    length = {_IPV4: 4, _IPV6: 16}.get(kind)
    talk.read((talk.read(1)[0] if length is None else length) + 2)


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        name = host.encode()
        if len(name) > _MAX_TEXT:
            raise httpcore.ProxyError("this name is too long for it") from None
        return bytes([_NAME, len(name)]) + name
    return bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed
