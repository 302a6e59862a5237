"""The build context as BuildKit receives it: what .dockerignore leaves, file by file, and a name for all of it.

The rules are those of github.com/moby/patternmatcher: patterns are anchored, `**` passes slashes, a pattern that
matches a directory holds for everything below, and the last pattern that matches decides.
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

CHUNK = 1024 * 1024
PIECE = 32 * CHUNK
"""Bytes of a large file that one thread hashes at a time: SHA-256 of 1.7 GB/s on each processor."""

SMALL = CHUNK
"""Bytes; a thread for less is not worth its while, as small files are a matter of Python more than of hashing."""

HASHERS = min(4, os.cpu_count() or 1)
CAPABILITY = "security.capability"
"""The one extended attribute that changes what a file does; labels of the host's own are left out."""

Unwanted = Callable[[], bool]
"""Whether nobody waits for the result any more: hashing goes on in a thread, which nothing else can end."""


@dataclass(frozen=True, kw_only=True, slots=True)  # one for each file: quicker to make than with @frozen
class ContextFile:
    """One entry: its path below the root, with slashes, and its lstat(2)."""

    name: str
    info: os.stat_result

    @property
    def bytes(self) -> int:
        """What its upload takes."""
        return self.info.st_size if stat.S_ISREG(self.info.st_mode) else 0


def context_files(root: Path, ignore: Ignore) -> tuple[ContextFile, ...]:
    """List what is sent of `root`, sorted by name. OSError when a directory cannot be read."""
    return tuple(sorted(_walk(root, "", ignore, ()), key=lambda file: file.name))


def content_digest(
    root: Path, files: Sequence[ContextFile], unwanted: Unwanted = lambda: False
) -> str | None:
    """Hash names, kinds, permissions, capabilities, link targets and contents; OSError for an unreadable file.

    Times and owners are left out: BuildKit leaves them out too. None when it was `unwanted` before the end.
    """
    whole = hashlib.sha256()
    pool = ThreadPoolExecutor(max_workers=HASHERS)
    try:
        large = {
            file.name: [
                pool.submit(_piece, root / file.name, start, unwanted)
                for start in range(0, file.bytes, PIECE)
            ]
            for file in files
            if file.bytes > SMALL
        }
        for file in files:
            path, info = root / file.name, file.info
            whole.update(f"{file.name}\0{info.st_mode:o}\0{file.bytes}\0".encode("utf-8", "surrogateescape"))
            if stat.S_ISLNK(info.st_mode):
                whole.update(os.fsencode(path.readlink()))
            elif stat.S_ISREG(info.st_mode):
                pieces = large.get(file.name)
                whole.update(
                    b"".join(piece.result() for piece in pieces) if pieces else _piece(path, 0, unwanted)
                )
                whole.update(hashlib.sha256(_capability(path)).digest())
            if unwanted():
                return None
        return whole.hexdigest()
    finally:
        pool.shutdown(cancel_futures=True)


def stamp_of(files: Sequence[ContextFile]) -> str:
    """Name the state of files without reading them: whatever is written to changes its inode's times."""
    whole = hashlib.sha256()
    for file in files:
        info = file.info
        seen = (info.st_mode, info.st_size, info.st_mtime_ns, info.st_ctime_ns, info.st_ino)
        whole.update(f"{file.name}\0{seen}\0".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()


def _piece(path: Path, start: int, unwanted: Unwanted) -> bytes:
    own = hashlib.sha256()
    left = PIECE
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while not unwanted() and (chunk := file.read(min(CHUNK, left))):
            own.update(chunk)
            left -= len(chunk)
    return own.digest()


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
            ignored = ignore.leaves_out(matched)
            if ignored and not (ignore.has_exceptions and entry.is_dir(follow_symlinks=False)):
                continue
            file = ContextFile(name=name, info=entry.stat(follow_symlinks=False))
            inside = _walk(root, name, ignore, matched) if entry.is_dir(follow_symlinks=False) else iter(())
            if ignored:
                # An ignored directory is sent after all when something in it is not ignored.
                kept = tuple(inside)
                yield from (file, *kept) if kept else ()
            else:
                yield file
                yield from inside
