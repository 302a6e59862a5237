"""A streaming tar reader: members one at a time, in constant memory for a layer of any size.

The standard library's reader loads every PAX, long-name and sparse header whole, of whatever size the file claims
(a 2.9 MB layer took 816 MB); here a claimed size is checked before a byte of it is read.

Headers are read as Go's archive/tar reads them (reader.go, strconv.go), which engines unpack layers with. A header that
other readers understand differently is refused: an image must not show one program to a proof and run another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from multibuild.frozen import frozen
from multibuild.prove.content.tar_header import (
    BLOCK,
    KINDS,
    MemberKind,
    UnreadableLayer,
    check,
    decimal_of,
    has_device_number,
    name_of,
    number_of,
    quoted,
    text_of,
)

_WITH_DATA = ("file", "sparse", "unknown")
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_OLD_FILE, _CHARACTER_DEVICE = b"\0", b"3"
_PAX, _PAX_GLOBAL = b"x", b"g"
_LONG_NAME, _LONG_TARGET = b"L", b"K"
_EXTENSIONS = (_PAX, _LONG_NAME, _LONG_TARGET)
MAX_OCTAL_SIZE = 8**11
"""The size from which a header's 11 octal digits do not suffice, so that its size field need not agree with PAX."""

# Of one PAX header, what changes which file has which bytes.
_PATH, _LINK_PATH, _SIZE = "path", "linkpath", "size"
_SPARSE_KEYS = "GNU.sparse."
# Extended attributes by which overlayfs redirects, hides and borrows files (Documentation/filesystems/overlayfs.rst).
_OVERLAY_KEYS = ("SCHILY.xattr.trusted.overlay.", "SCHILY.xattr.user.overlay.")


MAX_MEMBERS = 2_000_000
"""Members of a layer, and of all layers of an image: the largest public images have about a million files."""


@frozen
class TarLimits:
    """Limits of one layer. `header_bytes` are those of the PAX and long-name headers in front of one member."""

    header_bytes: int = 1 << 20
    path_characters: int = 4096
    members: int = MAX_MEMBERS
    file_bytes: int = 64 << 30


@dataclass(frozen=True, kw_only=True, slots=True)  # one for each file: cheaper to create than with @frozen
class Member:
    """A tar member. `head` is the start of a file's data, `mode` its permission bits, `target` that of a link.

    `parts` are further spans of its data, each with its offset.
    """

    path: str
    kind: MemberKind
    target: str
    mode: int
    size: int
    head: bytes
    parts: tuple[tuple[int, bytes], ...] = ()

    def data_at(self, offset: int, length: int) -> bytes:
        """Return the available bytes of a span of the data: all of it, only its start, or none."""
        for at, data in ((0, self.head), *self.parts):
            if at <= offset < at + len(data):
                return data[offset - at : offset - at + length]
        return b""


@frozen
class DataSelection:
    """The selected part of a file's data: its first `head_bytes`, and the spans (offset, length) of `spans`.

    `spans` is called with the head and the file's size; its spans are in order and begin behind the head.
    """

    head_bytes: int
    spans: Callable[[bytes, int], Sequence[tuple[int, int]]] = lambda _head, _size: ()


@dataclass(kw_only=True, slots=True)
class _Extension:
    """The extended headers in front of a member. `conflict` is what readers disagree about; empty for nothing."""

    long_name: str = ""
    long_target: str = ""
    pax: Mapping[str, str] | None = None
    read: int = 0
    conflict: str = ""


