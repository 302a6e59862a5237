"""Answer a registry's challenge: Basic, or Bearer with a token per scope (distribution token spec)."""

from __future__ import annotations

import base64
import json
import re
import threading
from collections.abc import Callable, Generator
from typing import Any

import httpx

from multibuild.oci.access.credentials import Credentials, Login
from multibuild.oci.errors import RegistryError, from_status
from multibuild.oci.registry_settings import is_loopback

MAX_CHALLENGE_BYTES = 16 * 1024
"""Of all WWW-Authenticate headers of a response; registries send some 200."""

# Of a challenge: a word, perhaps with a value; possessive, so that no text is read twice. A word at the start or after
# a comma that has no value is a scheme (RFC 9110 section 11.6.1).
_PART = re.compile(
    r'(?P<first>^\s*+|,\s*+)?\b(?P<name>\w++)(?:\s*+=\s*+(?:"(?P<quoted>[^"]*+)"|(?P<bare>[^\s,"]++)))?'
)
# RFC 6750 section 2.1 allows less. A token that no header can hold would be shown in full by httpx's error.
_TOKEN = re.compile(r"[!-~]+\Z")
_UNENCODED = {"Accept-Encoding": "identity"}


def scope_of(method: str, repository: str, *, mounted_from: str = "") -> str:
    """Return the scope of a request (distribution token spec); a mount also reads the repository it mounts from."""
    actions = {"GET": "pull", "HEAD": "pull", "DELETE": "pull,push,delete"}.get(method, "pull,push")
    source = f" repository:{mounted_from}:pull" if mounted_from else ""
    return f"repository:{repository}:{actions}{source}"


class RegistryAuth(httpx.Auth):
    """Answers a 401 once per request; tokens are kept by login and scope and shared between threads.

    A login is sent only to the registry's own origin and to the token service it names. Needs a client that follows
    no redirects: an identity token is part of a request's body.
    """

    def __init__(
        self, origin: str, host: str, read_login: Callable[[], Credentials | None], *, insecure: bool
    ) -> None:
        """`origin` is the registry's address; `insecure`: configured without TLS, so its token service needs none."""
        self._origin = httpx.URL(origin)
        self._host = host
        self._login = Login(read_login)
        self._insecure = insecure
        self._basic = False
        self._tokens: dict[tuple[Credentials | None, str], str] = {}
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send the request, answering one challenge. Raises RegistryError when the service returns no token."""
        if _origin_of(request.url) != _origin_of(self._origin):
            yield request  # another host, such as a blob store, must not get the registry's login
            return
        scope = str(request.extensions.get("scope", ""))
        login = self._login.current()
        self._apply(request, scope, login)
        response = yield request
        if response.status_code != 401:
            return
        challenges = self._challenges(response)
        if "bearer" in challenges:
            login = yield from self._fetch_token(request, challenges["bearer"], login)
        elif "basic" in challenges:
            previous = login if "Authorization" in request.headers else None
            login = self._login.after_refusal(previous) if previous is not None else login
            if login is None or login == previous:
                return
            self._basic = True
        else:
            return
        self._apply(request, scope, login)
        yield request

    def _challenges(self, response: httpx.Response) -> dict[str, dict[str, str]]:
        header = ", ".join(response.headers.get_list("www-authenticate"))
        if len(header) > MAX_CHALLENGE_BYTES:
            raise RegistryError(
                "invalid",
                f"logging in to {self._host}: its challenge has {len(header)} bytes, more than {MAX_CHALLENGE_BYTES}",
            )
        return _parse_challenges(header)

    def _apply(self, request: httpx.Request, scope: str, login: Credentials | None) -> None:
        with self._lock:
            token = self._tokens.get((login, scope))
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        elif self._basic and login is not None:
            request.headers["Authorization"] = _basic(login)

    def _fetch_token(
        self, request: httpx.Request, parameters: dict[str, str], login: Credentials | None
    ) -> Generator[httpx.Request, httpx.Response, Credentials | None]:
        """Request a token, and again if the login was refused and a new one exists; return the token's login."""
        response = yield self._token_request(request, parameters, login)
        if response.status_code in {401, 403}:
            previous, login = login, self._login.after_refusal(login)
            if login != previous:
                response = yield self._token_request(request, parameters, login)
        token = self._parse_token(response)
        with self._lock:
            self._tokens[login, str(request.extensions.get("scope", ""))] = token
        return login

    def _require_trusted(self, realm: httpx.URL) -> None:
        """Raise RegistryError unless `realm` has TLS, the registry is insecure, or both are on this machine."""
        netloc = realm.netloc.decode()
        local = is_loopback(self._host) and is_loopback(netloc)
        if netloc and (realm.scheme == "https" or (realm.scheme == "http" and (self._insecure or local))):
            return
        raise RegistryError(
            "tls",
            f"{self._host} sends logins to {netloc or 'nowhere'} without TLS",
            hint=f"if that is meant: registries: {{'{self._host}': {{insecure: true}}}}",
        )

    def _token_request(
        self, request: httpx.Request, parameters: dict[str, str], login: Credentials | None
    ) -> httpx.Request:
        realm = httpx.URL(parameters.get("realm", ""))
        self._require_trusted(realm)
        scope = str(request.extensions.get("scope") or parameters.get("scope", ""))
        # A request made beside the client has none of its timeouts.
        extensions = {"timeout": request.extensions.get("timeout", {})}
        service = {"service": parameters["service"]} if "service" in parameters else {}
        if login is not None and login.identity_token:
            form = {
                **service,
                "scope": scope,
                "grant_type": "refresh_token",
                "refresh_token": login.identity_token,
                "client_id": "multibuild",
            }
            return httpx.Request("POST", realm, data=form, headers=_UNENCODED, extensions=extensions)
        # The realm may have a query already, which stays.
        url = realm.copy_merge_params(service)
        for part in scope.split():
            url = url.copy_add_param("scope", part)
        authorization = {"Authorization": _basic(login)} if login is not None else {}
        return httpx.Request("GET", url, headers={**_UNENCODED, **authorization}, extensions=extensions)

    def _parse_token(self, response: httpx.Response) -> str:
        action = f"logging in to {self._host}"
        if response.status_code in {401, 403, 408, 429} or response.status_code >= 500:
            # Not 404 and the like: "no such token" must not be mistaken for "no such tag".
            wait = response.headers.get("retry-after", "")
            raise from_status(self._host, action, response.status_code, retry_after=wait)
        try:
            document: Any = json.loads(response.read()) if response.status_code == 200 else {}
            token = document.get("token") or document.get("access_token")
        except (ValueError, AttributeError, RecursionError):
            token = None
        if not isinstance(token, str) or not _TOKEN.match(token):
            raise RegistryError(
                "invalid",
                f"{action}: the token service gave no token (answers {response.status_code})",
                hint=f"`docker login {self._host}`",
                status=response.status_code if response.status_code != 404 else 0,
            )
        return token


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.secret}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _origin_of(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _parse_challenges(header: str) -> dict[str, dict[str, str]]:
    """Parse WWW-Authenticate, which may hold several challenges (RFC 9110 section 11.6.1), in linear time."""
    challenges: dict[str, dict[str, str]] = {}
    parameters: dict[str, str] = {}
    for part in _PART.finditer(header):
        name = part["name"].lower()
        value = part["quoted"] if part["quoted"] is not None else part["bare"]
        if value is not None:
            parameters[name] = value
        elif part["first"] is not None and not header[part.end() : part.end() + 1].strip():
            parameters = {}
            if name in {"basic", "bearer"}:
                challenges[name] = parameters
    return challenges
