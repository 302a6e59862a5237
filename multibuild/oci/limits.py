"""Limits of what registries may cost one command: requests, entries, bytes, time."""

from __future__ import annotations

import math
import threading

from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError

MAX_INDEX_ENTRIES = 1000
"""Of one index, attestations included; an index for people has some 200 at most, 4 MiB of JSON have room for 20000."""

MAX_INDEX_DEPTH = 8
"""Of indexes within indexes that are copied; nobody makes more than two, and each level is a call within a call."""


class LimitExceeded(RegistryError):
    """A registry, or what it holds, costs a command more than the limits allow; another request would not help."""

    def __init__(self, message: str) -> None:
        super().__init__("invalid", message, hint="nothing for people is this large or slow: who made it?")


@frozen
class HttpLimits:
    """Limits of one command. Times in seconds; those of one transfer count only while waiting for the registry.

    `indexes` are those read by digest, which others list. A transfer is too slow below `min_bytes_per_s` over
    `window_s`, like curl's --speed-limit: a link of 20 kB/s that 16 requests share gives each 1250. `waiting_s` is
    for all requests together: of those without a whole answer, and before they are repeated.
    """

    requests: int = 50_000
    indexes: int = 1000
    entries: int = 20_000
    total_bytes: int = 2**40
    waiting_s: float = 3600.0
    connect_s: float = 10.0
    idle_s: float = 60.0
    upload_idle_s: float = 600.0
    window_s: float = 60.0
    min_bytes_per_s: int = 500


READ_LIMITS = HttpLimits()

RUN_LIMITS = HttpLimits(
    requests=2_000_000, indexes=2_000_000, entries=2_000_000, total_bytes=2**44, waiting_s=math.inf
)
"""For a run of hours, whose images are its own, and for `clean`, which reads every tag of a repository."""


class Budget:
    """Counts what one command has used of its limits; safe from several threads. Methods raise LimitExceeded."""

    def __init__(self, limits: HttpLimits) -> None:
        """Start with nothing used."""
        self.limits = limits
        self._lock = threading.Lock()
        self._requests = self._indexes = self._entries = self._bytes = 0
        self._waiting_s = 0.0

    def add_request(self, request: str) -> None:
        """Count a request, before it is sent."""
        with self._lock:
            self._requests += 1
        self._require(self._requests <= self.limits.requests, request, f"{self.limits.requests} requests")

    def add_index(self, action: str) -> None:
        """Count an index that is read by its digest, every time: indexes within indexes multiply."""
        with self._lock:
            self._indexes += 1
        self._require(self._indexes <= self.limits.indexes, action, f"{self.limits.indexes} indexes")

    def add_entries(self, count: int, action: str) -> None:
        """Count the entries of an index or of a list of referrers."""
        with self._lock:
            self._entries += count
        self._require(self._entries <= self.limits.entries, action, f"{self.limits.entries} entries")

    def add_bytes(self, count: int, action: str) -> None:
        """Count the size of a blob, before it is read."""
        with self._lock:
            self._bytes += count
        self._require(self._bytes <= self.limits.total_bytes, action, f"{self.limits.total_bytes} bytes")

    def add_waiting(self, seconds: float, action: str) -> None:
        """Count the time of a request without a whole answer, `window_s` at most, or that before it is repeated."""
        with self._lock:
            self._waiting_s += min(seconds, self.limits.window_s)
        limit = self.limits.waiting_s
        self._require(self._waiting_s <= limit, action, f"{limit:g} s of waiting for no answer")

    def _require(self, is_within: bool, action: str, limit: str) -> None:
        if not is_within:
            raise LimitExceeded(
                f"{action}: more than {limit} in one command, after {self._requests} requests, "
                f"{self._entries} entries of indexes and {self._bytes} bytes of blobs"
            )
