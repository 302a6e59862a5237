"""The ARM architecture level from a program's build attributes."""

import struct

import pytest
from fakes.layers import Blobs, index_files

from multibuild.elf.arm_level import TAIL_BYTES, arm_level
from multibuild.platforms import Platform
from multibuild.prove.content.proof import ImageContent, prove_content
from multibuild.qemu.probe_program import build_probe

# What GNU as writes for -march=armv6: CPU_name, CPU_arch, ARM_ISA_use, THUMB_ISA_use; {} is the level.
ATTRIBUTE_FIELDS = b"\x05ARM-X\0\x06%c\x08\x01\x09\x01"


def attributes(level, *, before=b""):
    inner = before + ATTRIBUTE_FIELDS % level
    file = b"\x01" + struct.pack("<I", len(inner) + 5) + inner
    part = struct.pack("<I", len(file) + 10) + b"aeabi\0" + file
    return b"A" + part


def program(section, *, gap=0, symbols=0):
    """Return an ARM program: header, `gap` bytes, the attributes, `symbols` bytes, section headers."""
    head = bytearray(build_probe("arm"))
    at = len(head) + gap
    table = at + len(section) + symbols
    struct.pack_into("<I", head, 32, table)
    struct.pack_into("<HH", head, 46, 40, 2)
    headers = bytes(40) + struct.pack("<10I", 0, 0x70000003, 0, 0, at, len(section), 0, 0, 1, 0)
    return bytes(head) + bytes(gap) + section + bytes(symbols) + headers


def level(content):
    (entry,) = index_files({"app": content}).entries
    assert entry.elf is not None
    return entry.elf.level


@pytest.mark.parametrize("gap", [0, 100, 5000, 100_000])
@pytest.mark.parametrize(
    ("arch", "expected"), [(3, 5), (4, 5), (6, 6), (7, 6), (9, 6), (10, 7), (14, 8), (0, 0), (99, 0)]
)
def test_the_level_is_read_from_the_end_of_the_file(arch, expected, gap):
    assert level(program(attributes(arch), gap=gap)) == expected


def test_other_attributes_are_skipped():
    odd = b"\x04raw\0" + b"\x20\x01gnu\0" + b"\x43" + b"2.09\0" + b"\x22\x01"
    assert level(program(attributes(10, before=odd))) == 7


def test_a_file_without_attributes_has_no_level():
    assert level(build_probe("arm")) == 0
    assert level(build_probe("arm64")) == 0
    assert level(program(attributes(10), gap=10_000, symbols=TAIL_BYTES)) == 0
    assert level(program(b"A" + bytes(30))) == 0
    assert level(program(b"")) == 0


@pytest.mark.parametrize("at", range(20))
def test_corrupt_bytes_raise_nothing(at):
    section = bytearray(attributes(10))
    section[at] = 0xFF
    assert level(program(bytes(section))) in {0, 7}
    whole = bytearray(program(attributes(10)))
    whole[32 + at] = 0xFF
    head = bytes(whole[:4096])
    assert arm_level(head, lambda offset, length: head[offset : offset + length]) in {0, 7}


@pytest.mark.parametrize(
    ("arch", "variant", "has_note"), [(10, "v6", True), (10, "v7", False), (6, "v6", False), (6, "v5", True)]
)
@pytest.mark.parametrize("mode", ["entrypoint", "all"])
def test_a_newer_level_is_a_note_and_not_a_failure(arch, variant, has_note, mode):
    blobs = Blobs()
    layer = blobs.add({"app": program(attributes(arch))})
    config = {"os": "linux", "architecture": "arm", "variant": variant, "config": {"Cmd": ["/app"]}}
    proof = prove_content(
        ImageContent(config=config, layers=[layer]),
        platform=Platform.parse(f"linux/arm/{variant}"),
        mode=mode,
        open_layer=blobs.open,
    )
    assert proof.status == "passed"
    assert ("above linux/arm/" in proof.detail) == has_note
