"""The registries of one run: a client per host, made once, with the credentials Docker has for it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeVar

from multibuild.oci.credentials import credentials_for
from multibuild.oci.http import USUAL_PATIENCE, RetryPolicy
from multibuild.oci.registry import Registry
from multibuild.oci.registry_settings import RegistrySettings

PARALLEL = 16
"""Requests at once: a registry far away answers in the time of the slowest, a small one is not overrun."""

T = TypeVar("T")
R = TypeVar("R")


class RegistrySession:
    """Hands out one Registry per host and closes them all at the end."""

    def __init__(
        self,
        settings: Mapping[str, RegistrySettings],
        *,
        say: Callable[[str], None],
        retry: RetryPolicy = USUAL_PATIENCE,
    ) -> None:
        """Use `settings` by host[:port], the defaults for any other host; `say` is told of waits."""
        self._settings = settings
        self._retry = retry
        self._say = say
        self._lock = threading.Lock()
        self._open: dict[str, Registry] = {}
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def of(self, host: str) -> Registry:
        """Give the client for `host`; EnvironmentFault when its credential helper is broken."""
        with self._lock:
            if host not in self._open:
                registry = Registry(
                    self._settings.get(host) or RegistrySettings(host=host),
                    read_login=lambda: credentials_for(host),
                    retry=self._retry,
                    on_wait=self._say,
                )
                self._open[host] = self._stack.enter_context(registry)
            return self._open[host]

    def map(self, work: Callable[[T], R], items: Iterable[T]) -> tuple[R, ...]:
        """Do `work` on every item, some at a time, in order; the first error is raised after all have ended."""
        return self.begin(work, items)()

    def begin(self, work: Callable[[T], R], items: Iterable[T]) -> Callable[[], tuple[R, ...]]:
        """Begin what `map` does; calling what this gives waits for the end of it."""
        from concurrent.futures import ThreadPoolExecutor

        pool = ThreadPoolExecutor(max_workers=PARALLEL)
        futures = [pool.submit(work, item) for item in items]

        def end() -> tuple[R, ...]:
            pool.shutdown()
            return tuple(future.result() for future in futures)

        return end