class ByteStream:
    """Exact reads from chunks of any size."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._buffer = b""
        self._at = 0

    def read(self, size: int) -> bytes:
        """Return `size` bytes, or fewer at the end of the stream."""
        parts, missing = [], size
        while missing and self._fill():
            part = self._buffer[self._at : self._at + missing]
            self._at += len(part)
            missing -= len(part)
            parts.append(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def exactly(self, size: int) -> bytes:
        """Return `size` bytes; raises UnreadableLayer when there are fewer."""
        data = self.read(size)
        if len(data) != size:
            raise UnreadableLayer("a layer ends in the middle of a file")
        return data

    def skip(self, size: int) -> None:
        """Skip `size` bytes; raises UnreadableLayer when there are fewer."""
        while size:
            if not self._fill():
                raise UnreadableLayer("a layer ends in the middle of a file")
            step = min(size, len(self._buffer) - self._at)
            self._at += step
            size -= step

    def _fill(self) -> bool:
        while self._at == len(self._buffer):
            chunk = next(self._chunks, None)
            if chunk is None:
                return False
            self._buffer, self._at = chunk, 0
        return True


def read_members(
    chunks: Iterator[bytes], *, selection: DataSelection, limits: TarLimits | None = None
) -> Iterator[Member]:
    """Return the members of an uncompressed tar in order. Raises UnreadableLayer."""
    limits = limits or TarLimits()
    stream, extension, count = ByteStream(chunks), _Extension(), 0
    while (block := _header(stream)) is not None:
        typeflag = block[156:157]
        if typeflag in _EXTENSIONS:
            _extend(stream, typeflag, number_of(block[124:136]), extension, limits)
            continue
        count += 1
        if count > limits.members:
            raise UnreadableLayer(f"a layer has more than {limits.members} files")
        if typeflag == _PAX_GLOBAL:
            yield _global(stream, block, extension, limits)
        else:
            yield _member(stream, block, extension, selection=selection, limits=limits)
        extension = _Extension()
    for _ in chunks:  # to the end, so that a caller that verifies the stream's digest sees all of it
        pass


def _header(stream: ByteStream) -> bytes | None:
    """Return the next header; None at the end: that of the stream, or a block of zeros that no other block follows."""
    block = stream.read(BLOCK)
    if not block:
        return None
    if len(block) == BLOCK and not any(block):
        if any(stream.read(BLOCK)):
            raise UnreadableLayer("a layer has a file behind a block of zeros, at which some readers stop")
        return None
    check(block)
    return block


def _member(
    stream: ByteStream, block: bytes, extension: _Extension, *, selection: DataSelection, limits: TarLimits
) -> Member:
    pax = extension.pax or {}
    path = extension.long_name or pax.get(_PATH) or name_of(block)
    target = extension.long_target or pax.get(_LINK_PATH) or text_of(block[157:257])
    kind = _kind(block, path)
    if len(path) > limits.path_characters or len(target) > limits.path_characters:
        raise UnreadableLayer(f"a layer has a path longer than {limits.path_characters} characters")
    size = _size(block, pax, extension)
    if block[156:157] == _OLD_FILE:
        # An old directory is known by its slash, for which some look into the header alone.
        slashes = {path.endswith("/"), name_of(block).endswith("/")}
        if slashes == {True, False} or (True in slashes and size):
            extension.conflict = "a directory's name and is none"
    size = size if kind in _WITH_DATA else 0
    _require_one_meaning(path, target, pax, extension)
    if not 0 <= size <= limits.file_bytes:
        raise UnreadableLayer(f"a layer has a file of {size} bytes: {quoted(path)}")
    if kind == "sparse":
        _skip_sparse_map(stream, block, limits)
    head, parts = _read_data(stream, size, selection)
    stream.skip(-size % BLOCK)
    mode = number_of(block[100:108]) & 0o7777
    return Member(path=path, kind=kind, target=target, mode=mode, size=size, head=head, parts=parts)


def _kind(block: bytes, path: str) -> MemberKind:
    typeflag = block[156:157]
    if typeflag == _OLD_FILE and path.endswith("/"):
        return "directory"
    if typeflag == _CHARACTER_DEVICE and not has_device_number(block):
        return "device 0:0"
    return KINDS.get(typeflag, "unknown")


def _size(block: bytes, pax: Mapping[str, str], extension: _Extension) -> int:
    """Return the size of a file's data: that of PAX, which must not contradict the header's."""
    own = number_of(block[124:136])
    if own < 0 or not pax.get(_SIZE):
        return own
    size = decimal_of(pax[_SIZE])
    if own not in (0, size) and size < MAX_OCTAL_SIZE and block[156:157] not in _WITHOUT_DATA:
        extension.conflict = extension.conflict or "two sizes"
    return size


def _require_one_meaning(path: str, target: str, pax: Mapping[str, str], extension: _Extension) -> None:
    """Raise UnreadableLayer for a member that readers of tar understand differently."""
    conflict = extension.conflict
    if "" in (pax.get(_PATH), pax.get(_SIZE), pax.get(_LINK_PATH) if target else None):
        conflict = "an empty PAX record"
    elif pax.get(_PATH, path) not in ("", path):
        conflict = "a GNU long name and another PAX path"
    elif pax.get(_LINK_PATH, target) not in ("", target):
        conflict = "a GNU long link and another PAX link path"
    elif any(key.startswith(_SPARSE_KEYS) for key in pax):
        conflict = "PAX headers of a sparse file"
    elif any(key.startswith(_OVERLAY_KEYS) for key in pax):
        conflict = "attributes of overlayfs"
    if conflict:
        raise UnreadableLayer(f"a layer is ambiguous: {quoted(path)} has {conflict}")


def _global(stream: ByteStream, block: bytes, extension: _Extension, limits: TarLimits) -> Member:
    """Read a global PAX header, which engines ignore and other readers apply to all that follow.

    It is a member, as engines remove the file of its name.
    """
    path = name_of(block)
    if extension != _Extension():
        raise UnreadableLayer(f"a layer is ambiguous: extended headers in front of {quoted(path)}")
    records = _pax_records(_extension_data(stream, number_of(block[124:136]), extension, limits), extension)
    _require_one_meaning(path, "", dict.fromkeys(records, ""), extension)
    if records.keys() & {_PATH, _LINK_PATH, _SIZE}:
        raise UnreadableLayer(f"a layer is ambiguous: {quoted(path)} is a global header for names or sizes")
    return Member(path=path, kind="global", target="", mode=0, size=0, head=b"")


def _read_data(
    stream: ByteStream, size: int, selection: DataSelection
) -> tuple[bytes, tuple[tuple[int, bytes], ...]]:
    """Read a file's data to its end; return its head and the selected spans."""
    head = stream.exactly(min(size, selection.head_bytes))
    parts, at = [], len(head)
    for offset, length in selection.spans(head, size):
        stream.skip(offset - at)
        parts.append((offset, stream.exactly(length)))
        at = offset + length
    stream.skip(size - at)
    return head, tuple(parts)


