import random
import struct
import sys
from pathlib import Path

import pytest

from multibuild.elf.header import HEAD_BYTES, ElfHeader, architecture_of, matches, parse_elf
from multibuild.platforms import Platform
from multibuild.qemu.probe_program import PROBE_CODE, build_probe


def header(bits, order, machine, flags=0):
    return ElfHeader(bits=bits, order=order, machine=machine, flags=flags, type="executable")


def with_interpreter(interpreter=b"/lib64/ld-linux-x86-64.so.2\0", *, offset=None, size=None, table=64):
    start = 64 + 56
    ident = b"\x7fELF" + bytes((2, 1, 1)) + bytes(9)
    ehdr = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0x1000, table, 0, 0, 64, 56, 1, 0, 0, 0)
    begin, length = start if offset is None else offset, len(interpreter) if size is None else size
    phdr = struct.pack("<IIQQQQQQ", 3, 4, begin, 0, 0, length, len(interpreter), 1)
    return ident + ehdr + phdr + interpreter


@pytest.mark.parametrize(
    ("elf", "platform", "expected", "name"),
    [
        (header(64, "little", 62), "linux/amd64", True, "amd64"),
        (header(64, "little", 62), "linux/amd64/v3", True, "amd64"),
        (header(64, "little", 62), "linux/386", False, "amd64"),
        (header(32, "little", 3), "linux/amd64", False, "386"),
        (header(32, "little", 62), "linux/amd64", False, "amd64 (x32)"),
        (header(64, "little", 183), "linux/arm64", True, "arm64"),
        (header(64, "little", 183), "linux/arm/v7", False, "arm64"),
        (header(32, "little", 40, 0x05000400), "linux/arm/v7", True, "arm (hard float)"),
        (header(32, "little", 40, 0x05000400), "linux/arm/v6", True, "arm (hard float)"),
        (header(32, "little", 40, 0x05000400), "linux/arm/v5", False, "arm (hard float)"),
        (header(32, "little", 40, 0x05000200), "linux/arm/v7", True, "arm (soft float)"),
        (header(32, "little", 40, 0x05000002), "linux/arm/v5", True, "arm"),
        (header(32, "big", 40, 0x05000000), "linux/arm/v7", False, "armeb"),
        (header(64, "little", 8, 0x80000007), "linux/mips64le", True, "mips64le"),
        (header(64, "little", 8, 0x20000004), "linux/mips64le", True, "mips64le"),
        (header(32, "little", 8, 0x80000027), "linux/mips64le", False, "mips64le (n32)"),
        (header(32, "little", 8, 0x80000027), "linux/mipsle", False, "mips64le (n32)"),
        (header(32, "little", 8, 0x50001004), "linux/mipsle", True, "mipsle"),
        (header(32, "little", 8, 0x00003000), "linux/mipsle", False, "mipsle (eabi32)"),
        (header(64, "big", 8, 0x80000007), "linux/mips64", True, "mips64"),
        (header(64, "big", 8, 0x80000007), "linux/mips64le", False, "mips64"),
        (header(32, "big", 8, 0x70001007), "linux/mips", True, "mips"),
        (header(64, "little", 21, 2), "linux/ppc64le", True, "ppc64le"),
        (header(64, "big", 21, 1), "linux/ppc64", True, "ppc64"),
        (header(64, "big", 21, 1), "linux/ppc64le", False, "ppc64"),
        (header(64, "big", 22, 1), "linux/s390x", True, "s390x"),
        (header(32, "big", 22), "linux/s390x", False, "s390"),
        (header(64, "little", 243, 5), "linux/riscv64", True, "riscv64"),
        (header(32, "little", 243), "linux/riscv64", False, "riscv32"),
        (header(64, "little", 258, 0x43), "linux/loong64", True, "loong64"),
        (header(64, "little", 247), "linux/amd64", False, "bpf"),
        (header(64, "big", 43), "linux/amd64", False, "sparc64"),
        (header(64, "little", 0x1234), "linux/amd64", False, "machine 0x1234 (64 bits, little-endian)"),
    ],
)
def test_a_header_matches_the_platforms_of_its_abi(elf, platform, expected, name):
    assert matches(elf, Platform.literal(platform)) is expected
    assert architecture_of(elf) == name


@pytest.mark.parametrize(
    "head", [b"", b"\x7fEL", b"#!/bin/sh\n", b"MZ" + bytes(200), b"\x7fELF", b"\x7fELF" + bytes(100)]
)
def test_anything_else_is_no_elf_header(head):
    assert parse_elf(head) is None


def test_the_interpreter_is_read():
    elf = parse_elf(with_interpreter())
    assert elf is not None
    assert (elf.interpreter, elf.type) == ("/lib64/ld-linux-x86-64.so.2", "shared")


def test_a_real_program_is_read():
    with Path(sys.executable).resolve().open("rb") as file:
        elf = parse_elf(file.read(HEAD_BYTES))
    assert elf is not None
    assert elf.interpreter


@pytest.mark.parametrize(
    ("fields", "interpreter"),
    [({"offset": 1 << 63}, ""), ({"size": 1 << 62}, ""), ({"offset": 5000}, ""), ({"size": 4097}, ""),
     ({"table": (1 << 64) - 1}, None)],
)  # fmt: skip
def test_positions_beyond_the_bytes_are_not_followed(fields, interpreter):
    elf = parse_elf(with_interpreter(**fields))
    assert elf is not None
    assert elf.interpreter == interpreter


def test_corrupt_bytes_raise_nothing():
    rng = random.Random(1)
    for sample in (with_interpreter(), *map(build_probe, PROBE_CODE)):
        for length in range(len(sample)):
            parse_elf(sample[:length])
        for _ in range(300):
            corrupt = bytearray(sample)
            for _ in range(rng.randint(1, 8)):
                corrupt[rng.randrange(4, len(corrupt))] = rng.randrange(256)
            elf = parse_elf(bytes(corrupt))
            if elf is not None:
                architecture_of(elf)
                matches(elf, Platform(os="linux", architecture="arm", variant="v5"))
