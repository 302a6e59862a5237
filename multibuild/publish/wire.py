"""Requests to one registry: connection pool, login, retries, redirects (distribution-spec 1.1)."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx

from multibuild import __version__
from multibuild.publish.auth import RegistryAuth
from multibuild.publish.credentials import Credentials
from multibuild.publish.failures import RegistryError, from_status, from_transport
from multibuild.publish.reference import Reference

TIMEOUT = httpx.Timeout(30.0, connect=10.0)
_MOST_REDIRECTS = 5
_RETRIED = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True, slots=True)
class RegistrySettings:
    """How a registry is reached. `insecure`: plain http; `ca`: a PEM file beside the system's."""

    host: str
    insecure: bool = False
    ca: Path | None = None

    @property
    def plain(self) -> bool:
        """Plain http, also for this machine's own loopback, as Docker does."""
        from multibuild.publish.loopback import is_loopback

        return self.insecure or is_loopback(self.host)

    @property
    def address(self) -> str:
        """Where requests go; Docker Hub's API lives under another name than its images."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{'http' if self.plain else 'https'}://{host}"


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryPolicy:
    """Tries per request and waits in seconds; Retry-After is obeyed up to `longest`."""

    tries: int = 4
    initial: float = 0.5
    longest: float = 60.0


class Wire:
    """One registry's connection pool; safe from several threads."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        credentials: Credentials | None,
        retry: RetryPolicy,
        on_wait: Callable[[str], None] | None,
    ) -> None:
        """Open no connection yet. `on_wait` hears of every wait, in words."""
        self.settings = settings
        self._retry = retry
        self._on_wait = on_wait
        self._client = httpx.Client(
            base_url=settings.address,
            auth=RegistryAuth(settings.host, credentials, plain=settings.plain),
            verify=_trust(settings),
            timeout=TIMEOUT,
            headers={"User-Agent": f"multibuild/{__version__}"},
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def stream(self, repository: str, digest: str) -> _closing:
        """Open a blob for streaming, following redirects without our login; httpx.HTTPError when that fails."""
        request = self._request(
            "GET",
            repository,
            f"blobs/{digest}",
            scope=f"repository:{repository}:pull",
            headers={},
            content=None,
        )
        own = httpx.URL(self.settings.address).netloc
        answer = self._client.send(request, stream=True)
        for _ in range(_MOST_REDIRECTS):
            if not answer.is_redirect:
                break
            target = httpx.URL(urljoin(str(answer.request.url), answer.headers["location"]))
            answer.close()
            onward = self._client.build_request("GET", target)
            onward.extensions.update(request.extensions)
            # A blob store's address carries its own permission; our login is for the registry alone.
            auth = httpx.USE_CLIENT_DEFAULT if target.netloc == own else None
            answer = self._client.send(onward, stream=True, auth=auth)
        return _closing(answer)

    def _request(
        self, method: str, repository: str, path: str, *, scope: str, headers: Mapping[str, str], content: Any
    ) -> httpx.Request:
        url = path if path.startswith(("http://", "https://")) else f"/v2/{repository}/{path}"
        request = self._client.build_request(method, url, headers=dict(headers), content=content)
        request.extensions["scope"] = scope
        request.extensions["registry"] = httpx.URL(self.settings.address).netloc.decode()
        return request

    def ask(
        self,
        method: str,
        reference: Reference,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        content: Any = None,
        tolerate: frozenset[int] = frozenset(),
        pulls: str | None = None,
        follow: bool = False,
        doing: str | None = None,
    ) -> httpx.Response:
        """Send one request with retries; the body of a stream is sent once only."""
        from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

        actions = (
            "pull" if method in {"GET", "HEAD"} else "pull,push" + (",delete" if method == "DELETE" else "")
        )
        scope = f"repository:{reference.repository}:{actions}"
        if pulls:
            scope += f" repository:{pulls}:pull"
        what = doing or f"{_VERBS[method]} {reference}"
        replayable = content is None or isinstance(content, bytes)

        def once() -> httpx.Response:
            request = self._request(
                method, reference.repository, path, scope=scope, headers=headers or {}, content=content
            )
            try:
                answer = self._client.send(request, follow_redirects=follow or method == "GET")
            except (httpx.HTTPError, httpx.StreamError) as error:
                # StreamError: a login ran out within an upload, whose body cannot be sent a second time.
                raise from_transport(self.settings.host, what, error) from error
            if answer.status_code >= 400 and answer.status_code not in tolerate:
                raise from_status(
                    self.settings.host,
                    what,
                    answer.status_code,
                    _said(answer),
                    retry_after=_retry_after(answer),
                )
            return answer

        def pause(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = getattr(error, "retry_after", None)
            if asked is not None:
                return float(min(asked, self._retry.longest))
            return float(self._retry.initial * 2 ** (state.attempt_number - 1))

        def announce(state: RetryCallState) -> None:
            if self._on_wait is not None and state.next_action is not None and state.outcome is not None:
                self._on_wait(f"{state.outcome.exception()}; again in {state.next_action.sleep:.0f} s")

        retrying = Retrying(
            retry=retry_if_exception(lambda error: replayable and _worth_retrying(error)),
            stop=stop_after_attempt(self._retry.tries),
            wait=pause,
            before_sleep=announce,
            reraise=True,
        )
        return retrying(once)


_VERBS = {
    "GET": "reading",
    "HEAD": "looking for",
    "PUT": "pushing",
    "POST": "pushing to",
    "DELETE": "deleting",
}


class _closing:  # noqa: N801 - reads as the context manager it is
    """A streamed response that is closed whatever happens."""

    def __init__(self, answer: httpx.Response) -> None:
        self._answer = answer

    def __enter__(self) -> httpx.Response:
        return self._answer

    def __exit__(self, *_: object) -> None:
        self._answer.close()


def _worth_retrying(error: BaseException) -> bool:
    if not isinstance(error, RegistryError):
        return False
    return error.status in _RETRIED or error.kind == "unreachable"


def _retry_after(answer: httpx.Response) -> float | None:
    """Read seconds or an HTTP date (RFC 9110, 10.2.3)."""
    from datetime import UTC, datetime
    from email.utils import parsedate_to_datetime

    text = answer.headers.get("retry-after", "")
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _said(answer: httpx.Response) -> str:
    """Give the registry's own message (distribution-spec: errors[].code and message), short and printable."""
    from multibuild.record.text import printable

    try:
        errors = answer.json()["errors"]
        text = "; ".join(f"{error.get('code', '')} {error.get('message', '')}".strip() for error in errors)
    except (ValueError, KeyError, TypeError, AttributeError):
        text = ""
    return printable(text)[:200]


def _trust(settings: RegistrySettings) -> ssl.SSLContext | bool:
    if settings.plain:
        return False
    context = ssl.create_default_context()
    if settings.ca is not None:
        context.load_verify_locations(settings.ca)
    return context
