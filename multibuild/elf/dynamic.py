"""The shared libraries an ELF file needs (DT_NEEDED), and the directories of its run path.

The dynamic section, near the end of a file, has offsets into a string table near its start. A layer is a stream, so
the start is kept in memory until the section has been read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from multibuild.elf.header import Segment, segments

MAX_START_BYTES = 512 << 10
"""Bytes of a file's start in which the string table is looked for: enough except for the largest libraries and files
that patchelf rewrote, of which no names are reported."""

_MAX_DYNAMIC_BYTES = 64 << 10
_MAX_NEEDED = 200
_MAX_NAME_BYTES = 4096
_PT_LOAD, _PT_DYNAMIC = 1, 2
# elf.h: DT_NULL, DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH.
_END, _NEEDED, _STRTAB, _RPATH, _RUNPATH = 0, 1, 5, 15, 29


def dynamic_spans(head: bytes, size: int) -> tuple[tuple[int, int], ...]:
    """Return the spans (offset, length) of a file of `size` bytes that hold its dynamic section and strings.

    `head` is the file's start; the spans are in order and begin behind it. Empty for a file without dynamic section.
    """
    section = next((segment for segment in segments(head) if segment.kind == _PT_DYNAMIC), None)
    if section is None or not 0 < section.size <= _MAX_DYNAMIC_BYTES or section.offset + section.size > size:
        return ()
    end = section.offset + section.size
    start_end = min(MAX_START_BYTES, size)
    if section.offset < start_end:
        start_end = max(start_end, end)
    start = (len(head), start_end - len(head)) if start_end > len(head) else None
    separate = (section.offset, section.size) if section.offset >= max(start_end, len(head)) else None
    return tuple(span for span in (start, separate) if span is not None)


def read_dynamic(
    head: bytes, parts: tuple[tuple[int, bytes], ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the names of the libraries a file needs, and the directories of its run path.

    `parts` are the data of `dynamic_spans`, with their offsets. Raises nothing, whatever the bytes are.
    """
    headers = tuple(segments(head))
    section = next((segment for segment in headers if segment.kind == _PT_DYNAMIC), None)
    if section is None:
        return (), ()
    start = head + b"".join(data for at, data in parts if at == len(head))
    content = start[section.offset : section.offset + section.size]
    if not content:
        content = next((data for at, data in parts if at == section.offset), b"")[: section.size]
    pairs = tuple(_pairs(head, content))
    table = next((value for tag, value in pairs if tag == _STRTAB), None)
    at = next((_file_offset(one, table) for one in headers if table is not None and _holds(one, table)), None)
    if at is None:
        return (), ()
    needed = [value for tag, value in pairs if tag == _NEEDED][:_MAX_NEEDED]
    paths = {tag: value for tag, value in pairs if tag in (_RPATH, _RUNPATH)}  # loaders take the last of each
    names = (_string(start, at + value) for value in needed)
    directories = (part for value in paths.values() for part in _string(start, at + value).split(":"))
    return tuple(filter(None, names)), tuple(filter(None, directories))


def _pairs(head: bytes, content: bytes) -> Iterator[tuple[int, int]]:
    """Return the dynamic section's tags and values."""
    form = struct.Struct(("<" if head[5] == 1 else ">") + ("QQ" if head[4] == 2 else "II"))
    for tag, value in form.iter_unpack(content[: len(content) // form.size * form.size]):
        if tag == _END:
            return
        yield tag, value


def _holds(segment: Segment, address: int) -> bool:
    return segment.kind == _PT_LOAD and segment.address <= address < segment.address + segment.size


def _file_offset(segment: Segment, address: int) -> int:
    return segment.offset + address - segment.address


def _string(start: bytes, at: int) -> str:
    end = start.find(b"\0", at, at + _MAX_NAME_BYTES)
    return start[at:end].decode("utf-8", "surrogateescape") if end > at else ""
