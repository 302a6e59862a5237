"""Token services (distribution token spec): where a challenge sends a login, the request for a token, its answer."""

from __future__ import annotations

import ipaddress
import json
import re
import socket
from collections.abc import Mapping
from typing import Any

import httpx

from multibuild.frozen import frozen
from multibuild.oci.access.answers import error_of_status
from multibuild.oci.access.challenges import Challenge
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.access.details import details_of
from multibuild.oci.access.proxies import parse_address
from multibuild.oci.errors import RegistryError
from multibuild.oci.registry_settings import is_loopback
from multibuild.terminal import printable

MAX_TOKEN_REDIRECTS = 5

# RFC 6750 section 2.1 allows less. A token that no header can hold would be shown in full by httpx's error.
_TOKEN = re.compile(r"[!-~]+\Z")
_UNENCODED = {"Accept-Encoding": "identity"}


@frozen
class Origin:
    """A server that asks for logins. `host` is its name in messages; `insecure`: configured without TLS.

    `led_by` is the registry that led to it, "" for the registry itself.
    """

    url: httpx.URL
    host: str
    insecure: bool
    led_by: str = ""

    @classmethod
    def of(cls, url: httpx.URL, led_by: str) -> Origin:
        """Return the origin of a URL that a registry led to."""
        return cls(url=url, host=_place(url), insecure=url.scheme == "http", led_by=led_by)

    @property
    def action(self) -> str:
        """What is done, for an error."""
        return f"logging in to {self.host}" + (f", to which {self.led_by} leads" if self.led_by else "")

    @property
    def key(self) -> tuple[str, bytes]:
        """What tells it from others."""
        return self.url.scheme, self.url.netloc

    def is_of(self, url: httpx.URL) -> bool:
        """Whether a URL has this origin, or is the same host with TLS, to which one without TLS often leads."""
        if url.raw_host != self.url.raw_host:
            return False
        is_upgrade = (self.url.scheme, url.scheme) == ("http", "https") and self.url.port is url.port is None
        return is_upgrade or (url.scheme, url.port) == (self.url.scheme, self.url.port)

    def token_service(self, challenge: Challenge) -> httpx.URL:
        """Return the realm of a challenge; RegistryError for one that may not get a login."""
        text = challenge.parameters.get("realm", "")
        try:
            return self.require_trusted(httpx.URL(text))
        except httpx.InvalidURL:
            raise self._no_service(text) from None

    def require_trusted(self, realm: httpx.URL) -> httpx.URL:
        """Return a realm with TLS, or without where the registry is insecure or both are on this machine.

        Behind a proxy that terminates TLS, registries name themselves with http: that becomes https. Raises
        RegistryError for any other realm.
        """
        if (
            realm.scheme not in {"http", "https"}
            or not realm.raw_host
            or realm.userinfo
            or not _is_name(realm)
            or is_of_machine(host_of(realm))
        ):
            raise self._no_service(str(realm))
        if realm.scheme == "https" or self.insecure:
            return realm
        if (
            self.url.scheme == "https"
            and realm.raw_host == self.url.raw_host
            and realm.port in {None, self.url.port}
        ):
            return realm.copy_with(scheme="https", port=self.url.port)
        if is_loopback(self.host) and is_loopback(realm.netloc.decode()):
            return realm
        raise RegistryError(
            "tls",
            f"{self.host} sends logins to {_place(realm)} without TLS",
            hint=f"if that is meant: registries: {{'{self.host}': {{insecure: true}}}}",
        )

    def _no_service(self, realm: str) -> RegistryError:
        where = f"'{printable(realm)[:100]}'" if "@" not in realm else "one with a user in it"
        return RegistryError(
            "invalid",
            f"{self.action}: its challenge names no token service: the realm is {where}, no address",
            hint="its operator has to set the address of its token service (realm) to https://HOST/PATH",
        )


def scopes_of(own: str, challenged: str) -> tuple[str, ...]:
    """Return the scopes of a token: those of the request, and first what the challenge asks for beyond them.

    Registries that serve others' repositories under their own names ask for the right one there; some services look
    at the first scope alone (go-containerregistry, transport/bearer.go).
    """
    needed = own.split()
    further = [scope for scope in challenged.split() if not any(_covers(other, scope) for other in needed)]
    return tuple(dict.fromkeys((*further, *needed)))


