"""Responses that are no success or no document, as errors: who answered, what it says, and what to do next."""

from __future__ import annotations

import httpx

from multibuild.oci.access.answers import IN_FRONT, error_of_status
from multibuild.oci.access.auth import RegistryAuth
from multibuild.oci.access.challenges import challenge_header, parse_challenges
from multibuild.oci.access.connection_errors import error_of_proxy
from multibuild.oci.access.details import details_of, page_title
from multibuild.oci.access.proxies import Proxy
from multibuild.oci.errors import RegistryError
from multibuild.oci.registry_settings import RegistrySettings
from multibuild.terminal import printable

_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PROXY_STATUSES = frozenset({403, 502, 503, 504})
"""Of a plain http request: by them proxies, too, say that they do not allow or reach a host."""


class Refusals:
    """The responses of one registry, and of the hosts it leads to."""

    def __init__(self, settings: RegistrySettings, auth: RegistryAuth) -> None:
        self._settings = settings
        self._auth = auth
        self._own = httpx.URL(settings.address)

    def error(self, action: str, response: httpx.Response, body: bytes) -> RegistryError:
        """Return the error of a response, with what its sender says; secrets that it repeats are left out."""
        proxy: Proxy | None = response.request.extensions.get("proxy")
        if proxy is not None and response.status_code == 407:
            return error_of_proxy(proxy, self._settings.host, action, "407 Proxy Authentication Required")
        details = details_of(response.headers.get("content-type", ""), body)
        text = details.text or _challenge_text(response)
        if response.status_code in _REDIRECTS:
            text = f"to {_target(response)}"
        login = self._auth.login
        has_login = login is not None and self._is_own(response)
        error = error_of_status(
            self._place(response),
            action,
            response.status_code,
            login.redact(text) if login is not None else text,
            body=body.decode(errors="replace"),
            retry_after=response.headers.get("retry-after", ""),
            has_login=has_login,
            is_login_sent="authorization" in response.request.headers,
        )
        error.codes = details.codes
        if response.status_code == 401:
            error.hint = self._login_hint(response, has_login=has_login)
        elif details.is_page and response.status_code != 404:
            error.hint = error.hint or IN_FRONT
        is_forwarded = proxy is not None and not proxy.is_socks and response.url.scheme == "http"
        if proxy is not None and is_forwarded and response.status_code in _PROXY_STATUSES:
            error.hint = (
                f"or the proxy {proxy.address} of {proxy.variable} does; NO_PROXY lists hosts that need none"
            )
        return error

    def require_no_page(self, action: str, response: httpx.Response, content: bytes) -> None:
        """Raise RegistryError for a web page in place of a document, such as that of a login (SSO, captive portal)."""
        if response.status_code != 200:
            return
        content_type = response.headers.get("content-type", "")
        title = page_title(content_type, content)
        if title is None and response.request.method == "HEAD" and "text/html" in content_type.lower():
            title = "" if "docker-content-digest" not in response.headers else None
        if title is None:
            return
        raise RegistryError(
            "invalid",
            f"{action}: {self._place(response)} answers with a web page{f', “{title}”,' if title else ''}"
            " and not as a registry",
            hint="is it a registry? a login page of this network or of a company's sign-on may stand before it",
        )

    def _is_own(self, response: httpx.Response) -> bool:
        return (response.url.raw_host, response.url.port) == (self._own.raw_host, self._own.port)

    def _place(self, response: httpx.Response) -> str:
        """Return the host that answered: the registry, or one that it led to."""
        if self._is_own(response):
            return self._settings.host
        return f"{_netloc(response.url)}, to which {self._settings.host} leads,"

    def _login_hint(self, response: httpx.Response, *, has_login: bool) -> str:
        host = self._settings.host
        header = challenge_header(response)[:4096]
        schemes = tuple(challenge.scheme for challenge in parse_challenges(header))
        if not self._is_own(response):
            return f"the login of {host} is not sent to other hosts: use that registry's own name"
        if not schemes:
            return f"`docker login {host}`; it names no kind of login (WWW-Authenticate): is it a registry?"
        if not {"basic", "bearer"} & set(schemes):
            return f"it takes logins of the kind {schemes[0][:40]} alone, which docker's clients do not have"
        return f"`docker login {host}`" + (" again, or with another account" if has_login else "")


def _challenge_text(response: httpx.Response) -> str:
    """Return what a challenge says of the refusal (RFC 6750 section 3)."""
    for challenge in parse_challenges(challenge_header(response)[:4096]):
        text = challenge.parameters.get("error_description") or challenge.parameters.get("error", "")
        if text:
            return " ".join(printable(text).split())[:200]
    return ""


def _target(response: httpx.Response) -> str:
    try:
        return _netloc(response.url.join(response.headers.get("location", "")))
    except httpx.InvalidURL:
        return "no URL"


def _netloc(url: httpx.URL) -> str:
    return printable(url.netloc.decode(errors="replace"))[:100]
