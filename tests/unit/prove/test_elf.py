import random
import struct

import pytest

from multibuild.host.probe_elf import probe
from multibuild.platforms import Platform
from multibuild.prove.elf import architecture_of, matches, parse_elf


def with_interpreter(path: bytes) -> bytes:
    head = bytearray(probe("amd64"))
    struct.pack_into("<I", head, 64, 3)
    struct.pack_into("<Q", head, 64 + 8, len(head))
    struct.pack_into("<Q", head, 64 + 32, len(path))
    return bytes(head) + path


def test_the_interpreter_is_read():
    header = parse_elf(with_interpreter(b"/lib64/ld-linux-x86-64.so.2\0"))
    assert header is not None
    assert header.interpreter == "/lib64/ld-linux-x86-64.so.2"


@pytest.mark.parametrize("head", [b"", b"\x7fELF", b"#!/bin/sh\n" + bytes(100), bytes(200)])
def test_what_is_no_elf_gives_none(head):
    assert parse_elf(head) is None


def test_hostile_headers_never_raise():
    generator = random.Random(7)
    for _ in range(3000):
        head = bytearray(with_interpreter(b"/lib/ld.so\0"))
        for _ in range(generator.randrange(1, 12)):
            head[generator.randrange(4, len(head))] = generator.randrange(256)
        parse_elf(bytes(head[: generator.randrange(len(head))]))
        parse_elf(bytes(head))


def test_mips_abis_are_told_apart():
    n64 = parse_elf(probe("mips64le"))
    assert n64 is not None
    assert matches(n64, Platform.parse("mips64le"))
    assert not matches(n64, Platform.parse("mipsle"))
    n32 = bytearray(probe("mipsle"))
    struct.pack_into("<I", n32, 36, 0x20)
    header = parse_elf(bytes(n32))
    assert header is not None
    assert not matches(header, Platform.parse("mipsle"))
    assert architecture_of(header) == "mips n32 (little endian)"


def test_arm_float_abi_is_named():
    head = bytearray(probe("arm"))
    struct.pack_into("<I", head, 36, 0x05000400)
    header = parse_elf(bytes(head))
    assert header is not None
    assert architecture_of(header) == "arm (hard float)"
