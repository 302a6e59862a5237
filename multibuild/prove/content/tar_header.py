"""The 512 bytes of a tar header, as read by Go's archive/tar (reader.go, strconv.go), with which engines unpack."""

from __future__ import annotations

import re
from typing import Literal

from multibuild.errors import VerificationFailed

BLOCK = 512

MemberKind = Literal[
    "file", "directory", "symlink", "hardlink", "device", "device 0:0", "fifo", "global", "sparse", "unknown"
]

# As in Go's archive/tar, a member of a type without data has none, whatever its size field says.
KINDS: dict[bytes, MemberKind] = {
    b"0": "file",
    b"\0": "file",
    b"1": "hardlink",
    b"2": "symlink",
    b"3": "device",
    b"4": "device",
    b"5": "directory",
    b"6": "fifo",
    b"g": "global",
    b"S": "sparse",
}
_HIGH = bytes(range(128, 256))
_OCTAL = re.compile(rb"[0-7]+")

MAX_QUOTED_CHARACTERS = 200
"""Characters of a path in a message."""


class UnreadableLayer(VerificationFailed):
    """The layer is damaged, hostile, or of a kind that cannot be read."""


def shown(text: str) -> str:
    """Return the start of untrusted text for a message, in which what is no character is an escape."""
    return text[:MAX_QUOTED_CHARACTERS].encode("utf-8", "backslashreplace").decode()


def quoted(path: str) -> str:
    """Return the start of a path in quotes for a message."""
    return f"'{shown(path)}'"


def check(block: bytes) -> None:
    """Verify the header's checksum: the sum of its bytes, with spaces in place of the checksum field."""
    if len(block) == BLOCK:
        rest = block[:148] + block[156:]
        expected, total = _octal(block[148:156]), sum(rest) + 8 * 32
        # Sun's tar took bytes as signed.
        if expected == total or expected == total - 256 * (len(rest) - len(rest.translate(None, _HIGH))):
            return
    raise UnreadableLayer("a layer is no tar archive, or a damaged one")


def name_of(block: bytes) -> str:
    """Join prefix and name, if the header has a prefix.

    Star's prefix is shorter. GNU's format has times in its place; what is no time, Go before 1.8 wrote as a prefix.
    """
    magic, prefix = block[257:265], b""
    if magic.startswith(b"ustar\0"):
        prefix = block[345:476] if block[508:512] == b"tar\0" else block[345:500]
    elif magic == b"ustar  \0" and not (_is_time(block[345:357]) and _is_time(block[357:369])):
        prefix = block[345:500].split(b"\0", 1)[0]
        prefix = prefix if prefix.isascii() else b""
    text = text_of(prefix)
    return f"{text}/{text_of(block[:100])}" if text else text_of(block[:100])


def has_device_number(block: bytes) -> bool:
    """Whether a device has a number other than 0:0; a header without magic has no field for it."""
    is_new = block[257:262] == b"ustar"
    return is_new and (number_of(block[329:337]) != 0 or number_of(block[337:345]) != 0)


def _is_time(field: bytes) -> bool:
    try:
        return field[0] == 0 or number_of(field) is not None
    except UnreadableLayer:
        return False


def text_of(field: bytes) -> str:
    """Return a field's text, which ends at the first NUL."""
    return field.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def number_of(field: bytes) -> int:
    """Parse octal digits, or GNU's base-256 when the first bit is set (two's complement)."""
    if not field[0] & 0x80:
        return _octal(field)
    value = int.from_bytes(field, "big") & ((1 << (8 * len(field) - 1)) - 1)
    value = value - (1 << (8 * len(field) - 1)) if field[0] & 0x40 else value
    if not -(1 << 63) <= value < 1 << 63:
        raise UnreadableLayer("a layer has a damaged tar header: a number of more than 64 bits")
    return value


def _octal(field: bytes) -> int:
    """Parse octal digits between spaces and NULs, of which there may be none."""
    digits = field.strip(b" \0").split(b"\0", 1)[0]
    if not digits:
        return 0
    if not field[0]:
        raise UnreadableLayer("a layer is ambiguous: some readers stop at the NUL in front of a number")
    if not _OCTAL.fullmatch(digits):
        raise UnreadableLayer("a layer has a damaged tar header")
    return int(digits, 8)


def decimal_of(digits: str) -> int:
    """Parse a number of a PAX record."""
    if not digits.isascii() or not digits.isdigit() or len(digits) > 19:
        raise UnreadableLayer("a layer has a damaged PAX header")
    return int(digits)
