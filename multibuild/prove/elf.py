"""Reads what an ELF file says it is (System V ABI, elf.h). Hostile input gives None, never an error."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any, Literal

from multibuild.platforms import ARCHITECTURES, Platform

HEAD = 4096
"""Bytes of a file that are enough: ELF header, program headers and, in every linker's layout, PT_INTERP."""

_PT_INTERP = 3
_MOST_PROGRAM_HEADERS = 64
_EM_MIPS, _EM_ARM = 8, 40
_EF_MIPS_ABI2 = 0x20


@dataclass(frozen=True, kw_only=True, slots=True)
class ElfHeader:
    """An ELF header. `interpreter` is the dynamic loader's path, None for a static file."""

    bits: Literal[32, 64]
    order: Literal["little", "big"]
    machine: int
    flags: int
    interpreter: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Give JSON types."""
        return {
            "bits": self.bits,
            "order": self.order,
            "machine": self.machine,
            "flags": self.flags,
            "interpreter": self.interpreter,
        }


def parse_elf(head: bytes) -> ElfHeader | None:
    """Read the first bytes of a file; None for what is no ELF executable or library."""
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, order = head[4] == 2, ">" if head[5] == 2 else "<"
    if wide and len(head) < 64:
        return None
    kind, machine = struct.unpack_from(f"{order}HH", head, 16)
    if kind not in (2, 3):
        return None
    (table,) = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)
    (flags,) = struct.unpack_from(f"{order}I", head, 48 if wide else 36)
    entry_size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
    return ElfHeader(
        bits=64 if wide else 32,
        order="big" if order == ">" else "little",
        machine=machine,
        flags=flags,
        interpreter=_interpreter(head, order, wide, (table, entry_size, min(count, _MOST_PROGRAM_HEADERS))),
    )


def _interpreter(head: bytes, order: str, wide: bool, table: tuple[int, int, int]) -> str | None:
    start, size, count = table
    if size < (56 if wide else 32):
        return None
    for place in range(count):
        at = start + place * size
        if at + size > len(head):
            return None
        (kind,) = struct.unpack_from(f"{order}I", head, at)
        if kind != _PT_INTERP:
            continue
        offset, length = (
            (
                struct.unpack_from(f"{order}Q", head, at + 8)[0],
                struct.unpack_from(f"{order}Q", head, at + 32)[0],
            )
            if wide
            else (
                struct.unpack_from(f"{order}I", head, at + 4)[0],
                struct.unpack_from(f"{order}I", head, at + 16)[0],
            )
        )
        if length > 4096 or offset + length > len(head):
            return None
        return bytes(head[offset : offset + length]).rstrip(b"\0").decode("utf-8", "replace")
    return None


def matches(header: ElfHeader, platform: Platform) -> bool:
    """Whether a file is of the platform's architecture.

    The levels of ARM (v5, v6, v7) are not in the header; for MIPS the ABI is: mips64 means N64, mips means o32.
    """
    elf = platform.row.elf
    same = (header.bits, header.order, header.machine) == (elf.bits, elf.order, elf.machine)
    if same and header.machine == _EM_MIPS:
        return not header.flags & _EF_MIPS_ABI2
    return same


def architecture_of(header: ElfHeader) -> str:
    """Name the architecture of a file for people: "arm64", "arm (soft float)", "mips n32 (little endian)"."""
    if header.machine == _EM_MIPS and header.flags & _EF_MIPS_ABI2:
        return f"mips n32 ({header.order} endian)"
    for row in ARCHITECTURES:
        if (header.bits, header.order, header.machine) == (row.elf.bits, row.elf.order, row.elf.machine):
            return row.name + _float_abi(header)
    return f"machine {header.machine} ({header.bits}-bit, {header.order} endian)"


def _float_abi(header: ElfHeader) -> str:
    """EF_ARM_ABI_FLOAT_HARD 0x400 and _SOFT 0x200; Go writes neither."""
    if header.machine != _EM_ARM:
        return ""
    return {0x400: " (hard float)", 0x200: " (soft float)"}.get(header.flags & 0x600, "")
