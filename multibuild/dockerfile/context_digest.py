"""The build context as BuildKit receives it: the files that .dockerignore leaves, and a digest of all of them.

The rules are those of github.com/moby/patternmatcher: patterns are anchored, `**` matches slashes, a pattern that
matches a directory applies to everything below it, and the last matching pattern decides.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from multibuild.dockerfile.ignore import Ignore
from multibuild.frozen import frozen
from multibuild.regular_file import open_regular

CHUNK_BYTES = 1024 * 1024
PIECE_BYTES = 32 * CHUNK_BYTES
"""Bytes of a large file that one thread hashes at a time: SHA-256 runs at 1.7 GB/s on each processor."""

MIN_THREADED_BYTES = CHUNK_BYTES
"""Size from which a file is hashed in threads: for smaller ones Python takes more time than the hashing."""

HASH_THREADS = min(4, os.cpu_count() or 1)
MAX_HASHED_BYTES = 1 << 40
"""Larger contexts have no digest: a sparse file of a few blocks can be an exbibyte."""

CAPABILITY = "security.capability"
"""The one extended attribute that changes what a file does; labels of the host are not hashed."""

_HASHED_KINDS = frozenset({stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK})

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
    files = {file.name: file for file in _walk(root, ignore)}
    return tuple(files[name] for name in sorted(files))


def special_file(files: Sequence[ContextFile]) -> ContextFile | None:
    """Return the first file that has no content to be hashed: a socket, a pipe or a device."""
    return next((file for file in files if stat.S_IFMT(file.info.st_mode) not in _HASHED_KINDS), None)


def _mode(file: ContextFile) -> int:
    """Return kind and permissions as they get into an image: a link has none of its own there, on macOS it has."""
    mode = file.info.st_mode
    return stat.S_IFLNK | 0o777 if stat.S_ISLNK(mode) else mode


def content_digest(
    root: Path,
    files: Sequence[ContextFile],
    is_cancelled: IsCancelled = lambda: False,
    hashed: MutableMapping[str, bytes] | None = None,
) -> str | None:
    """Hash names, kinds, permissions, capabilities, link targets and contents.

    Times and owners are left out, as in BuildKit; permissions of group and others are not, as BuildKit copies them into
    the image. None when `is_cancelled` became true before the end, or for more than
    MAX_HASHED_BYTES. Raises OSError for an unreadable file, or one that became a pipe or a device. Files whose hashes
    are in `hashed`, by name, are not read again; those of others are added.
    """
    if sum(file.bytes for file in files) > MAX_HASHED_BYTES:
        return None
    whole = hashlib.sha256()
    hashed = {} if hashed is None else hashed
    pool = ThreadPoolExecutor(max_workers=HASH_THREADS)
    try:
        large = {
            file.name: [
                pool.submit(_piece, root / file.name, start, is_cancelled)
                for start in range(0, file.bytes, PIECE_BYTES)
            ]
            for file in files
            if file.bytes > MIN_THREADED_BYTES and file.name not in hashed
        }
        for file in files:
            path, info = root / file.name, file.info
            whole.update(f"{file.name}\0{_mode(file):o}\0{file.bytes}\0".encode("utf-8", "surrogateescape"))
            if stat.S_ISLNK(info.st_mode):
                whole.update(os.fsencode(os.readlink(path)))  # noqa: PTH115 - Path drops `./` and a slash at the end
            elif stat.S_ISREG(info.st_mode):
                if file.name not in hashed:
                    pieces = large.get(file.name)
                    content = (
                        b"".join(piece.result() for piece in pieces)
                        if pieces
                        else _piece(path, 0, is_cancelled)
                    )
                    if is_cancelled():
                        return None
                    hashed[file.name] = content + hashlib.sha256(_capability(path)).digest()
                whole.update(hashed[file.name])
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
    with open_regular(path) as file:
        file.seek(start)
        while not is_cancelled() and (chunk := os.read(file.fileno(), min(CHUNK_BYTES, remaining))):
            digest.update(chunk)
            remaining -= len(chunk)
    return digest.digest()


def _capability(path: Path) -> bytes:
    try:
        return os.getxattr(path, CAPABILITY, follow_symlinks=False)
    except (OSError, AttributeError):
        return b""


@frozen
class _Directory:
    """A directory to be read. `matched` rules match it; `withheld` is its own entry while nothing in it is sent."""

    name: str
    matched: tuple[bool, ...] = ()
    withheld: ContextFile | None = None
    parent: _Directory | None = None


def _walk(root: Path, ignore: Ignore) -> Iterator[ContextFile]:
    """Yield what is sent; a directory may come after what is in it, or twice.

    Directories wait in a list: a tree can be deeper than Python's stack.
    """
    pending = [_Directory(name="")]
    while pending:
        directory = pending.pop()
        with os.scandir(root / directory.name) as entries:
            for entry in entries:
                name = f"{directory.name}/{entry.name}" if directory.name else entry.name
                matched = ignore.matches(name, directory.matched) if ignore.rules else ()
                ignored = ignore.is_ignored(matched)
                is_directory = entry.is_dir(follow_symlinks=False)
                if ignored and not (ignore.has_exceptions and is_directory):
                    continue
                file = ContextFile(name=name, info=entry.stat(follow_symlinks=False))
                if is_directory:
                    withheld = file if ignored else None
                    pending.append(
                        _Directory(name=name, matched=matched, withheld=withheld, parent=directory)
                    )
                if not ignored:
                    yield file
                    yield from _withheld(directory)


def _withheld(directory: _Directory) -> Iterator[ContextFile]:
    """Yield the ignored directories around something that is sent: they are sent, too."""
    above: _Directory | None = directory
    while above is not None and above.withheld is not None:
        yield above.withheld
        above = above.parent
