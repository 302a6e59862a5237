"""Archives of layouts: read in place as a tar of a few kinds of members, never unpacked; and written.

A tar is refused where two readers could find two contents in it: the standard library's reader, GNU's and Go's differ
on repeated headers, sparse files and mixed dialects. Formats: POSIX.1-2017 pax, "ustar Interchange Format" and "pax
Header Block"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import os
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError
from multibuild.oci.local.files import FileSlice, open_regular

BLOCK_BYTES = 512
MAX_MEMBERS = 100_000
"""An image has some tens."""
MAX_EXTENSION_BYTES = 1024 * 1024
"""Of a PAX header or a GNU long name; the limit of Go's archive/tar (maxSpecialFileSize)."""

_LAYOUT_FILE = re.compile(
    r"(?:\./)?(oci-layout|index\.json|blobs/(?:sha256/[0-9a-f]{64}|sha512/[0-9a-f]{128}))\Z"
)
_OCTAL = re.compile(rb"[ \0]*+([0-7]*+)[ \0]*+\Z")
_PAX_RECORD = re.compile(rb"([1-9][0-9]{0,7}) ")
_OTHER_NUMBERS = ((100, 108), (108, 116), (116, 124), (136, 148), (329, 337), (337, 345))
_BASE_256 = frozenset({0x80, 0xFF})
_IN_OTHER_WORDS = frozenset({"path", "size"})
_DIVISIVE = ("GNU.sparse.", "hdrcharset", "linkpath")
_COMPRESSED = {
    b"\x1f\x8b": "compressed with gzip",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ\0": "compressed with xz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"PK\x03\x04": "a zip",
}
_REFUSED_KINDS = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a device",
    b"4": "a device",
    b"6": "a pipe",
    b"S": "a sparse file",
}


@frozen
class Archive:
    """An archive of a layout: where the bytes of each file are in it."""

    path: Path
    members: Mapping[str, tuple[int, int]]

    @contextmanager
    def open(self, name: str) -> Iterator[FileSlice]:
        """Open a member; the archive is opened again, as it may be read by several threads."""
        if name not in self.members:
            raise FileNotFoundError(name)
        start, size = self.members[name]
        with open_regular(self.path) as file:
            yield replace(file, name=f"{name} in {self.path}", start=start, size=size)


class NotAnArchive(ValueError):
    """A file that is no archive, or one that is refused, with the reason."""


