"""Minimal ELF executables, one per architecture, that exit with a given code and do nothing else.

Each was run under its QEMU through binfmt and in an empty root. One PT_LOAD maps the whole file at 0x400000.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

from multibuild.architectures import architecture_named
from multibuild.errors import UsageError
from multibuild.frozen import frozen

_VIRTUAL_ADDRESS = 0x400000


@frozen
class ProbeCode:
    """`flags` is e_flags; `code(n)` the instructions of exit(n), from the architecture's Linux syscall table."""

    flags: int
    code: Callable[[int], bytes]


def _words(order: str, *values: int) -> bytes:
    return struct.pack(f"{order}{len(values)}I", *values)


PROBE_CODE: dict[str, ProbeCode] = {
    # mov edi, n; mov eax, 60; syscall
    "amd64": ProbeCode(flags=0, code=lambda n: bytes((0xBF, n, 0, 0, 0, 0xB8, 0x3C, 0, 0, 0, 0x0F, 0x05))),
    # mov eax, 1; mov ebx, n; int 0x80
    "386": ProbeCode(flags=0, code=lambda n: bytes((0xB8, 1, 0, 0, 0, 0xBB, n, 0, 0, 0, 0xCD, 0x80))),
    # mov x0, n; mov x8, 93; svc 0
    "arm64": ProbeCode(flags=0, code=lambda n: _words("<", 0xD2800000 | n << 5, 0xD2800BA8, 0xD4000001)),
    # mov r0, n; mov r7, 1; svc 0 (EABI5)
    "arm": ProbeCode(flags=0x05000000, code=lambda n: _words("<", 0xE3A00000 | n, 0xE3A07001, 0xEF000000)),
    # li a0, n; li a7, 93; ecall
    "riscv64": ProbeCode(flags=0, code=lambda n: _words("<", 0x513 | n << 20, 0x05D00893, 0x73)),
    # li r0, 1; li r3, n; sc (ELFv2)
    "ppc64le": ProbeCode(flags=2, code=lambda n: _words("<", 0x38000001, 0x38600000 | n, 0x44000002)),
    # The same with ELFv2: e_flags 0 would mean ELFv1, where e_entry is a function descriptor and not code.
    "ppc64": ProbeCode(flags=2, code=lambda n: _words(">", 0x38000001, 0x38600000 | n, 0x44000002)),
    # lghi r2, n; svc 1
    "s390x": ProbeCode(flags=0, code=lambda n: bytes((0xA7, 0x29, 0, n, 0x0A, 0x01))),
    # li a0, n; li v0, 5058 (N64 exit); syscall
    "mips64le": ProbeCode(flags=0x80000007, code=lambda n: _words("<", 0x24040000 | n, 0x240213C2, 0x0C)),
    "mips64": ProbeCode(flags=0x80000007, code=lambda n: _words(">", 0x24040000 | n, 0x240213C2, 0x0C)),
    # li a0, n; li v0, 4001 (o32 exit); syscall
    "mipsle": ProbeCode(flags=0x70001007, code=lambda n: _words("<", 0x24040000 | n, 0x24020FA1, 0x0C)),
    "mips": ProbeCode(flags=0x70001007, code=lambda n: _words(">", 0x24040000 | n, 0x24020FA1, 0x0C)),
    # addi.w a0, zero, n; addi.w a7, zero, 93; syscall 0 (LP64D)
    "loong64": ProbeCode(
        flags=0x43, code=lambda n: _words("<", 0x02800004 | n << 10, 0x0281740B, 0x002B0000)
    ),
}


def build_probe(architecture: str, exit_code: int = 42) -> bytes:
    """Return an executable of `architecture` that exits with `exit_code` (0 to 255).

    Raises UsageError for an unknown architecture or an exit code out of range.
    """
    if not 0 <= exit_code <= 255:
        raise UsageError(f"{exit_code} is not an exit code", hint="0 to 255")
    row, program = architecture_named(architecture), PROBE_CODE.get(architecture)
    if row is None or program is None:
        raise UsageError(f"there is no probe for '{architecture}'", hint=f"known: {', '.join(PROBE_CODE)}")
    wide, big = row.elf.bits == 64, row.elf.order == "big"
    order = ">" if big else "<"
    code = program.code(exit_code)
    header_size, program_header_size = (64, 56) if wide else (52, 32)
    offset = header_size + program_header_size
    entry, size = _VIRTUAL_ADDRESS + offset, offset + len(code)
    ident = b"\x7fELF" + bytes((2 if wide else 1, 2 if big else 1, 1, 0)) + bytes(8)
    address = "Q" if wide else "I"
    header = ident + struct.pack(
        f"{order}HHI{address}{address}{address}IHHHHHH",
        *(2, row.elf.machine, 1, entry, header_size, 0, program.flags),
        *(header_size, program_header_size, 1, 0, 0, 0),
    )
    if wide:
        fields: tuple[int, ...] = (1, 5, 0, _VIRTUAL_ADDRESS, _VIRTUAL_ADDRESS, size, size, 0x10000)
        load = struct.pack(f"{order}IIQQQQQQ", *fields)
    else:
        fields = (1, 0, _VIRTUAL_ADDRESS, _VIRTUAL_ADDRESS, size, size, 5, 0x10000)
        load = struct.pack(f"{order}8I", *fields)
    return header + load + code


PROBE_EXIT_CODE = 42
"""Exit code of a probe that ran by itself: no shell, wrapper or cache returns 42 by chance."""
