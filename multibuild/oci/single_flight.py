"""Run work that several threads need once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future


class SingleFlight:
    """Runs the work of each key once; concurrent callers wait, and get the same error when it fails."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[str, Future[None]] = {}

    def do(self, key: str, work: Callable[[], None]) -> None:
        """Run `work`, or wait for the thread that runs it; after a failure the next caller tries again."""
        with self._lock:
            existing = self._futures.get(key)
            if existing is None:
                own = self._futures[key] = Future()
        if existing is not None:
            existing.result()
            return
        try:
            work()
        except BaseException as error:
            with self._lock:
                del self._futures[key]
            own.set_exception(error)
            raise
        own.set_result(None)
