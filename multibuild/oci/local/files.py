"""Files of others, opened without following links and without waiting for a pipe."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError

CHUNK_BYTES = 1024 * 1024
_COPY_AGAIN = "copy it again, or to another disk"
_READ = os.O_RDONLY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a directory",
    stat.S_IFLNK: "a symbolic link",
}


@frozen
class FileSlice:
    """Bytes of an open regular file, from `start` on. `name` is for messages."""

    name: str
    descriptor: int
    start: int
    size: int

    def chunks(self) -> Iterator[bytes]:
        """Stream them; RegistryError when they cannot be read, or when the file has become shorter."""
        position, end = self.start, self.start + self.size
        while position < end:
            chunk = self.read_at(position, min(CHUNK_BYTES, end - position))
            if not chunk:
                raise RegistryError(
                    "invalid", f"{self.name} became shorter while it was read", hint=_COPY_AGAIN
                )
            position += len(chunk)
            yield chunk

    def read_at(self, position: int, size: int) -> bytes:
        """Read from a position in the whole file, fewer bytes than `size` at its end."""
        try:
            return os.pread(self.descriptor, size, position)
        except OSError as error:
            message = f"{self.name} cannot be read: {error.strerror}"
            raise RegistryError("invalid", message, hint=_COPY_AGAIN) from error

    def content(self, max_bytes: int) -> bytes:
        """Return all of it; RegistryError for more than `max_bytes`."""
        if self.size > max_bytes:
            raise RegistryError(
                "invalid", f"{self.name} has more than {max_bytes} bytes", hint="is it what it should be?"
            )
        return b"".join(self.chunks())


class LayoutFiles(Protocol):
    """The files of a layout by their names in it, as `blobs/sha256/…`."""

    @property
    def path(self) -> Path:
        """Where they are, for messages."""

    def open(self, name: str) -> AbstractContextManager[FileSlice]:
        """Open a file. FileNotFoundError when it is missing, RegistryError when it is no regular file."""


@frozen
class Directory:
    """The files below a directory. Its own path may be a link, nothing below it."""

    path: Path

    @contextmanager
    def open(self, name: str) -> Iterator[FileSlice]:
        """Open a file, one component after the other."""
        *folders, last = name.split("/")
        path = self.path
        with ExitStack() as stack:
            folder = _opened(stack, path, os.O_DIRECTORY, None)
            for part in folders:
                path /= part
                folder = _opened(stack, path, os.O_DIRECTORY | os.O_NOFOLLOW, folder)
            path /= last
            # Without O_NONBLOCK, opening a pipe waits for its writer.
            yield _slice(path, _opened(stack, path, os.O_NONBLOCK | os.O_NOFOLLOW, folder))


@contextmanager
def open_regular(path: Path) -> Iterator[FileSlice]:
    """Open a file that the user named: its path may be a link. Errors as those of `LayoutFiles.open`."""
    with ExitStack() as stack:
        yield _slice(path, _opened(stack, path, os.O_NONBLOCK, None))


def _opened(stack: ExitStack, path: Path, flags: int, folder: int | None) -> int:
    try:
        descriptor = os.open(path if folder is None else path.name, _READ | flags, dir_fd=folder)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from error
    stack.callback(os.close, descriptor)
    return descriptor


def _slice(path: Path, descriptor: int) -> FileSlice:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise _of_another_kind(path, status.st_mode)
    return FileSlice(name=str(path), descriptor=descriptor, start=0, size=status.st_size)


def _unreadable(path: Path, error: OSError) -> RegistryError:
    """Return the error for a path that cannot be opened: often it is of another kind."""
    try:
        mode = path.lstat().st_mode
    except OSError:
        mode = stat.S_IFREG
    if stat.S_ISLNK(mode) and error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EMLINK}:
        return RegistryError(
            "invalid",
            f"{path} is a symbolic link, which is not followed",
            hint="copy the layout with `cp -RL`, if you trust where its links lead",
        )
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return _of_another_kind(path, mode)
    return RegistryError("invalid", f"{path} cannot be read: {error.strerror}", hint="what is it?")


def _of_another_kind(path: Path, mode: int) -> RegistryError:
    kind = _KINDS.get(stat.S_IFMT(mode), "something else")
    return RegistryError(
        "invalid", f"{path} is no regular file but {kind}", hint="a layout has none of these"
    )
