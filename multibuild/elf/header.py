"""The machine an ELF file is for, read from its first bytes, none of which are trusted."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

from multibuild.architectures import ARCHITECTURES
from multibuild.frozen import frozen
from multibuild.platforms import Platform

HEAD_BYTES = 4096
"""Bytes of a file that suffice: linkers put program headers and the interpreter's name into the first page."""

Kind = Literal["executable", "shared", "relocatable", "core", "other"]
Order = Literal["little", "big"]

# elf.h: e_machine, and the e_flags of ARM and MIPS.
_EM_MIPS, _EM_S390, _EM_ARM, _EM_X86_64, _EM_AARCH64, _EM_RISCV, _EM_LOONGARCH = 8, 22, 40, 62, 183, 243, 258
_EF_ARM_ABI_FLOAT_SOFT, _EF_ARM_ABI_FLOAT_HARD = 0x200, 0x400
_EF_MIPS_ABI2, _EF_MIPS_ABI = 0x20, 0xF000
_MIPS_32_BIT_ABIS = {0x0: "o32", 0x1000: "o32", 0x2000: "o64", 0x3000: "eabi32", 0x4000: "eabi64"}

_MAGIC = b"\x7fELF"
_PT_INTERP = 3
_MAX_SEGMENTS = 128
_MAX_PATH_BYTES = 4096
_KINDS: dict[int, Kind] = {1: "relocatable", 2: "executable", 3: "shared", 4: "core"}

# Machines of no supported platform, as elf.h and readelf name them. bpf, cuda and amdgpu are not code for a CPU.
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

# ABIs that share e_machine with a platform but differ in ELF class, so that platform's kernels do not run them.
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
    """A program header: p_type, p_offset, p_vaddr and p_filesz."""

    kind: int
    offset: int
    address: int
    size: int


@frozen
class ElfHeader:
    """The fields that identify a machine.

    `interpreter` is PT_INTERP: None when there is none (a static program, or no program), empty when its name lies
    beyond the bytes that were read. `needed` are the shared libraries the loader looks for, first in the directories
    of `runpath`. `level` is the ARM architecture level the file was built for (5 to 8), 0 where it is not stated.
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
        """The calling convention where e_flags hold it and it matters: "hard float", "n32"; else empty."""
        if self.machine == _EM_ARM:
            if self.flags & _EF_ARM_ABI_FLOAT_HARD:
                return "hard float"
            return "soft float" if self.flags & _EF_ARM_ABI_FLOAT_SOFT else ""
        if self.machine == _EM_MIPS:
            return _mips_abi(self.bits, self.flags)
        return ""


def parse_elf(head: bytes) -> ElfHeader | None:
    """Parse a file's first HEAD_BYTES. None for anything but an ELF file with a whole header.

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
    """Whether the file has the platform's own ABI.

    Beyond class, byte order and machine: a MIPS binary must be n64 on mips64(le) and o32 on mips(le), as each is a
    different set of system calls; hard-float ARM code does not run on arm/v5, which has no VFP. Levels that e_flags do
    not hold are not compared: of ARM (v6, v7), amd64 (v2…) or arm64 code.
    """
    if _NAMES.get((header.bits, header.order, header.machine)) != platform.architecture:
        return False
    if header.machine == _EM_MIPS:
        return header.abi == ("n64" if header.bits == 64 else "o32")
    if header.machine == _EM_ARM:
        return not (platform.variant == "v5" and header.abi == "hard float")
    return True


def architecture_of(header: ElfHeader) -> str:
    """Return the architecture's display name: "amd64", "arm (hard float)", "mips64le (n32)", "sparc64"."""
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
    unnamed = f"machine {header.machine:#x} ({header.bits} bits, {header.order}-endian)"
    return _OTHER_MACHINES.get(header.machine, unnamed)


def _mips_abi(bits: int, flags: int) -> str:
    """Return the MIPS psABI: EF_MIPS_ABI2 marks n32; any other 64-bit file is n64; no ABI bits mean o32."""
    if bits == 64:
        return "n64"
    if flags & _EF_MIPS_ABI2:
        return "n32"
    return _MIPS_32_BIT_ABIS.get(flags & _EF_MIPS_ABI, "unknown ABI")


def segments(head: bytes) -> Iterator[Segment]:
    """Return the program headers within a file's first bytes; none for anything but an ELF file.

    Offsets and sizes are the file's own claims: callers check them against the bytes they have.
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
    for at in range(table, table + min(count, _MAX_SEGMENTS) * size, size):
        if at + size > len(head):
            return
        if wide:
            kind, _, offset, address, _, length = struct.unpack_from(mark + "IIQQQQ", head, at)
        else:
            kind, offset, address, _, length = struct.unpack_from(mark + "5I", head, at)
        yield Segment(kind=kind, offset=offset, address=address, size=length)


def _interpreter(head: bytes) -> str | None:
    """Return the text of PT_INTERP."""
    segment = next((segment for segment in segments(head) if segment.kind == _PT_INTERP), None)
    if segment is None:
        return None
    if segment.size > _MAX_PATH_BYTES or segment.offset + segment.size > len(head):
        return ""
    name = head[segment.offset : segment.offset + segment.size].split(b"\0", 1)[0]
    return name.decode("utf-8", "surrogateescape")
