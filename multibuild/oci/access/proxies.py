"""Proxies of the environment, read as Go's programs read them (golang.org/x/net/http/httpproxy).

HTTP_PROXY, HTTPS_PROXY and NO_PROXY, or their small forms where those are empty. ALL_PROXY is not read. A value of a
proxy may hold a password: no message shows one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import field
from typing import TypeAlias
from urllib.parse import unquote_to_bytes

from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
"""The schemes of a proxy and their ports (net/http transport.go, portMap)."""

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://")
_CIDR = re.compile(r"([0-9a-f:.]{2,45})/([0-9]{1,3})\Z")
_NO_HOST = re.compile(r"[\s\x00-\x20\x7f\"'<>\\^`{|}%\[\]@,;:]")
_NUMBERS = re.compile(r"[0-9]+(?:\.[0-9]+){3}\Z")
_BAD_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x20\x7f\ud800-\udfff]")


@frozen
class Proxy:
    """A proxy. `variable` is where it is from; `login` is name and password, decoded."""

    variable: str
    scheme: str
    host: str
    port: int
    login: tuple[bytes, bytes] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Scheme, host and port, without the login."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"

    @property
    def is_socks(self) -> bool:
        """Whether it forwards connections, not requests."""
        return self.scheme.startswith("socks")


@frozen
class Proxies:
    """The proxies of an environment. `is_cgi`: requests of others can set HTTP_PROXY (httpoxy)."""

    http: tuple[str, str] = ("HTTP_PROXY", "")
    https: tuple[str, str] = ("HTTPS_PROXY", "")
    no_proxy: str = ""
    is_cgi: bool = False

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Proxies:
        """Read an environment, without checking what it holds."""
        return cls(
            http=_variable(environ, "HTTP_PROXY"),
            https=_variable(environ, "HTTPS_PROXY"),
            no_proxy=_variable(environ, "NO_PROXY")[1],
            is_cgi=bool(environ.get("REQUEST_METHOD")),
        )

    def of_url(self, scheme: str, host: str, port: int) -> Proxy | None:
        """Return the proxy for a server, None for a direct connection; `host` is ASCII, and an IPv6 has no brackets.

        Raises EnvironmentFault for a proxy that the server would need and that is unusable. Go connects without it,
        which is a request past a proxy that someone meant to be there.
        """
        variable, value = self.https if scheme == "https" else self.http
        if not value or is_direct(host) or is_excluded(self.no_proxy, host, port):
            return None
        if scheme == "http" and self.is_cgi:
            raise EnvironmentFault(
                f"{variable} is not used where REQUEST_METHOD is set: who calls a CGI program can set it",
                hint="unset REQUEST_METHOD, or the proxy",
            )
        return parse_proxy(variable, value)


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str]:
    names = (name, name.lower())
    return next(((name, environ[name]) for name in names if environ.get(name)), (name, ""))


def parse_proxy(variable: str, value: str) -> Proxy:
    """Parse `[SCHEME://][USER:PASSWORD@]HOST[:PORT]`, http without a scheme; EnvironmentFault for another form."""
    scheme, rest = "http", value
    if match := _SCHEME.match(value):
        scheme, rest = match[1].lower(), value[match.end() :]
    authority, _, path = _parts(rest)
    user, at, place = authority.rpartition("@")
    if scheme not in PORTS:
        raise _fault(variable, "its scheme is none of http, https, socks5 and socks5h")
    if _CONTROL.search(value):
        raise _fault(variable, "there is a space or a control character in it")
    if "@" in path or _BAD_ESCAPE.search(user):
        raise _fault(variable, "special characters of its password are not encoded")
    host, port = _host_and_port(variable, place)
    name, _, password = user.partition(":")
    login = (unquote_to_bytes(name), unquote_to_bytes(password)) if at else None
    return Proxy(variable=variable, scheme=scheme, host=host, port=port or PORTS[scheme], login=login)


def _parts(text: str) -> tuple[str, str, str]:
    end = next((position for position, letter in enumerate(text) if letter in "/?#"), len(text))
    return text[:end], text[end : end + 1], text[end + 1 :]


def _host_and_port(variable: str, place: str) -> tuple[str, int]:
    """Return host and port, 0 for none."""
    if place.startswith("["):
        host, bracket, after = place[1:].partition("]")
        if not bracket or parse_address(host.partition("%25")[0]) is None or after[:1] not in {"", ":"}:
            raise _fault(variable, "what is in brackets is no IPv6 address")
        host, port = host.replace("%25", "%", 1), after[1:]
    else:
        name, _, port = place.partition(":")
        try:
            host = name.encode("idna").decode()
        except UnicodeError:  # also where a part of it is empty or too long, which no resolver takes
            host = ""
        if not host or _NO_HOST.search(host) or (_NUMBERS.match(host) and parse_address(host) is None):
            raise _fault(variable, "it names no host")
    if port and not (port.isascii() and port.isdecimal() and len(port) <= 5 and 0 < int(port) <= 65535):
        raise _fault(variable, "its port is no number from 1 to 65535")
    return host, int(port or 0)


def _fault(variable: str, reason: str) -> EnvironmentFault:
    return EnvironmentFault(
        f"{variable} is no address of a proxy: {reason}",
        # Not as it is written: USER:PASSWORD@HOST would be taken for a secret, and left out.
        hint="write http://HOST:PORT, and before the host of one with a login USER:PASSWORD and an @, where @ : / # of "
        f"the password are %40 %3A %2F %23; or unset {variable}",
    )


def is_direct(host: str) -> bool:
    """Whether a host is this machine, which no proxy is asked for."""
    address = parse_address(host)
    return host == "localhost" or (address is not None and address.is_loopback)


def is_excluded(no_proxy: str, host: str, port: int) -> bool:
    """Whether NO_PROXY excludes a server.

    Its entries are separated by commas: `*`, an address or a network, or a name, which stands for those below it too
    and with a dot before it for those alone. Name and address may have a port. What is none of these is no entry: so
    is an IPv6 address in brackets without a port.
    """
    address = parse_address(host)
    return any(_matches(entry, host.lower(), port, address) for entry in _entries(no_proxy))


def _entries(no_proxy: str) -> tuple[str, ...]:
    entries = tuple(entry.strip().lower() for entry in no_proxy.split(","))
    return ("*",) if "*" in entries else tuple(filter(None, entries))


def _matches(entry: str, host: str, port: int, address: _Address | None) -> bool:
    if entry == "*":
        return True
    network = _parse_network(entry)
    if network is not None:
        return address is not None and address.version == network.version and address in network
    name, entry_port = _split_port(entry)
    if not name or entry_port not in {"", str(port)}:
        return False
    entry_address = parse_address(name) if "%" not in name else None
    if address is not None or entry_address is not None:
        return address is not None and entry_address == address
    return _is_below(host, _ascii(name))


def _is_below(host: str, name: str) -> bool:
    """Whether a host is below a domain; `name` without a dot before it is also itself."""
    name = name.removeprefix("*") if name.startswith("*.") else name
    return host.endswith(name if name.startswith(".") else f".{name}") or host == name


def _ascii(name: str) -> str:
    """Return a name in the form that URLs have; as it is if it has none."""
    if name.isascii():
        return name
    try:
        dot = "." if name.startswith(".") else ""
        return dot + name.removeprefix(".").encode("idna").decode()
    except UnicodeError:
        return name


def _split_port(entry: str) -> tuple[str, str]:
    """Return the name and the port of an entry; the whole entry and no port where it has none (Go's SplitHostPort)."""
    host, colon, port = entry.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        inner = host[1:-1]
        return (inner, port) if colon and not set(inner) & set("[]") else (entry, "")
    return (host, port) if colon and not set(host) & set(":[]") and "]" not in port else (entry, "")


def parse_address(text: str) -> _Address | None:
    """Return an IP address, None for what is none; that of IPv4 for `::ffff:10.1.2.3`."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _parse_network(text: str) -> _Network | None:
    """Return a network in CIDR form, None for what is none."""
    match = _CIDR.match(text)
    try:
        address = ipaddress.ip_address(match[1]) if match else None
        if match is None or address is None:
            return None
        prefix = int(match[2])
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        if mapped is not None and prefix >= 96:
            address, prefix = mapped, prefix - 96
        return ipaddress.ip_network((address, prefix), strict=False)
    except ValueError:
        return None
