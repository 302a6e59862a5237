"""Layers of an image: their archives, and the trees that engines merge them to. A case has a length before each layer."""

import io
import json
import random
import struct
import tarfile
from collections.abc import Iterator, Sequence

from fakes.odd_layers import END, LayerMaker, tree_of, with_checksum

from fuzz.harness import Target, mutated
from multibuild.prove.content.executed_files import executed_files
from multibuild.prove.content.layer_index import LayerIndex, index_layer
from multibuild.prove.content.layer_stream import layer_members
from multibuild.prove.content.layer_tree import normalize_path
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.prove.content.tar import Member
from multibuild.prove.content.tar_header import UnreadableLayer

LAYER = "application/vnd.oci.image.layer.v1.tar"
WORDS = (
    b"ustar\x0000", b"ustar  \0", b"./@LongLink", b"path=", b"linkpath=", b"size=", b"GNU.sparse.major=1", b".wh.",
    b".wh..wh..opq", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd", b"\x7fELF\x02\x01\x01", b"#!", b"../", b"//", b"\xff" * 12,
    b"\x80", bytes(512), bytes(1024), b"20 comment=abcdefgh\n",
)  # fmt: skip


def joined(layers: Sequence[bytes]) -> bytes:
    """Return the case of some layers."""
    return b"".join(struct.pack(">I", len(layer)) + layer for layer in layers)


def _layers(case: bytes) -> Iterator[bytes]:
    at = 0
    while at + 4 <= len(case):
        (size,) = struct.unpack_from(">I", case, at)
        yield case[at + 4 : at + 4 + size]
        at += 4 + size


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    if generator.random() < 0.2:
        layers = list(_layers(generator.choice(seeds)))
    else:
        layers = [layer + END for layer in LayerMaker(generator).layers()]
    for _ in range(generator.choice((0, 0, 1, 2))):
        at = generator.randrange(len(layers))
        layers[at] = _damaged(generator, layers[at])
    return joined(layers)


def _damaged(generator: random.Random, layer: bytes) -> bytes:
    """Change one block, and most times its checksum too."""
    blocks = [layer[at : at + 512] for at in range(0, len(layer), 512)]
    at = generator.randrange(len(blocks) or 1) if blocks else 0
    block = mutated(generator, blocks[at] if blocks else b"", WORDS, changes=2)
    if generator.random() < 0.7:
        block = with_checksum(bytearray(block[:512].ljust(512, b"\0")))
    return b"".join((*blocks[:at], block, *blocks[at + 1 :]))


def _run(case: bytes) -> None:
    layers = list(_layers(case))
    indexes = [_index(layer) for layer in layers]
    root = RootFs(indexes)
    if not root.is_ambiguous:
        assert tree_of(root) == tree_of(RootFs(indexes, overlay=True)), "merged in two ways"
    for file in root.files():
        assert not {"", ".", ".."} & set(file.path[1:].split("/")), file.path
    executed_files({"config": {"Cmd": ["app"], "Env": ["PATH=/bin:/usr/bin:a"]}}, root)


def _index(layer: bytes) -> LayerIndex:
    members = list(layer_members(iter([layer]), LAYER))
    index = index_layer(iter(members))
    assert LayerIndex.from_json(json.loads(json.dumps(index.as_json()))) == index
    if _is_plain(layer):
        _compare(members, layer)
    return index


def _is_plain(layer: bytes) -> bool:
    """Whether Python's reader takes no other field for a prefix: it looks at no magic, and not for star's times."""
    blocks = (layer[at : at + 512] for at in range(0, len(layer), 512))
    return not any(
        block[508:512] == b"tar\0" or (block[345:346].strip(b"\0") and block[257:263] != b"ustar\0")
        for block in blocks
    )


def _compare(members: Sequence[Member], layer: bytes) -> None:
    """Compare names and sizes with what Python's reader finds. It stops at a damaged header without an error."""
    own = [member for member in members if member.kind != "global"]
    try:
        with tarfile.open(fileobj=io.BytesIO(layer), mode="r:") as archive:
            theirs = archive.getmembers()
    except (tarfile.TarError, ValueError):
        return
    for mine, its in zip(own, theirs, strict=False):
        assert normalize_path(mine.path) == normalize_path(its.name), (mine.path, its.name)
        assert mine.kind != "file" or its.isdir() or mine.size == its.size, (mine.size, its.size)


def _run_as_the_proof(case: bytes) -> None:
    try:
        _run(case)
    except UnreadableLayer as error:
        if len(error.message.encode()) > 3000:
            raise ValueError("a long message") from error
        raise


TARGETS = (Target(name="tar-members", make=_make, run=_run_as_the_proof),)
