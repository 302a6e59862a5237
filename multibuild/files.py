"""Files that others may have prepared: opened without following links, read within limits, written atomically."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path


class UnsafeFile(OSError):
    """A path that holds something else than a plain file or directory of this user; `strerror` is what it holds."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(errno.EPERM, problem, str(path))


def open_plain(path: Path, flags: int = os.O_RDONLY) -> int:
    """Open a plain file; UnsafeFile for a link (it is not followed), a pipe, a device or a directory."""
    try:
        # Without O_NONBLOCK, opening a pipe waits for its other end (open(2)).
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY, 0o600)
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.EMLINK, errno.ENXIO, errno.EISDIR}:
            problem = "is no plain file, but a symbolic link" if path.is_symlink() else "is no plain file"
            raise UnsafeFile(path, problem) from error
        raise
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnsafeFile(path, "is no plain file")
    return handle


def open_private(path: Path, flags: int) -> int:
    """Open or create a file of this user for writing, with mode 0600; UnsafeFile for one that is not its alone."""
    handle = open_plain(path, flags | os.O_CREAT)
    try:
        status = os.fstat(handle)
        _require_owner(path, status)
        if status.st_nlink > 1:
            raise UnsafeFile(path, "has another name, too (a hard link)")
        if stat.S_IMODE(status.st_mode) != 0o600:
            os.fchmod(handle, 0o600)
    except OSError:
        os.close(handle)
        raise
    return handle


def _require_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise UnsafeFile(path, f"belongs to another user (uid {status.st_uid})")


def read_plain(path: Path, *, max_bytes: int) -> bytes:
    """Return the content of a plain file; UnsafeFile for any other, and for one of more than `max_bytes`."""
    with os.fdopen(open_plain(path), "rb") as file:
        content = file.read(max_bytes + 1) if os.fstat(file.fileno()).st_size <= max_bytes else None
    if content is None or len(content) > max_bytes:
        raise UnsafeFile(path, f"has more than {max_bytes} bytes")
    return content


def is_plain_directory(path: Path) -> bool:
    """Whether it is a directory, and not a link to one."""
    try:
        return stat.S_ISDIR(path.lstat().st_mode)
    except OSError:
        return False


def require_own_directory(path: Path) -> None:
    """Raise UnsafeFile unless it is a directory of this user, and not a link to one; OSError if it is not there."""
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise UnsafeFile(path, "is a symbolic link")
    if not stat.S_ISDIR(status.st_mode):
        raise UnsafeFile(path, "is no directory")
    _require_owner(path, status)


def require_private_directory(path: Path) -> None:
    """Raise UnsafeFile for a directory that is not this user's, or that others may write to."""
    require_own_directory(path)
    if path.lstat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise UnsafeFile(path, "can be written by other users")


def make_parents(path: Path) -> None:
    """Create the missing parents of a path; only their owner may write to them, whatever the umask."""
    for parent in reversed(path.parents):
        if not parent.exists():
            parent.mkdir(mode=0o755, exist_ok=True)


def make_private_directory(path: Path) -> None:
    """Create a directory for this user alone, and its missing parents; one that is there keeps its mode."""
    make_parents(path)
    path.mkdir(mode=0o700, exist_ok=True)


def remove_tree(path: Path) -> None:
    """Remove a directory of this user and everything in it; links in it are removed, never followed. OSError."""
    if not shutil.rmtree.avoids_symlink_attacks:
        raise UnsafeFile(path, "cannot be removed safely on this system")
    parent = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        require_own_directory(path)
        shutil.rmtree(path.name, dir_fd=parent)
    finally:
        os.close(parent)


def write_atomic(path: Path, content: str | bytes, *, mode: int = 0o600) -> None:
    """Replace a file atomically: a reader sees the old or the new content, never a part, even after a kill.

    Characters that UTF-8 cannot encode (half a surrogate pair from a file name) become "?". Raises OSError.
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """Flush a directory's entries to the disk: a file's own fsync does not do that (fsync(2))."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
