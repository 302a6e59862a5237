"""Work that several threads need done, done by the first of them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future


class Once:
    """Does each thing once; who asks for it meanwhile waits, and gets the same error when it fails."""

    def __init__(self) -> None:
        """Nothing is done yet."""
        self._lock = threading.Lock()
        self._done: dict[str, Future[None]] = {}

    def do(self, name: str, work: Callable[[], None]) -> None:
        """Do `work`, unless it was done, or wait for who is doing it. After a failure the next one tries again."""
        with self._lock:
            known = self._done.get(name)
            if known is None:
                own = self._done[name] = Future()
        if known is not None:
            known.result()
            return
        try:
            work()
        except BaseException as error:
            with self._lock:
                del self._done[name]
            own.set_exception(error)
            raise
        own.set_result(None)
