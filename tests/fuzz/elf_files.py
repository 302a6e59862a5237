"""Programs: headers, segments, dynamic sections and build attributes that claim anything."""

import random
import struct
from collections.abc import Sequence

from fakes.odd_layers import END, block, padded

from fuzz.harness import Target, mutated
from multibuild.elf.header import HEAD_BYTES, ElfHeader, architecture_of, matches, parse_elf
from multibuild.platforms import Platform
from multibuild.prove.content.layer_index import LayerIndex, index_layer
from multibuild.prove.content.layer_stream import layer_members

PLATFORMS = tuple(
    map(Platform.parse, ("linux/amd64", "linux/arm/v5", "linux/arm/v7", "linux/mips64le", "linux/mipsle"))
)
LAYER = "application/vnd.oci.image.layer.v1.tar"
NUMBERS = (
    0,
    1,
    2,
    3,
    8,
    40,
    56,
    64,
    127,
    255,
    4095,
    4096,
    65535,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
WORDS = (
    b"\x7fELF\x02\x01\x01",
    b"\x7fELF\x01\x01\x01",
    b"\x7fELF\x01\x02\x01",
    b"aeabi\0",
    b"$ORIGIN",
    b"/" * 300,
)


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    data = bytearray(generator.choice(seeds))
    for _ in range(generator.randint(1, 6)):
        size = generator.choice((1, 2, 4, 8))
        at = generator.randrange(max(1, min(len(data), generator.choice((64, 300, len(data) or 1)))))
        order = "<" if generator.random() < 0.8 else ">"
        value = generator.choice((*NUMBERS, len(data), len(data) - 1, generator.randrange(len(data) + 1)))
        data[at : at + size] = (
            struct.pack(order + "Q", value)[:size] if order == "<" else struct.pack(">Q", value)[-size:]
        )
    return mutated(generator, bytes(data), WORDS) if generator.random() < 0.3 else bytes(data)


def _run(case: bytes) -> None:
    archive = block(b"app", size=len(case)) + padded(case) + END
    index = index_layer(
        layer_members(iter([archive[at : at + 3000] for at in range(0, len(archive), 3000)]), LAYER)
    )
    header = parse_elf(case[:HEAD_BYTES])
    (entry,) = index.entries
    assert (entry.elf is None) == (header is None)
    if entry.elf is not None:
        _check(entry.elf)
    assert LayerIndex.from_json(index.as_json()) == index


def _check(elf: ElfHeader) -> None:
    assert len(elf.needed) <= 200
    assert len(elf.runpath) <= 4096
    assert len(elf.interpreter or "") <= 4096
    assert elf.level in range(9)
    assert architecture_of(elf)
    assert sum(matches(elf, platform) for platform in PLATFORMS) <= 2  # ARM code may be for v5 and v7


TARGETS = (Target(name="elf-files", make=_make, run=_run),)
