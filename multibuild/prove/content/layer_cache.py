"""What layers were found to hold, remembered by digest: a shared layer is read once, also by the next run."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path

from multibuild.files import write_atomic
from multibuild.prove.content.layer_index import LayerIndex

FORMAT = "v3"
"""Part of every file's name: an index of another version is not read."""

IMAGES = 2
"""Images looked into at once: each may take the memory of its entries and of a zstd window."""

MOST_IN_MEMORY = 16 << 20
"""Bytes of indexes kept in memory, over all layers."""

MOST_PER_FILE = 16 << 20
"""Bytes (of memory) of the largest index that is kept on the disk."""

MOST_ON_DISK = 64 << 20
"""Bytes kept on the disk; the files used longest ago go first."""


class LayerCache:
    """Indexes by layer digest, in memory and, with a folder, on the disk. Safe from several threads.

    `turn` is held while an image is looked into.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """Take the folder to keep indexes in (made when something is kept); None keeps them in memory only."""
        self._folder = folder
        self._lock = threading.Lock()
        self.turn = threading.BoundedSemaphore(IMAGES)
        self._known: dict[str, LayerIndex] = {}
        self._reading: dict[str, threading.Lock] = {}

    def recall(self, digest: str, read: Callable[[], LayerIndex]) -> LayerIndex:
        """Give a layer's index; `read` is called by one thread alone when it is not known. Raises what `read` does."""
        with self._lock:
            turn = self._reading.setdefault(digest, threading.Lock())
        with turn:
            found = self._known.get(digest) or self._load(digest)
            if found is None:
                found = read()
                self._save(digest, found)
            self._keep(digest, found)
            return found

    def _keep(self, digest: str, index: LayerIndex) -> None:
        with self._lock:
            self._known.pop(digest, None)
            self._known[digest] = index
            total = sum(_size(known) for known in self._known.values())
            while total > MOST_IN_MEMORY:
                total -= _size(self._known.pop(next(iter(self._known))))

    def _path(self, digest: str) -> Path | None:
        """Give the file of a digest; hashed, as a digest from a registry is text of anyone's making."""
        if self._folder is None:
            return None
        return self._folder / f"{FORMAT}-{hashlib.sha256(digest.encode()).hexdigest()}.json"

    def _load(self, digest: str) -> LayerIndex | None:
        path = self._path(digest)
        if path is None or not path.exists():
            return None
        try:
            index = LayerIndex.from_json(json.loads(path.read_bytes()))
            path.touch()
        except (OSError, ValueError, TypeError, KeyError):
            return None
        return index

    def _save(self, digest: str, index: LayerIndex) -> None:
        """Keep it on the disk. A full or read-only disk is no reason to fail a proof: it is read again next time."""
        path = self._path(digest)
        if path is None or _size(index) > MOST_PER_FILE:
            return
        with contextlib.suppress(OSError), self._lock:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            write_atomic(path, json.dumps(index.as_json(), separators=(",", ":")))
            _prune(path.parent)


def _size(index: LayerIndex) -> int:
    return index.cost + len(index.plain)


def _prune(folder: Path) -> None:
    """Take away what was used longest ago, until the rest is small enough."""
    files = sorted(((path.stat(), path) for path in folder.iterdir()), key=lambda pair: -pair[0].st_mtime)
    total = 0
    for status, path in files:
        total += status.st_size
        if total > MOST_ON_DISK:
            path.unlink(missing_ok=True)
