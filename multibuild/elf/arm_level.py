"""The ARM architecture level a program was built for, from its build attributes (e_flags do not hold it).

Build attributes are a section near the end of a file ("Addenda to, and Errata in, the ABI for the ARM Architecture",
Arm IHI 0045, chapter 2). They state the level of the newest linked object, whose code a program may use only where
the CPU supports it: reason for a note, not for a failed proof.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

TAIL_BYTES = 4096
"""Bytes read from a file's end: in a stripped program they hold the attributes and the section headers."""

# Tag_CPU_arch (IHI 0045, table 3): v5T to v5TEJ, v6 and its extensions, v7, v7E-M, v8-A.
_LEVELS = {3: 5, 4: 5, 5: 5, 6: 6, 7: 6, 8: 6, 9: 6, 10: 7, 11: 6, 12: 6, 13: 7, 14: 8}
_SHT_ARM_ATTRIBUTES = 0x70000003
_SECTION_HEADER_BYTES = 40
_MAX_SECTIONS = 64
_CPU_ARCH, _COMPATIBILITY = 6, 32
# Attributes below 32 whose value is text: Tag_CPU_raw_name and Tag_CPU_name. From 33 on, all odd tags are.
_TEXT_TAGS = (4, 5)


def is_arm(head: bytes) -> bool:
    """Whether `head` begins a 32-bit little-endian ARM file."""
    return head.startswith(b"\x7fELF\x01\x01") and head[18:20] == b"\x28\x00" and len(head) >= 52


def arm_level(head: bytes, data_at: Callable[[int, int], bytes]) -> int:
    """Return 5, 6, 7 or 8, or 0 for a file without the attribute. `data_at(offset, length)` reads from the file.

    Raises nothing, whatever the bytes are.
    """
    if not is_arm(head):
        return 0
    (table,) = struct.unpack_from("<I", head, 32)
    size, count = struct.unpack_from("<HH", head, 46)
    if size != _SECTION_HEADER_BYTES:
        return 0
    for number in range(min(count, _MAX_SECTIONS)):
        header = data_at(table + number * size, size)
        if len(header) < size:
            return 0
        _, kind, _, _, offset, length = struct.unpack_from("<6I", header)
        if kind == _SHT_ARM_ATTRIBUTES:
            return _LEVELS.get(_cpu_arch(data_at(offset, min(length, TAIL_BYTES))), 0)
    return 0


def _cpu_arch(section: bytes) -> int:
    """Parse Tag_CPU_arch from the "aeabi" subsection: b"A", length, vendor, then Tag_File, length, attributes."""
    vendor = section.find(b"aeabi\0", 5, 11)
    if not section.startswith(b"A") or vendor != 5 or section[11:12] != b"\x01":
        return -1
    at = 16
    while at < len(section):
        tag, at = _number(section, at)
        if tag == _COMPATIBILITY:
            _, at = _number(section, at)
        if tag in _TEXT_TAGS or tag == _COMPATIBILITY or (tag > _COMPATIBILITY and tag % 2):
            at = section.find(b"\0", at) + 1
            if at == 0:
                return -1
            continue
        value, at = _number(section, at)
        if tag == _CPU_ARCH:
            return value
    return -1


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Parse a ULEB128 number; return it and the offset behind it."""
    value = shift = 0
    while at < len(data) and shift < 63:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            break
    return value, at
