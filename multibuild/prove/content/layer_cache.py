"""Cache of layer indexes by digest: a shared layer is read once, also across runs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable
from pathlib import Path

from multibuild.files import make_private_directory, read_plain, require_private_directory, write_atomic
from multibuild.json_types import parse_json
from multibuild.prove.content.layer_index import LayerIndex

FORMAT = "v4"
"""Part of every file's name, so that an index of another format is not read."""

MAX_PARALLEL_IMAGES = 2
"""Images read at once: each may take the memory of its entries and of a zstd window."""

MAX_MEMORY_BYTES = 16 << 20
"""Memory for the indexes of all layers."""

MAX_FILE_BYTES = 16 << 20
"""Memory size of the largest index that is stored on the disk."""

MAX_STORED_BYTES = 64 << 20
"""Bytes of a stored index that are read; as JSON it takes about twice its memory."""

MAX_DISK_BYTES = 64 << 20
"""Disk space for indexes; the least recently used files are removed first."""


_NAME = re.compile(r"(?:v\d+-[0-9a-f]{64}\.json|\.v\d+-[0-9a-f]{64}\.json\.\w+)\Z")
"""Names of indexes, and of those that a kill left half written."""


class LayerCache:
    """Indexes by layer digest, in memory and, with a folder, on the disk. Thread-safe.

    Callers hold `image_slots` while they read an image.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """`folder` is created on the first write; None keeps indexes in memory only."""
        self._folder = folder
        self._lock = threading.Lock()
        self.image_slots = threading.BoundedSemaphore(MAX_PARALLEL_IMAGES)
        self._indexes: dict[str, LayerIndex] = {}
        self._layer_locks: dict[str, threading.Lock] = {}

    def get_or_read(self, digest: str, read: Callable[[], LayerIndex]) -> LayerIndex:
        """Return a layer's index; on a miss one thread calls `read`, the others wait. Raises what `read` raises."""
        with self._lock:
            layer_lock = self._layer_locks.setdefault(digest, threading.Lock())
        with layer_lock:
            index = self._indexes.get(digest) or self._load(digest)
            if index is None:
                index = read()
                self._save(digest, index)
            self._keep_in_memory(digest, index)
            return index

    def _keep_in_memory(self, digest: str, index: LayerIndex) -> None:
        with self._lock:
            self._indexes.pop(digest, None)
            self._indexes[digest] = index
            total = sum(map(_size, self._indexes.values()))
            while total > MAX_MEMORY_BYTES:
                total -= _size(self._indexes.pop(next(iter(self._indexes))))

    def _path(self, digest: str) -> Path | None:
        """Return the file of a digest, named by its hash: a digest from a registry is untrusted text."""
        if self._folder is None:
            return None
        return self._folder / f"{FORMAT}-{hashlib.sha256(digest.encode()).hexdigest()}.json"

    def _load(self, digest: str) -> LayerIndex | None:
        path = self._path(digest)
        if path is None:
            return None
        try:
            require_private_directory(path.parent)
            index = LayerIndex.from_json(parse_json(read_plain(path, max_bytes=MAX_STORED_BYTES)))
            path.touch()
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return index

    def _save(self, digest: str, index: LayerIndex) -> None:
        """Write an index to the disk. A full or read-only disk fails no proof: the layer is read again next time."""
        path = self._path(digest)
        if path is None or _size(index) > MAX_FILE_BYTES:
            return
        with contextlib.suppress(OSError), self._lock:
            make_private_directory(path.parent)
            require_private_directory(path.parent)
            write_atomic(path, json.dumps(index.as_json(), separators=(",", ":")))
            _prune(path.parent)


def _size(index: LayerIndex) -> int:
    return index.memory


def _prune(folder: Path) -> None:
    """Remove the least recently used files until the rest is small enough; files of others stay."""
    paths = [path for path in folder.iterdir() if _NAME.match(path.name)]
    files = sorted(((path.lstat(), path) for path in paths), key=lambda pair: -pair[0].st_mtime)
    total = 0
    for status, path in files:
        total += status.st_size
        if total > MAX_DISK_BYTES:
            path.unlink(missing_ok=True)
