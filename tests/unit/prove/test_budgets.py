"""Budgets of an image: members, names, bytes; and the set that keeps millions of paths."""

import random
import tracemalloc

import pytest
from fakes.layers import GZIP, Blobs, Layer
from fakes.odd_layers import END, block

from multibuild.platforms import Platform
from multibuild.prove.content import proof
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.content.layer_index import MAX_NAME_CHARACTERS, LayerIndex, index_layer
from multibuild.prove.content.layer_stream import layer_members
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.prove.content.path_set import PathSet, path_digest
from multibuild.prove.content.proof import ImageContent, prove_content
from multibuild.prove.content.tar import MAX_MEMBERS, Member
from multibuild.prove.content.tar_header import UnreadableLayer

AMD64 = Platform.parse("linux/amd64")
CONFIG = {"os": "linux", "architecture": "amd64", "config": {"Cmd": ["/app"]}}


def detail_of(layers, open_layer, cache=None):
    content = ImageContent(config=CONFIG, layers=layers)
    result = prove_content(content, platform=AMD64, mode="all", open_layer=open_layer, cache=cache)
    assert result.status == "failed"
    return result.detail


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"members": MAX_MEMBERS // 2 + 1}, f"more than {MAX_MEMBERS} files"),
        ({"name_characters": MAX_NAME_CHARACTERS // 2 + 1}, f"more than {MAX_NAME_CHARACTERS} characters"),
    ],
)
def test_what_layers_may_have_holds_for_all_of_an_image_together(fields, message):
    cache = LayerCache()
    layers = [Layer(digest=f"sha256:{number}", media_type=GZIP, size=1) for number in range(2)]
    for layer in layers:
        cache.get_or_read(layer.digest, lambda: LayerIndex(entries=(), **fields))
    assert message in detail_of(layers, iter, cache)


def test_an_image_of_too_many_stated_bytes_is_refused_before_a_layer_is_read():
    blobs = Blobs()
    size = proof.MAX_IMAGE_BYTES // 2 + 1
    layers = [Layer(digest=f"sha256:{number}", media_type=GZIP, size=size) for number in range(2)]
    assert f"more than {proof.MAX_IMAGE_BYTES}" in detail_of(layers, blobs.open)
    assert blobs.opened == []


@pytest.mark.parametrize("size", [0, -1, 100])
def test_a_layer_of_more_bytes_than_stated_is_refused(size):
    blobs = Blobs()
    layer = blobs.add({"app": random.Random(1).randbytes(5000)})
    assert "that its image states" in detail_of(
        [Layer(digest=layer.digest, media_type=GZIP, size=size)], blobs.open
    )


def test_names_are_limited():
    names = (
        Member(path="x" * 4096, kind="file", target="y" * 4096, mode=0, size=0, head=b"")
        for _ in range(10**6)
    )
    with pytest.raises(UnreadableLayer, match=f"more than {MAX_NAME_CHARACTERS}"):
        index_layer(names)


NAMES = {
    "files of one directory": lambda number: block(b"usr/share/%d" % number, mode=0o644),
    "files of many directories": lambda number: block(b"d%d/f/%d" % (number // 40, number), mode=0o644),
    "the same file": lambda _: block(b"usr/share/file", mode=0o644),
}


@pytest.mark.parametrize("make", NAMES.values(), ids=NAMES)
def test_many_plain_files_take_little_memory(make):
    """They would take 70 bytes each in a set of numbers, and 170 in a tree of names."""
    blocks = [make(number) for number in range(5000)]
    tracemalloc.start()
    result = index_layer(layer_members(iter([*blocks, END]), "application/vnd.oci.image.layer.v1.tar"))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.members == 5000
    assert peak < 3 << 18


@pytest.mark.parametrize("others", [0, 200_000])
def test_looking_for_what_plain_files_replace_counts_steps(others):
    """Each layer's plain files are looked for in the whole tree."""
    program = index_layer(
        Member(path=f"bin/{number}", kind="file", target="", mode=0o755, size=3, head=b"#!x")
        for number in range(1000)
    )
    salt = bytes(range(16))
    plain = LayerIndex(
        entries=(), plain=path_digest("bin/7", salt) + random.Random(1).randbytes(8 * others), salt=salt
    )
    root = RootFs([program, plain, plain, plain])
    assert root._steps > 3000
    assert len(list(root.files())) == 999


def test_two_paths_of_one_digest_cannot_be_made_in_advance():
    path = Member(path="a", kind="file", target="", mode=0, size=0, head=b"")
    assert len({index_layer(iter([path])).plain for _ in range(5)}) == 5


def test_directories_without_members_are_limited():
    deep = (
        Member(path=f"{number}/" + "d/" * 100 + "f", kind="file", target="", mode=0, size=0, head=b"")
        for number in range(10**6)
    )
    with pytest.raises(UnreadableLayer, match="directories"):
        index_layer(deep)


def test_a_path_set_holds_what_a_set_holds():
    generator = random.Random(3)
    own, expected = PathSet(), set()
    for _ in range(20_000):
        path = f"{generator.randrange(5000)}"
        if generator.random() < 0.6:
            own.add(path)
            expected.add(path)
        else:
            own.discard(path)
            expected.discard(path)
        assert (path in own) == (path in expected)
    digests = own.digests()
    assert {digests[at : at + 8] for at in range(0, len(digests), 8)} == {
        path_digest(path, own.salt) for path in expected
    }
    assert len(digests) == 8 * len(expected)