def token_request(
    realm: httpx.URL,
    challenge: Challenge,
    scopes: tuple[str, ...],
    login: Credentials | None,
    extensions: Mapping[str, Any],
) -> httpx.Request:
    """Return the request for a token; an identity token goes into a form (distribution, oauth)."""
    parameters = challenge.parameters
    service = {"service": parameters["service"]} if "service" in parameters else {}
    if login is not None and login.identity_token:
        form = {
            **service,
            "scope": " ".join(scopes),
            "grant_type": "refresh_token",
            "refresh_token": login.identity_token,
            "client_id": "multibuild",
        }
        return httpx.Request("POST", realm, data=form, headers=_UNENCODED, extensions=dict(extensions))
    # The realm may have a query already, which stays.
    url = realm.copy_merge_params(service)
    for scope in scopes:
        url = url.copy_add_param("scope", scope)
    headers = {**_UNENCODED, **({"Authorization": login.basic} if login is not None and login.basic else {})}
    return httpx.Request("GET", url, headers=headers, extensions=dict(extensions))


def follow_redirect(
    origin: Origin, response: httpx.Response, login: Credentials | None
) -> tuple[httpx.URL, Credentials | None]:
    """Return where a token service leads to, and the login that may go there: none to another host.

    An identity token is not left out but an error: without it there is nothing to ask for.
    """
    before = response.request.url
    after = origin.require_trusted(before.join(response.headers["location"]))
    stays = (before.raw_host, before.port, before.scheme) == (after.raw_host, after.port, after.scheme)
    if stays or (before.raw_host == after.raw_host and after.scheme == "https" and before.scheme == "http"):
        return after, login
    if login is not None and login.identity_token:
        raise RegistryError(
            "invalid",
            f"{origin.action}: its token service {_place(before)} leads to {_place(after)}, "
            "where the login does not go",
            hint="its operator has to name the right token service (realm)",
        )
    return after, None


def parse_token(origin: Origin, response: httpx.Response, login: Credentials | None) -> str:
    """Return the token of an answer; RegistryError with what the service says where there is none."""
    details = details_of(response.headers.get("content-type", ""), response.read()).text
    details = login.redact(details) if login is not None else details
    action = origin.action
    status = response.status_code
    if status in {401, 403, 408, 429} or status >= 500:
        # Not 404 and the like: "no such token" must not be mistaken for "no such tag".
        wait = response.headers.get("retry-after", "")
        raise error_of_status(
            origin.host, action, status, details, retry_after=wait, has_login=login is not None
        )
    token = _token_in(response.read()) if status == 200 else None
    if token is None:
        service = (
            "" if origin.url.raw_host == response.request.url.raw_host else f" {_place(response.request.url)}"
        )
        said = f"answers {status}{f': {details}' if details else ''}"
        raise RegistryError(
            "invalid",
            f"{action}: the token service{service} gave no token ({said})",
            hint=f"`docker login {origin.host}`",
            status=status if status != 404 else 0,
        )
    return token


def _token_in(body: bytes) -> str | None:
    try:
        document: Any = json.loads(body)
        token = document.get("token") or document.get("access_token")
    except (ValueError, AttributeError, RecursionError):
        return None
    return token if isinstance(token, str) and _TOKEN.match(token) else None


def _covers(scope: str, other: str) -> bool:
    """Whether a scope `TYPE:NAME:ACTIONS` has every action of another one."""
    name, _, actions = scope.rpartition(":")
    other_name, _, other_actions = other.rpartition(":")
    return name == other_name and set(other_actions.split(",")) <= set(actions.split(","))


def host_of(url: httpx.URL) -> str:
    """Return the host of a URL in ASCII: httpx's `host` raises idna.IDNAError for `xn--` before what is no IDN."""
    return url.raw_host.decode().strip("[]")


def _is_name(url: httpx.URL) -> bool:
    """Whether httpx can ask for a URL: it cannot for a host with `xn--` before what is no IDN."""
    try:
        return bool(url.host)
    except UnicodeError:
        return False


def is_of_machine(host: str) -> bool:
    """Whether it is an address that clouds give their metadata at (169.254.169.254), which no registry names."""
    address = parse_address(host) or _resolved(host)
    return address is not None and (address.is_link_local or address.is_unspecified or address.is_multicast)


def _resolved(host: str) -> ipaddress.IPv4Address | None:
    """Return the address that resolvers read in `2852039166` or `0xa9.254.43518` (inet_aton(3)); None for a name."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _place(url: httpx.URL) -> str:
    return printable(url.netloc.decode())[:100]
