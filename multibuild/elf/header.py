"""What an ELF header says about the machine its file is for. Reads the first bytes only, and trusts none of them."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

from multibuild.frozen import frozen
from multibuild.platforms import ARCHITECTURES, Platform

HEAD_SIZE = 4096
"""Bytes of a file that are enough: linkers put program headers and the interpreter's name into the first page."""

Kind = Literal["executable", "shared", "relocatable", "core", "other"]
Order = Literal["little", "big"]

# elf.h: e_machine, and the e_flags of ARM and MIPS.
_EM_MIPS, _EM_S390, _EM_ARM, _EM_X86_64, _EM_AARCH64, _EM_RISCV, _EM_LOONGARCH = 8, 22, 40, 62, 183, 243, 258
_EF_ARM_ABI_FLOAT_SOFT, _EF_ARM_ABI_FLOAT_HARD = 0x200, 0x400
_EF_MIPS_ABI2, _EF_MIPS_ABI = 0x20, 0xF000
_MIPS_32_BIT_ABIS = {0x0: "o32", 0x1000: "o32", 0x2000: "o64", 0x3000: "eabi32", 0x4000: "eabi64"}

_MAGIC = b"\x7fELF"
_PT_INTERP = 3
_MOST_SEGMENTS = 128
_LONGEST_PATH = 4096
_KINDS: dict[int, Kind] = {1: "relocatable", 2: "executable", 3: "shared", 4: "core"}

# Machines no platform of ours has, as elf.h and readelf name them. bpf, cuda and amdgpu are code for no CPU at all.
_OTHER_MACHINES = {
    2: "sparc",
    4: "m68k",
    15: "parisc",
    20: "powerpc",
    42: "sh",
    43: "sparc64",
    50: "ia64",
    83: "avr",
    94: "xtensa",
    190: "cuda",
    224: "amdgpu",
    247: "bpf",
    252: "csky",
    0x9026: "alpha",
}

# ABIs that share e_machine with a platform but differ in ELF class, so no kernel setting of that platform runs them.
_OTHER_CLASSES = {
    (32, _EM_X86_64): "amd64 (x32)",
    (32, _EM_AARCH64): "arm64 (ilp32)",
    (32, _EM_S390): "s390",
    (32, _EM_RISCV): "riscv32",
    (32, _EM_LOONGARCH): "loong32",
}

_NAMES = {(row.elf.bits, row.elf.order, row.elf.machine): row.name for row in ARCHITECTURES}


@frozen
class Segment:
    """A program header: its p_type, and where p_offset, p_vaddr and p_filesz put it."""

    kind: int
    offset: int
    address: int
    size: int


@frozen
class ElfHeader:
    """The fields that name a machine.

    `interpreter` is PT_INTERP: None when the file asks for none (static, or no program), empty when it asks for one
    whose name lies beyond the bytes that were read. `needed` are the shared libraries its loader looks for, in the
    directories of `runpath` first. `level` is the ARM architecture it was built for (5 to 8), 0 where it does not say.
    """

    bits: Literal[32, 64]
    order: Order
    machine: int
    flags: int
    type: Kind
    interpreter: str | None = None
    needed: tuple[str, ...] = ()
    runpath: tuple[str, ...] = ()
    level: int = 0

    @property
    def abi(self) -> str:
        """The calling convention, where e_flags tell it and it matters: "hard float", "n32"; else empty."""
        if self.machine == _EM_ARM:
            if self.flags & _EF_ARM_ABI_FLOAT_HARD:
                return "hard float"
            return "soft float" if self.flags & _EF_ARM_ABI_FLOAT_SOFT else ""
        if self.machine == _EM_MIPS:
            return _mips_abi(self.bits, self.flags)
        return ""