def _extend(stream: ByteStream, typeflag: bytes, size: int, extension: _Extension, limits: TarLimits) -> None:
    """Read one extended header. Of several of a kind some readers take the first, others the last or all."""
    data = _extension_data(stream, size, extension, limits)
    text = text_of(data)
    if not text:
        extension.conflict = "an empty extended header"
    if typeflag == _PAX:
        if extension.pax is not None:
            extension.conflict = "two PAX headers"
        extension.pax = _pax_records(data, extension)
    elif typeflag == _LONG_NAME:
        if extension.long_name not in ("", text):
            extension.conflict = "two GNU long names"
        extension.long_name = text
    else:
        if extension.long_target not in ("", text):
            extension.conflict = "two GNU long links"
        extension.long_target = text


def _extension_data(stream: ByteStream, size: int, extension: _Extension, limits: TarLimits) -> bytes:
    """Read an extended header's data. The limit is for all in front of a member, so that a chain does not evade it."""
    extension.read += max(size, 0) + BLOCK
    if size < 0 or extension.read > limits.header_bytes:
        raise UnreadableLayer(f"a layer has a tar header of more than {limits.header_bytes} bytes")
    data = stream.exactly(size)
    if any(stream.exactly(-size % BLOCK)):
        raise UnreadableLayer(
            "a layer is ambiguous: an extended header goes on behind its size, where some readers stop"
        )
    return data


def _pax_records(data: bytes, extension: _Extension) -> dict[str, str]:
    """Parse records of length, key and value, each ending in a newline (POSIX.1-2017 pax, "pax Extended Header")."""
    records: dict[str, str] = {}
    at = 0
    while at < len(data) and data[at]:
        digits, space, _ = data[at : at + 20].partition(b" ")
        length = decimal_of(digits.decode("ascii", "replace")) if space else 0
        record = data[at + len(digits) + 1 : at + length]
        name, equals, text = record.partition(b"=")
        if length <= len(digits) + 1 or at + length > len(data) or not equals or not text.endswith(b"\n"):
            raise UnreadableLayer("a layer has a damaged PAX header")
        key, value = name.decode("utf-8", "replace"), text[:-1].decode("utf-8", "surrogateescape")
        if "\0" in key or (key in (_PATH, _LINK_PATH) and "\0" in value):
            raise UnreadableLayer("a layer has a damaged PAX header")
        if key in (_PATH, _LINK_PATH, _SIZE) and records.get(key, value) != value:
            extension.conflict = f"two PAX records '{key}'"
        records[key] = value
        at += length
    return records


def _skip_sparse_map(stream: ByteStream, block: bytes, limits: TarLimits) -> None:
    """Skip the map of an old GNU sparse file: the file's head is read from the data that follow without it."""
    more, read = block[482], 0
    while more:
        read += BLOCK
        if read > limits.header_bytes:
            message = f"a layer has a sparse file with a map of more than {limits.header_bytes} bytes"
            raise UnreadableLayer(message)
        more = stream.exactly(BLOCK)[504]
