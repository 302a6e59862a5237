"""Requests to the repositories of one registry: what all its methods share."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Self

import httpx

from multibuild.oci.access.auth import scope_of
from multibuild.oci.access.credentials import Credentials
from multibuild.oci.access.token_service import host_of
from multibuild.oci.errors import RegistryError
from multibuild.oci.http import DEFAULT_RETRIES, HttpClient, Request, Response, RetryPolicy
from multibuild.oci.limits import Budget
from multibuild.oci.manifest import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST, Descriptor
from multibuild.oci.reference import Reference
from multibuild.oci.registry_settings import RegistrySettings

ACCEPT = f"{OCI_INDEX}, {OCI_MANIFEST}, {DOCKER_LIST}, {DOCKER_MANIFEST}, */*"
"""As containerd's: some registries answer 406 where their own type is not named, though they send one of these."""

UNANSWERED = frozenset({400, 403, 405, 406, 411, 415, 500, 501})
"""Statuses with which registries and proxies refuse HEAD, though they answer GET."""

OPTIONAL_TRIES = 2
OPTIONAL_WAIT_S = 2.0
"""For requests that may fail: an attempt to mount, and signatures. Many of them with long waits would take hours."""


class RegistryRequests:
    """One registry, one connection pool; thread-safe. Every method raises RegistryError."""

    def __init__(
        self,
        settings: RegistrySettings,
        *,
        read_login: Callable[[], Credentials | None] = lambda: None,
        retry: RetryPolicy = DEFAULT_RETRIES,
        on_wait: Callable[[str], None] | None = None,
        budget: Budget | None = None,
    ) -> None:
        """Prepare the client without connecting. `on_wait` gets a message before each retry."""
        self.settings = settings
        self._http = HttpClient(settings, read_login=read_login, retry=retry, on_wait=on_wait, budget=budget)
        self._missing_apis = set[str]()
        self._descriptors: dict[tuple[str, str], Descriptor] = {}
        self._blob_sizes: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._http.close()

    @property
    def host(self) -> str:
        """`name[:port]`, as in references."""
        return self.settings.host

    @property
    def impatient(self) -> Self:
        """The same registry for what a command can do without: a request is repeated once, and soon."""
        policy = self._http.retry
        other = copy.copy(self)
        other._http = self._http.with_policy(  # noqa: SLF001 - a copy of this one
            replace(
                policy,
                tries=min(policy.tries, OPTIONAL_TRIES),
                max_wait_s=min(policy.max_wait_s, OPTIONAL_WAIT_S),
            )
        )
        return other

    def _reference(self, repository: str) -> Reference:
        return Reference(host=self.host, repository=repository)

    def _host_of(self, url: str) -> str:
        return host_of(httpx.URL(url))

    def _join(self, response: Response, location: str) -> str:
        """Resolve a URL from a response, which may be relative."""
        try:
            return str(response.url.join(location))
        except httpx.InvalidURL:
            raise RegistryError("invalid", f"{self.host} leads to no URL") from None

    def _send(
        self,
        method: str,
        reference: Reference,
        path: str,
        action: str,
        *,
        query: Mapping[str, str] = MappingProxyType({}),
        headers: Mapping[str, str] = MappingProxyType({"Accept": ACCEPT}),
        content: bytes | Iterator[bytes] | None = None,
        allow_status: frozenset[int] = frozenset(),
    ) -> Response:
        """Send a request; `path` is below the repository, or a URL."""
        full_path = path if path.startswith(("http://", "https://")) else f"{reference.repository}/{path}"
        return self._http.send(
            Request(
                method=method,
                path=full_path,
                scope=scope_of(method, reference.repository, mounted_from=query.get("from", "")),
                action=action,
                query=query,
                headers=headers,
                content=content,
                allow_status=allow_status,
            )
        )


def media_type_in(headers: httpx.Headers) -> str:
    """Return the media type of a response, without parameters."""
    return str(headers.get("content-type", "")).split(";")[0].strip()
