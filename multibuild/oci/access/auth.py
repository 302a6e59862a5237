"""Answer a registry's challenge: Basic, or Bearer with a token per scope (distribution token spec)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from typing import TypeAlias

import httpx

from multibuild.oci.access.challenges import (
    MAX_CHALLENGE_BYTES,
    Challenge,
    challenge_header,
    choose_challenge,
    parse_challenges,
)
from multibuild.oci.access.credentials import Credentials, Login
from multibuild.oci.access.token_service import (
    MAX_TOKEN_REDIRECTS,
    Origin,
    follow_redirect,
    parse_token,
    scopes_of,
    token_request,
)
from multibuild.oci.access.transport import MAX_LOGIN_BYTES, BoundedStream
from multibuild.oci.errors import RegistryError

_NO_FORMS = frozenset({404, 405})
"""Answers of token services that take no form: "Not all token servers implement oauth2" (distribution, oauth)."""

_Requests: TypeAlias = Generator[httpx.Request, httpx.Response, httpx.Response]


def scope_of(method: str, repository: str, *, mounted_from: str = "") -> str:
    """Return the scope of a request (distribution token spec); a mount also reads the repository it mounts from."""
    actions = {"GET": "pull", "HEAD": "pull", "DELETE": "pull,push,delete"}.get(method, "pull,push")
    source = f" repository:{mounted_from}:pull" if mounted_from else ""
    return f"repository:{repository}:{actions}{source}"


class RegistryAuth(httpx.Auth):
    """Answers a refusal once per request; tokens are kept by login and scope and shared between threads.

    A login is sent only to the registry's own origin and to the token service it names; a host that it redirects to
    gets an anonymous token. Needs a client that follows no redirects: an identity token is part of a request's body.
    """

    def __init__(
        self, origin: str, host: str, read_login: Callable[[], Credentials | None], *, insecure: bool
    ) -> None:
        """`origin` is the registry's address; `insecure`: configured without TLS, so its token service needs none."""
        self._origin = Origin(url=httpx.URL(origin), host=host, insecure=insecure)
        self._login = Login(read_login)
        self._basic = False
        self._version_challenge: Challenge | None = None
        self._has_asked_version = False
        self._tokens: dict[tuple[tuple[str, bytes], Credentials | None, str], str] = {}
        self._lock = threading.Lock()

    @property
    def login(self) -> Credentials | None:
        """The login of the registry, None without one."""
        return self._login.current()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, answering one challenge. Raises RegistryError when the service returns no token."""
        is_own = self._origin.is_of(request.url)
        # Another host, such as a blob store or a mirror, must not get the registry's login.
        origin = self._origin if is_own else Origin.of(request.url, self._origin.host)
        scope = str(request.extensions.get("scope", ""))
        login = self._login.current() if is_own else None
        self._apply(request, origin, scope, login)
        response = yield request
        if not isinstance(request.stream, httpx.ByteStream):
            return  # an upload, which can be read once: it is begun again by another request, with its own challenge
        before = request.headers.get("Authorization")
        # httpx returns the last response that it sends here: after any other request this one must be sent again.
        is_last = True
        challenge = self._challenge(origin, response)
        if challenge is None and login is not None and _may_hide(request, response):
            is_last = self._has_asked_version
            if not is_last:
                yield from self._ask_version(request, response)
            challenge = self._version_challenge
        if challenge is None:
            if not is_last:
                yield request
            return
        if login is not None and login.registry_token and (challenge.scheme == "bearer" or not login.basic):
            login = self._given_token(request, login, scope)
        elif challenge.scheme == "bearer":
            is_last = False
            login = yield from self._authorize(request, origin, challenge, login)
        else:
            login = self._basic_login(request, login) if is_own else None
            self._basic = self._basic or login is not None
        if login is not None or challenge.scheme == "bearer":
            self._apply(request, origin, scope, login)
        if not is_last or request.headers.get("Authorization") != before:
            yield request

    def _ask_version(
        self, request: httpx.Request, refusal: httpx.Response
    ) -> Generator[httpx.Request, httpx.Response, None]:
        """Ask `/v2/` once for its challenge; `refusal` is read and given up.

        Some registries hide from strangers what is there (404, 403), and name the login that they want there alone.
        """
        # httpx reads it as a whole, and would decode it.
        refusal.headers.pop("content-encoding", None)
        refusal.stream = BoundedStream(refusal.stream, self._origin.host, max_bytes=MAX_LOGIN_BYTES)
        extensions = {"timeout": request.extensions.get("timeout", {})}
        response = yield httpx.Request("GET", self._origin.url.join("/v2/"), extensions=extensions)
        self._version_challenge = self._challenge(self._origin, response)
        self._has_asked_version = True

    def _challenge(self, origin: Origin, response: httpx.Response) -> Challenge | None:
        """Return the challenge to answer, None where there is none: a 403 has one for tokens of too small a scope."""
        if response.status_code not in {401, 403}:
            return None
        header = challenge_header(response)
        if len(header) > MAX_CHALLENGE_BYTES:
            raise RegistryError(
                "invalid",
                f"{origin.action}: its challenge has {len(header)} bytes, more than {MAX_CHALLENGE_BYTES}",
            )
        challenge = choose_challenge(parse_challenges(header))
        if challenge is None or (response.status_code == 403 and not challenge.lacks_scope):
            return None
        return challenge

    def _apply(self, request: httpx.Request, origin: Origin, scope: str, login: Credentials | None) -> None:
        with self._lock:
            token = self._tokens.get((origin.key, login, scope))
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        elif self._basic and login is not None and login.basic:
            request.headers["Authorization"] = login.basic

    def _basic_login(self, request: httpx.Request, login: Credentials | None) -> Credentials | None:
        """Return the login for Basic; None where there is none, or none but that which was refused."""
        if "Authorization" in request.headers:
            renewed = self._login.after_refusal(login)
            login = renewed if renewed != login else None
        return login if login is not None and login.basic else None

    def _given_token(self, request: httpx.Request, login: Credentials, scope: str) -> Credentials | None:
        """Keep the token that the login itself is; another one if it was refused and the login changed."""
        renewed = self._login.after_refusal(login) if "Authorization" in request.headers else login
        if renewed is not None and renewed.registry_token:
            self._keep(self._origin, renewed, scope, renewed.registry_token)
        return renewed

    def _authorize(
        self, request: httpx.Request, origin: Origin, challenge: Challenge, login: Credentials | None
    ) -> Generator[httpx.Request, httpx.Response, Credentials | None]:
        """Get a token, and again if the login was refused and a new one exists; return the token's login."""
        scope = str(request.extensions.get("scope", ""))
        own = scope if origin is self._origin else ""
        scopes = scopes_of(own, challenge.parameters.get("scope", ""))
        # A request made beside the client has none of its timeouts.
        extensions = {"timeout": request.extensions.get("timeout", {})}

        def ask(login: Credentials | None) -> _Requests:
            realm = origin.token_service(challenge)
            return _exchange(origin, token_request(realm, challenge, scopes, login, extensions), login)

        response = yield from ask(login)
        if response.status_code in _NO_FORMS and login is not None and login.identity_token:
            response = yield from ask(Credentials(username=login.username, secret=login.secret))
        if response.status_code in {401, 403} and origin is self._origin:
            previous, login = login, self._login.after_refusal(login)
            if login != previous:
                response = yield from ask(login)
        return self._keep(origin, login, scope, parse_token(origin, response, login))

    def _keep(self, origin: Origin, login: Credentials | None, scope: str, token: str) -> Credentials | None:
        with self._lock:
            self._tokens[origin.key, login, scope] = token
        return login


def _may_hide(request: httpx.Request, response: httpx.Response) -> bool:
    """Whether a refusal may be one of strangers alone: one with any challenge says itself what it wants."""
    is_refusal = response.status_code in {401, 403, 404} and not challenge_header(response).strip()
    return is_refusal and "Authorization" not in request.headers


def _exchange(origin: Origin, request: httpx.Request, login: Credentials | None) -> _Requests:
    """Send a request for a token and return the answer after redirects, which a login follows on its own host alone."""
    for _ in range(MAX_TOKEN_REDIRECTS + 1):
        response = yield request
        if not response.has_redirect_location:
            return response
        url, login = follow_redirect(origin, response, login)
        request = _repeated(request, url, login)
    raise RegistryError(
        "invalid",
        f"{origin.action}: its token service redirects more than {MAX_TOKEN_REDIRECTS} times",
    )


def _repeated(request: httpx.Request, url: httpx.URL, login: Credentials | None) -> httpx.Request:
    """Return a request for another address, without the login if it may not go there."""
    headers = httpx.Headers(request.headers)
    del headers["Host"]
    if login is None:
        headers.pop("Authorization", None)
    return httpx.Request(
        request.method, url, headers=headers, content=request.content, extensions=dict(request.extensions)
    )
