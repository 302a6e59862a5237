"""The registries of one run: one client per host, with Docker's credentials for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack
from typing import Self, TypeVar

from multibuild.oci.access.docker_logins import credentials_for
from multibuild.oci.access.tls import with_docker_certificates
from multibuild.oci.http import DEFAULT_RETRIES, RetryPolicy
from multibuild.oci.limits import READ_LIMITS, Budget, HttpLimits
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

MAX_PARALLEL_REQUESTS = 16
"""With a distant registry all take the time of the slowest; a small registry is not overloaded."""

T = TypeVar("T")
R = TypeVar("R")


class RegistrySession:
    """Creates one Registry per host and closes them all at the end."""

    def __init__(
        self,
        settings: Mapping[str, RegistrySettings],
        *,
        on_wait: Callable[[str], None],
        retry: RetryPolicy = DEFAULT_RETRIES,
        limits: HttpLimits = READ_LIMITS,
    ) -> None:
        """Use `settings` by host[:port], else the defaults; `on_wait` gets a message before each retry, and warnings.

        `limits` are for all registries together.
        """
        self._settings = settings
        self._budget = Budget(limits)
        self._retry = retry
        self._on_wait = on_wait
        self._lock = threading.Lock()
        self._open: dict[str, Registry] = {}
        self._stack = ExitStack()
        self._warnings = set[str]()
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._is_closed = True
        self._stack.close()

    def of(self, host: str) -> Registry:
        """Return the client for `host`; EnvironmentFault when its credential helper is broken."""
        with self._lock:
            if host not in self._open:
                settings = self._settings.get(host) or RegistrySettings(host=host)
                registry = Registry(
                    with_docker_certificates(settings),
                    read_login=lambda: credentials_for(host, warn=self._warn),
                    retry=self._retry,
                    on_wait=self._say,
                    budget=self._budget,
                )
                self._open[host] = self._stack.enter_context(registry)
            return self._open[host]

    def _say(self, message: str) -> None:
        """Pass on a message; none of a request that was still under way at the end, whose connection was closed."""
        if not self._is_closed:
            self._on_wait(message)

    def _warn(self, message: str) -> None:
        """Pass on a warning, once for all registries."""
        if message not in self._warnings:
            self._warnings.add(message)
            self._on_wait(message)

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> tuple[R, ...]:
        """Apply `work` to the items in parallel; results in order. Raises the first error, and starts no more."""
        return self.start_map(work, items)()

    def start_map(self, work: Callable[[T], R], items: Iterable[T]) -> Callable[[], tuple[R, ...]]:
        """Start `map`; the returned function waits for the results."""
        pool = ThreadPoolExecutor(max_workers=MAX_PARALLEL_REQUESTS)
        futures = [pool.submit(work, item) for item in items]

        def results() -> tuple[R, ...]:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            pool.shutdown(cancel_futures=True)
            for future in futures:
                if future in done:
                    future.result()
            return tuple(future.result() for future in futures)

        return results
