"""How a registry's challenge is answered: Basic, or Bearer with a token per scope (distribution token spec)."""

from __future__ import annotations

import base64
import re
import threading
from collections.abc import Generator
from typing import Any
from urllib.parse import urlsplit

import httpx

from multibuild.publish.credentials import Credentials

_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


class RegistryAuth(httpx.Auth):
    """Answers 401 once per request; tokens are kept by scope and shared between threads."""

    requires_response_body = True

    def __init__(self, host: str, credentials: Credentials | None, *, plain: bool) -> None:
        """`plain`: the registry itself is spoken to over http, so its token service may be."""
        self._host = host
        self._credentials = credentials
        self._plain = plain
        self._basic = False
        self._tokens: dict[str, str] = {}
        self._lock = threading.Lock()

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Send what is known, and on a challenge answer it once."""
        scope = str(request.extensions.get("scope", ""))
        registry = request.extensions.get("registry", request.url.netloc.decode())
        if request.url.netloc.decode() != registry:
            yield request  # an upload location on another host: our login is not for it
            return
        self._apply(request, scope)
        response = yield request
        # After a redirect it is another host that asks: it gets no login either.
        if response.status_code != 401 or response.url.netloc.decode() != registry:
            return
        scheme, parameters = _challenge(response.headers.get("www-authenticate", ""))
        if scheme == "basic" and self._credentials is not None:
            self._basic = True
        elif scheme == "bearer" and self._trusted(parameters.get("realm", "")):
            answer = yield self._token_request(parameters, scope or parameters.get("scope", ""))
            if answer.status_code >= 400:
                return
            answer.read()
            token = _token_of(answer)
            with self._lock:
                self._tokens[scope] = token
        else:
            return
        self._apply(request, scope)
        yield request

    def _apply(self, request: httpx.Request, scope: str) -> None:
        with self._lock:
            token = self._tokens.get(scope)
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        elif self._basic and self._credentials is not None:
            request.headers["Authorization"] = _basic(self._credentials)

    def _trusted(self, realm: str) -> bool:
        """A login is sent over TLS only, unless the registry itself has none."""
        return urlsplit(realm).scheme == "https" or (self._plain and urlsplit(realm).scheme == "http")

    def _token_request(self, parameters: dict[str, str], scope: str) -> httpx.Request:
        fields = {"service": parameters.get("service", "")}
        scopes = [("scope", part) for part in scope.split()]
        known = self._credentials
        if known is not None and known.identity_token:
            form = {
                **fields,
                "scope": scope,
                "grant_type": "refresh_token",
                "refresh_token": known.identity_token,
                "client_id": "multibuild",
            }
            return httpx.Request("POST", parameters["realm"], data=form)
        headers = {"Authorization": _basic(known)} if known is not None else {}
        return httpx.Request(
            "GET", httpx.URL(parameters["realm"], params=[*fields.items(), *scopes]), headers=headers
        )


def _basic(credentials: Credentials) -> str:
    pair = f"{credentials.username}:{credentials.secret}"
    return "Basic " + base64.b64encode(pair.encode()).decode()


def _challenge(header: str) -> tuple[str, dict[str, str]]:
    scheme, _, rest = header.partition(" ")
    return scheme.lower(), dict(_PARAMETER.findall(rest))


def _token_of(answer: httpx.Response) -> str:
    try:
        document: Any = answer.json()
        return str(document.get("token") or document.get("access_token") or "")
    except (ValueError, AttributeError):
        return ""
