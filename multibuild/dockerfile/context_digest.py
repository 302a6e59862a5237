"""The build context as BuildKit receives it: the files that .dockerignore leaves, and a digest of all of them.

The rules are those of github.com/moby/patternmatcher: patterns are anchored, `**` matches slashes, a pattern that
matches a directory applies to everything below it, and the last matching pattern decides.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from multibuild.dockerfile.ignore import Ignore

CHUNK_BYTES = 1024 * 1024
PIECE_BYTES = 32 * CHUNK_BYTES
"""Bytes of a large file that one thread hashes at a time: SHA-256 runs at 1.7 GB/s on each processor."""

MIN_THREADED_BYTES = CHUNK_BYTES
"""Size from which a file is hashed in threads: for smaller ones Python takes more time than the hashing."""

HASH_THREADS = min(4, os.cpu_count() or 1)
CAPABILITY = "security.capability"
"""The one extended attribute that changes what a file does; labels of the host are not hashed."""

IsCancelled = Callable[[], bool]
"""Whether the result is no longer needed: hashing runs in a thread, which nothing else can end."""


@dataclass(frozen=True, kw_only=True, slots=True)  # one for each file: cheaper to create than with @frozen
class ContextFile:
    """One entry: its path below the root, with slashes, and its lstat(2)."""

    name: str
    info: os.stat_result

    @property
    def bytes(self) -> int:
        """The size of its upload."""
        return self.info.st_size if stat.S_ISREG(self.info.st_mode) else 0


def context_files(root: Path, ignore: Ignore) -> tuple[ContextFile, ...]:
    """Return the files of `root` that are sent, sorted by name. Raises OSError for an unreadable directory."""
    return tuple(sorted(_walk(root, "", ignore, ()), key=lambda file: file.name))


def content_digest(
    root: Path, files: Sequence[ContextFile], is_cancelled: IsCancelled = lambda: False
) -> str | None:
    """Hash names, kinds, permissions, capabilities, link targets and contents.

    Times and owners are left out, as in BuildKit. None when `is_cancelled` became true before the end. Raises OSError
    for an unreadable file.
    """
    whole = hashlib.sha256()
    pool = ThreadPoolExecutor(max_workers=HASH_THREADS)
    try:
        large = {
            file.name: [
                pool.submit(_piece, root / file.name, start, is_cancelled)
                for start in range(0, file.bytes, PIECE_BYTES)
            ]
            for file in files
            if file.bytes > MIN_THREADED_BYTES
        }
        for file in files:
            path, info = root / file.name, file.info
            whole.update(f"{file.name}\0{info.st_mode:o}\0{file.bytes}\0".encode("utf-8", "surrogateescape"))
            if stat.S_ISLNK(info.st_mode):
                whole.update(os.fsencode(path.readlink()))
            elif stat.S_ISREG(info.st_mode):
                pieces = large.get(file.name)
                whole.update(
                    b"".join(piece.result() for piece in pieces) if pieces else _piece(path, 0, is_cancelled)
                )
                whole.update(hashlib.sha256(_capability(path)).digest())
            if is_cancelled():
                return None
        return whole.hexdigest()
    finally:
        pool.shutdown(cancel_futures=True)


def stat_digest(files: Sequence[ContextFile]) -> str:
    """Hash the files' lstat(2) without reading them: every write changes an inode's times."""
    whole = hashlib.sha256()
    for file in files:
        info = file.info
        state = (info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
        whole.update(f"{file.name}\0{state}\0".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _piece(path: Path, start: int, is_cancelled: IsCancelled) -> bytes:
    digest = hashlib.sha256()
    remaining = PIECE_BYTES
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while not is_cancelled() and (chunk := file.read(min(CHUNK_BYTES, remaining))):
            digest.update(chunk)
            remaining -= len(chunk)
    return digest.digest()


def _capability(path: Path) -> bytes:
    try:
        return os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except (OSError, AttributeError):
        return b""


def _walk(root: Path, below: str, ignore: Ignore, above: tuple[bool, ...]) -> Iterator[ContextFile]:
    with os.scandir(root / below) as entries:
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            matched = ignore.matches(name, above) if ignore.rules else ()
            ignored = ignore.is_ignored(matched)
            if ignored and not (ignore.has_exceptions and entry.is_dir(follow_symlinks=False)):
                continue
            file = ContextFile(name=name, info=entry.stat(follow_symlinks=False))
            inside = _walk(root, name, ignore, matched) if entry.is_dir(follow_symlinks=False) else iter(())
            if ignored:
                # An ignored directory is sent if something in it is not ignored.
                included = tuple(inside)
                yield from (file, *included) if included else ()
            else:
                yield file
                yield from inside
