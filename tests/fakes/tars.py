"""Tar archives written by hand, so that they can be wrong in any way."""

from collections.abc import Sequence
from pathlib import Path

BLOCK = 512


def member(
    name: str,
    content: bytes = b"",
    *,
    kind: bytes = b"0",
    link: str = "",
    size: int | bytes | None = None,
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
) -> bytes:
    """Return one member: header, content, padding. `size` overrides that of the header; a number or raw bytes."""
    size = len(content) if size is None else size
    size_field = size if isinstance(size, bytes) else b"%011o\0" % size
    header = bytearray(BLOCK)
    header[0:100] = _padded(name.encode(), 100)
    header[100:124] = b"0000644\0" + b"0000000\0" * 2
    header[124:136] = size_field.ljust(12, b"\0")
    header[136:148] = b"00000000000\0"
    header[156:157] = kind
    header[157:257] = _padded(link.encode(), 100)
    header[257:265] = magic.ljust(8, b"\0")
    header[345:500] = _padded(prefix, 155)
    return sealed(bytes(header)) + padded(content)


def sealed(header: bytes) -> bytes:
    """Return a header with its checksum."""
    blank = bytearray(header)
    blank[148:156] = b" " * 8
    blank[148:156] = b"%06o\0 " % sum(blank)
    return bytes(blank)


def _padded(data: bytes, length: int) -> bytes:
    return data[:length].ljust(length, b"\0")


def padded(content: bytes) -> bytes:
    return content + b"\0" * (-len(content) % BLOCK)


def pax(records: Sequence[tuple[str, str | bytes]] | bytes, *, kind: bytes = b"x") -> bytes:
    """Return a PAX header; `records` are (keyword, value) pairs, or the raw bytes."""
    data = records if isinstance(records, bytes) else b"".join(_record(*pair) for pair in records)
    return member("PaxHeaders/x", data, kind=kind)


def _record(keyword: str, value: str | bytes) -> bytes:
    rest = b" %s=%s\n" % (keyword.encode(), value.encode() if isinstance(value, str) else value)
    length = len(rest) + len(str(len(rest)))
    length = len(rest) + len(str(length))
    return b"%d%s" % (length, rest)


def gnu_name(name: str, *, kind: bytes = b"L") -> bytes:
    """Return a GNU long name (L) or long link (K) for the member after it."""
    return member("././@LongLink", name.encode() + b"\0", kind=kind, magic=b"ustar  \0")


END = b"\0" * (2 * BLOCK)


def members_of(folder: Path) -> dict[str, bytes]:
    """Return the members of a layout's archive by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def archive_of(folder: Path, *before: bytes, dots: bool = False) -> bytes:
    """Return the archive of a layout, with raw members before its own."""
    start = "./" if dots else ""
    return (
        b"".join(before)
        + b"".join(member(start + name, data) for name, data in members_of(folder).items())
        + END
    )