def parse_elf(head: bytes) -> ElfHeader | None:
    """Read a file's first bytes (HEAD_SIZE are enough). None for what is no ELF file or has no whole header.

    Raises nothing, whatever the bytes are. Layout: System V gABI chapters 4 and 5.
    """
    if len(head) < 20 or not head.startswith(_MAGIC) or head[4] not in (1, 2) or head[5] not in (1, 2):
        return None
    wide, mark = head[4] == 2, "<" if head[5] == 1 else ">"
    if len(head) < (64 if wide else 52):
        return None
    kind, machine = struct.unpack_from(mark + "HH", head, 16)
    (flags,) = struct.unpack_from(mark + "I", head, 48 if wide else 36)
    return ElfHeader(
        bits=64 if wide else 32,
        order="little" if head[5] == 1 else "big",
        machine=machine,
        flags=flags,
        type=_KINDS.get(kind, "other"),
        interpreter=_interpreter(head),
    )


def matches(header: ElfHeader, platform: Platform) -> bool:
    """Whether the platform's own ABI is the header's.

    Beyond class, byte order and machine: a MIPS binary must be n64 on mips64(le) and o32 on mips(le), as each is a
    different set of system calls; hard-float ARM code does not run on arm/v5, which has no VFP. What e_flags do not
    hold cannot be told: the level of ARM (v6, v7), amd64 (v2…) or arm64 code.
    """
    if _NAMES.get((header.bits, header.order, header.machine)) != platform.architecture:
        return False
    if header.machine == _EM_MIPS:
        return header.abi == ("n64" if header.bits == 64 else "o32")
    if header.machine == _EM_ARM:
        return not (platform.variant == "v5" and header.abi == "hard float")
    return True


def architecture_of(header: ElfHeader) -> str:
    """Name the architecture for people: "amd64", "arm (hard float)", "mips64le", "mips64le (n32)", "sparc64"."""
    name = _NAMES.get((header.bits, header.order, header.machine))
    if header.machine == _EM_MIPS and header.abi == "n32":
        return f"mips64{'le' if header.order == 'little' else ''} (n32)"
    if header.machine == _EM_ARM:
        name = "arm" if header.order == "little" else "armeb"
        return f"{name} ({header.abi})" if header.abi else name
    if name is not None:
        return name if header.abi in ("", "o32", "n64") else f"{name} ({header.abi})"
    if (header.bits, header.machine) in _OTHER_CLASSES:
        return _OTHER_CLASSES[header.bits, header.machine]
    known = _OTHER_MACHINES.get(header.machine)
    return known or f"machine {header.machine:#x} ({header.bits} bits, {header.order}-endian)"


def _mips_abi(bits: int, flags: int) -> str:
    """The MIPS psABIs: EF_MIPS_ABI2 marks n32; n64 is every other 64-bit file; no ABI bits mean o32."""
    if bits == 64:
        return "n64"
    if flags & _EF_MIPS_ABI2:
        return "n32"
    return _MIPS_32_BIT_ABIS.get(flags & _EF_MIPS_ABI, "unknown ABI")


def segments(head: bytes) -> Iterator[Segment]:
    """Read the program headers that lie within a file's first bytes; nothing for what is no ELF file.

    Every offset and size comes from the file: whoever uses them holds them against the bytes that are there.
    """
    if len(head) < 16 or not head.startswith(_MAGIC) or head[4] not in (1, 2) or head[5] not in (1, 2):
        return
    wide, mark = head[4] == 2, "<" if head[5] == 1 else ">"
    if len(head) < (64 if wide else 52):
        return
    (table,) = struct.unpack_from(mark + ("Q" if wide else "I"), head, 32 if wide else 28)
    size, count = struct.unpack_from(mark + "HH", head, 54 if wide else 42)
    if size < (56 if wide else 32):
        return
    for at in range(table, table + min(count, _MOST_SEGMENTS) * size, size):
        if at + size > len(head):
            return
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(mark + "IIQQQQ", head, at)
        else:
            kind, offset, address, _, length = struct.unpack_from(mark + "5I", head, at)
        yield Segment(kind=kind, offset=offset, address=address, size=length)


def _interpreter(head: bytes) -> str | None:
    """Read PT_INTERP."""
    named = next((segment for segment in segments(head) if segment.kind == _PT_INTERP), None)
    if named is None:
        return None
    if named.size > _LONGEST_PATH or named.offset + named.size > len(head):
        return ""
    name = head[named.offset : named.offset + named.size].split(b"\0", 1)[0]
    return name.decode("utf-8", "surrogateescape")
