"""The shared libraries an ELF file names for its loader, and where it says they are.

They are named in the dynamic section, near the end of a file, by offsets into a table of strings near its start. A
layer is a stream, so the start is held until the section has come by.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from multibuild.elf.header import Segment, segments

KEPT = 512 << 10
"""Bytes of a file's start in which the strings are looked for: enough but for the largest libraries, and for files
that patchelf rewrote. What lies beyond is not known, and nothing is said of it."""

_MOST_DYNAMIC = 64 << 10
_MOST_NEEDED = 200
_LONGEST_NAME = 4096
_PT_LOAD, _PT_DYNAMIC = 1, 2
# elf.h: DT_NULL, DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH.
_END, _NEEDED, _STRTAB, _RPATH, _RUNPATH = 0, 1, 5, 15, 29


def dynamic_spans(head: bytes, size: int) -> tuple[tuple[int, int], ...]:
    """Say which parts (offset, length) of a file of `size` bytes hold its dynamic section and strings.

    `head` is the file's start. Empty for what has no dynamic section; the parts are in order and begin behind `head`.
    """
    section = next((one for one in segments(head) if one.kind == _PT_DYNAMIC), None)
    if section is None or not 0 < section.size <= _MOST_DYNAMIC or section.offset + section.size > size:
        return ()
    end = section.offset + section.size
    kept = min(KEPT, size)
    if section.offset < kept:
        kept = max(kept, end)
    start = (len(head), kept - len(head)) if kept > len(head) else None
    apart = (section.offset, section.size) if section.offset >= max(kept, len(head)) else None
    return tuple(span for span in (start, apart) if span is not None)


def linked_names(
    head: bytes, parts: tuple[tuple[int, bytes], ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the names of the libraries a file needs, and the directories its run path lists.

    `parts` are those `dynamic_spans` asked for, with their offsets. Raises nothing, whatever the bytes are.
    """
    headers = tuple(segments(head))
    section = next((one for one in headers if one.kind == _PT_DYNAMIC), None)
    if section is None:
        return (), ()
    start = head + b"".join(data for at, data in parts if at == len(head))
    content = start[section.offset : section.offset + section.size]
    if not content:
        content = next((data for at, data in parts if at == section.offset), b"")[: section.size]
    pairs = tuple(_pairs(head, content))
    table = next((value for tag, value in pairs if tag == _STRTAB), None)
    at = next((_place(one, table) for one in headers if table is not None and _holds(one, table)), None)
    if at is None:
        return (), ()
    needed = [value for tag, value in pairs if tag == _NEEDED][:_MOST_NEEDED]
    paths = [value for tag, value in pairs if tag in (_RPATH, _RUNPATH)]
    names = (_string(start, at + value) for value in needed)
    directories = (part for value in paths for part in _string(start, at + value).split(":"))
    return tuple(filter(None, names)), tuple(filter(None, directories))


def _pairs(head: bytes, content: bytes) -> Iterator[tuple[int, int]]:
    """Read the dynamic section's tags and values."""
    form = struct.Struct(("<" if head[5] == 1 else ">") + ("QQ" if head[4] == 2 else "II"))
    for tag, value in form.iter_unpack(content[: len(content) // form.size * form.size]):
        if tag == _END:
            return
        yield tag, value


def _holds(segment: Segment, address: int) -> bool:
    return segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size


def _place(segment: Segment, address: int) -> int:
    return segment.offset + address - segment.address


def _string(start: bytes, at: int) -> str:
    end = start.find(b"\0", at, at + _LONGEST_NAME)
    return start[at:end].decode("utf-8", "surrogateescape") if end > at else ""
