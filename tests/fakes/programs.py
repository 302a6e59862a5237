"""Dynamically linked programs of any architecture."""

import struct

from multibuild.architectures import architecture_named
from multibuild.qemu.probe_program import build_probe

ADDRESS = 0x400000


def dynamic_program(architecture, *needed, runpath="", gap=0, late=False):
    """Return a program that needs libraries: header, PT_LOAD and PT_DYNAMIC, strings, `gap` bytes, dynamic section.

    `late` puts the strings after the gap too.
    """
    row = architecture_named(architecture)
    assert row is not None
    wide, order = row.elf.bits == 64, ">" if row.elf.order == "big" else "<"
    head = bytearray(build_probe(architecture)[: 64 if wide else 52])
    word, entry = ("Q", 56) if wide else ("I", 32)
    struct.pack_into(order + "HH", head, 54 if wide else 42, entry, 2)
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in (*needed, runpath))
    at = len(head) + 2 * entry + (gap if late else 0)
    offsets = {name: strings.index(name.encode() + b"\0") for name in (*needed, runpath)}
    pairs = [(1, offsets[name]) for name in needed] + ([(29, offsets[runpath])] if runpath else [])
    pairs += [(5, ADDRESS + at), (0, 0), (1, 10**6)]
    section = b"".join(struct.pack(order + word * 2, *pair) for pair in pairs)
    dynamic = len(head) + 2 * entry + len(strings) + gap
    size = dynamic + len(section)

    def segment(kind, offset, length):
        fields = (kind, 5, offset, ADDRESS + offset, 0, length, length, 8)
        if wide:
            return struct.pack(order + "II6Q", *fields)
        return struct.pack(order + "8I", kind, offset, ADDRESS + offset, 0, length, length, 5, 8)

    middle = bytes(gap) + strings if late else strings + bytes(gap)
    return bytes(head) + segment(1, 0, size) + segment(2, dynamic, len(section)) + middle + section