def read_archive(path: Path) -> Archive:
    """Find the files of a layout in an archive; RegistryError for a file that is not read as one."""
    try:
        with open_regular(path) as file:
            return Archive(path=path, members=_layout_members(file))
    except (NotAnArchive, FileNotFoundError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise RegistryError(
            "invalid",
            f"{path} is no archive of an OCI layout that can be read: {reason}",
            hint="`skopeo copy`, buildx and `publish.to: oci-archive:FILE` write plain tar archives",
        ) from error


def _layout_members(file: FileSlice) -> dict[str, tuple[int, int]]:
    """Return the place and size of each file of a layout; other files are left where they are."""
    start = file.read_at(0, 8)
    for magic, kind in _COMPRESSED.items():
        if start.startswith(magic):
            raise NotAnArchive(f"it is {kind}")
    members: dict[str, tuple[int, int]] = {}
    for count, member in enumerate(_members(file)):
        if count >= MAX_MEMBERS:
            raise NotAnArchive(f"it has more than {MAX_MEMBERS} members")
        match = _LAYOUT_FILE.match(member.name)
        if match is None:
            continue
        if match[1] in members:
            raise NotAnArchive(f"it has {match[1]} twice")
        members[match[1]] = (member.start, member.size)
    if "oci-layout" not in members:
        raise NotAnArchive("it has no oci-layout file")
    return members


@frozen
class _Header:
    """A header block as it says itself; `start` is where its data begins."""

    name: str
    kind: bytes
    start: int
    size: int

    @property
    def end(self) -> int:
        """Where the next header is."""
        return self.start + -(-self.size // BLOCK_BYTES) * BLOCK_BYTES


def _members(file: FileSlice) -> Iterator[_Header]:
    """Yield the regular files of an archive, under the names and sizes that the headers before them give."""
    position, pending = 0, None
    while (header := _header_at(file, position)) is not None:
        position = header.end
        if header.kind in b"xgLK":
            if pending is not None:
                raise NotAnArchive("two readers would name a member differently: it has several headers")
            extension = _extension(header, file)
            pending = extension if header.kind != b"g" else None
            continue
        member = _extended(header, pending or {})
        position, pending = member.end, None
        if position > file.size:
            raise NotAnArchive(f"it ends in the middle of {member.name[:100]!r}")
        # Python's reader looks at the name in the header itself, others at the one that replaces it.
        is_folder = any(name.endswith("/") for name in (header.name, member.name))
        if member.kind in b"0\0" and not is_folder:
            yield member
        elif member.kind not in b"5\0" or member.size:
            raise _refused(member)
    if pending is not None:
        raise NotAnArchive("it ends after a header without a member")


def _refused(member: _Header) -> NotAnArchive:
    name = member.name[:100]
    if member.kind in b"05\0":
        return NotAnArchive(f"two readers would take {name!r} for a file or a folder")
    kind = _REFUSED_KINDS.get(member.kind, f"of the kind {member.kind.decode('latin-1')!r}")
    return NotAnArchive(f"{name!r} in it is {kind}; a layout has regular files only")


def _header_at(file: FileSlice, position: int) -> _Header | None:
    """Read a header; None at the end: two blocks of zeros, or the end of the file."""
    block = file.read_at(position, BLOCK_BYTES)
    if len(block) == BLOCK_BYTES and not any(block):
        if any(file.read_at(position + BLOCK_BYTES, BLOCK_BYTES)):
            raise NotAnArchive("two readers would end at different places: it has a lone block of zeros")
        return None
    if not block and position:
        return None
    if len(block) < BLOCK_BYTES:
        raise NotAnArchive("it ends in the middle of a header")
    blank = block[:148] + b" " * 8 + block[156:]
    if _number(block[148:156]) != sum(blank):
        raise NotAnArchive(f"there is no header at byte {position}")
    for first, end in _OTHER_NUMBERS:
        if block[first] not in _BASE_256 and not _OCTAL.match(block[first:end]):
            raise NotAnArchive(f"some readers end at byte {position}: a number in its header is none")
    return _Header(
        name=_name(block),
        kind=block[156:157],
        start=position + BLOCK_BYTES,
        size=_number(block[124:136]),
    )


def _name(block: bytes) -> str:
    """Return the name in a header; only POSIX headers have a prefix, and some readers take it from all."""
    name, prefix = (field.partition(b"\0")[0] for field in (block[:100], block[345:500]))
    if prefix and block[257:265] != b"ustar\x0000":
        raise NotAnArchive(f"two readers would name {_text(name)[:100]!r} differently: its dialect is mixed")
    return _text(prefix + b"/" + name if prefix else name)


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """Parse octal digits or GNU's base 256."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    match = _OCTAL.match(field)
    if match is None:
        raise NotAnArchive("a number in a header is not octal")
    return int(match[1] or b"0", 8)


def _extension(header: _Header, file: FileSlice) -> dict[str, str]:
    """Return what a PAX header or a GNU long name says of the next member: its path and size."""
    if header.size > MAX_EXTENSION_BYTES:
        raise NotAnArchive(f"a header of it has more than {MAX_EXTENSION_BYTES} bytes")
    data = file.read_at(header.start, header.end - header.start)
    if len(data) < header.size:
        raise NotAnArchive("it ends in the middle of a header")
    data, padding = data[: header.size], data[header.size :]
    if any(padding):
        raise NotAnArchive("two readers would name a member differently: a header goes on beyond its size")
    if header.kind == b"K":
        raise NotAnArchive("it has the name of a link; a layout has regular files only")
    if header.kind == b"L":
        name, _, rest = data.partition(b"\0")
        if any(rest):
            raise NotAnArchive("two readers would name a member differently: a long name has a NUL in it")
        return {"path": _text(name)}
    records = dict(_pax_records(data))
    words = {key for key in records if key.startswith(_DIVISIVE)}
    words |= _IN_OTHER_WORDS & records.keys() if header.kind == b"g" else set()
    if words:
        raise NotAnArchive(f"two readers would read its PAX header differently: {min(words)[:40]}")
    return {key: value for key, value in records.items() if key in _IN_OTHER_WORDS}


def _pax_records(data: bytes) -> Iterator[tuple[str, str]]:
    """Yield the `LENGTH KEYWORD=VALUE` records of a PAX header, each keyword once."""
    seen: set[bytes] = set()
    position = 0
    while position < len(data):
        match = _PAX_RECORD.match(data, position)
        end = position + int(match[1]) if match else 0
        keyword, equals, value = data[match.end() if match else 0 : max(end - 1, 0)].partition(b"=")
        if not match or end > len(data) or data[end - 1 : end] != b"\n" or not equals or not keyword:
            raise NotAnArchive("it has a PAX header that is none")
        if keyword in seen:
            raise NotAnArchive(f"it has a PAX header with {_text(keyword)[:40]!r} twice")
        seen.add(keyword)
        if keyword == b"path" and (not value or b"\0" in value or not _is_utf8(value)):
            raise NotAnArchive("it has a PAX header whose path is no text")
        yield _text(keyword), _text(value)
        position = end


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _extended(header: _Header, extension: Mapping[str, str]) -> _Header:
    size = extension.get("size", "0")
    if not (size.isascii() and size.isdecimal() and len(size) < 20):
        raise NotAnArchive("a PAX header of it has a size that is none")
    return replace(
        header,
        name=extension.get("path", header.name),
        size=int(size) if "size" in extension else header.size,
    )


def pack(layout: Path, archive: Path) -> None:
    """Archive a layout: the same layout gives the same bytes; the file is created atomically."""
    handle, name = tempfile.mkstemp(dir=archive.parent, prefix=f".{archive.name}.")
    try:
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            for path in sorted(layout.rglob("*")):
                info = tarfile.TarInfo(str(path.relative_to(layout)))
                info.mode = 0o755 if path.is_dir() else 0o644
                if path.is_dir():
                    info.type = tarfile.DIRTYPE
                    tar.addfile(info)
                    continue
                info.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(info, content)
        Path(name).chmod(0o644)
        Path(name).replace(archive)
    finally:
        Path(name).unlink(missing_ok=True)
