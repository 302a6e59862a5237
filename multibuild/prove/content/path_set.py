"""A set of paths in sixteen bytes each, where Python's own takes two hundred: an image may have a million files."""

from __future__ import annotations

import hashlib
import os
import sys
from array import array

DIGEST_BYTES = 8
SALT_BYTES = 16

_FREE, _REMOVED = 0, 1
"""Two values that mark places, and that digests are moved away from."""


def path_digest(path: str, salt: bytes) -> bytes:
    """Return the bytes that stand for a path.

    With a salt that nobody knows in advance: otherwise a layer could be made with two paths of one digest, of which one
    would hide the other.
    """
    text = path.encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, digest_size=DIGEST_BYTES, salt=salt).digest()


class PathSet:
    """An open-addressing hash table of salted digests, so that their low bits serve as the hash."""

    def __init__(self) -> None:
        self.salt = os.urandom(SALT_BYTES)
        self._places = array("Q", bytes(8 * 1024))
        self._used = 0

    def __contains__(self, path: str) -> bool:
        key = self._key(path)
        return self._places[self._place(key)] == key

    def add(self, path: str) -> None:
        """Add a path, which may be in the set."""
        key = self._key(path)
        place = self._place(key)
        if self._places[place] == key:
            return
        self._places[place] = key
        self._used += 1
        if 2 * self._used > len(self._places):
            self._grow()

    def discard(self, path: str) -> None:
        """Remove a path if it is in the set."""
        place = self._place(self._key(path))
        if self._places[place] != _FREE:
            self._places[place] = _REMOVED

    def digests(self) -> bytes:
        """Return the `path_digest` of every path, one behind the other."""
        keys = array("Q", (key for key in self._places if key > _REMOVED))
        if sys.byteorder == "little":
            keys.byteswap()
        return keys.tobytes()

    def _key(self, path: str) -> int:
        key = int.from_bytes(path_digest(path, self.salt), "big")
        return key if key > _REMOVED else key + 2

    def _place(self, key: int) -> int:
        """Return the place of a key, or the free one for it. At least half of all are free."""
        places, mask = self._places, len(self._places) - 1
        place = key & mask
        while places[place] != key and places[place] != _FREE:
            place = (place + 1) & mask
        return place

    def _grow(self) -> None:
        keys = self._places
        self._places = array("Q", bytes(16 * len(keys)))
        self._used = 0
        for key in keys:
            if key > _REMOVED:
                self._places[self._place(key)] = key
                self._used += 1
