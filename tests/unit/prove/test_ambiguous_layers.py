"""Layers that show a proof another program than the engine runs. What the engine does: tests/e2e/test_layer_readers.py."""

import gzip
import random

import pytest
from fakes.layers import GZIP, PLAIN, Blobs
from fakes.odd_layers import END, GNU, LayerMaker, block, long_name, padded, pax, tree_of

from multibuild.platforms import Platform
from multibuild.prove.content.layer_index import index_layer
from multibuild.prove.content.layer_stream import bounded_blob, layer_members
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.prove.content.proof import ImageContent, prove_content
from multibuild.prove.content.tar_header import UnreadableLayer
from multibuild.qemu.probe_program import build_probe

AMD64 = Platform.parse("linux/amd64")
RIGHT, FOREIGN = build_probe("amd64"), build_probe("arm64")


def member(name, data=b"", kind=b"0", **fields):
    """Return a member, a file of some data if nothing else is said."""
    return block(name, kind, size=len(data), **fields) + padded(data)


def directory(name):
    return member(name, kind=b"5")


def link(name, target, kind=b"2", **fields):
    return member(name, kind=kind, target=target, **fields)


def index(*members, end=END):
    return index_layer(layer_members(iter([b"".join(members) + end]), PLAIN))


def prove(layers, *command, mode="entrypoint", **section):
    blobs = Blobs()
    content = ImageContent(
        config={
            "os": "linux",
            "architecture": "amd64",
            "config": {"Entrypoint": list(command or ("app",)), **section},
        },
        layers=[blobs.add_blob(gzip.compress(layer + END), GZIP) for layer in layers],
    )
    return prove_content(content, platform=AMD64, mode=mode, open_layer=blobs.open)


LOCAL, USR = b"usr/local/bin/app", b"usr/bin/app"
"""The first and a later file that PATH leads to."""

BOTH = member(LOCAL, RIGHT) + member(USR, FOREIGN)
STAR = b"p" * 131
SPARSE = ((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", USR))
MAP = padded(b"1\n0\n%d\n" % len(FOREIGN))

# Of each, the engine runs the foreign program, and a reader with other rules finds the right one.
RUNS_FOREIGN = {
    "a PAX path behind a GNU long name": [
        member(USR, RIGHT) + long_name(USR) + pax((b"path", b"other")) + member(b"x", FOREIGN)
    ],
    "a GNU long name without PAX path": [
        member(USR, RIGHT) + long_name(USR) + pax((b"GNU.sparse.name", b"other")) + member(b"x", FOREIGN)
    ],
    "two PAX headers": [member(USR, RIGHT) + pax((b"path", b"other")) + pax((b"mtime", b"1")) + member(USR, FOREIGN)],
    "a PAX header in front of a global one": [
        member(USR, RIGHT) + pax((b"path", b"other")) + pax((b"comment", b"c"), kind=b"g", name=b"g") + member(USR, FOREIGN)
    ],
    "a global header of a program's name": [BOTH + pax((b"comment", b"c"), kind=b"g", name=LOCAL)],
    "a name of a sparse file without version": [
        member(USR, RIGHT) + pax((b"path", USR), (b"GNU.sparse.name", b"other")) + member(b"x", FOREIGN)
    ],
    "a sparse file of PAX 1.0": [
        member(b"usr/lib/right", RIGHT)
        + pax(*SPARSE, (b"GNU.sparse.realsize", b"%d" % len(FOREIGN)))
        + member(b"x", MAP + FOREIGN)
    ],
    "a size behind a NUL": [
        member(USR, FOREIGN) + block(b"x", size_field=b"\0%010o\0" % 1024) + padded(member(USR, RIGHT))[:1024]
    ],
    "a prefix in GNU's format": [member(USR, RIGHT) + member(b"app", FOREIGN, magic=GNU, tail=b"usr/bin")],
    "a whiteout of the same layer's file": [BOTH + member(b"usr/local/bin/.wh.app")],
    "a plain file in place of a program": [BOTH + member(LOCAL, b"text", mode=0o644)],
    "a plain file through a symlink": [
        BOTH + link(b"s", b"usr/local/bin") + member(b"s/app", b"text", mode=0o644)
    ],
    "a hard link that changes the mode": [BOTH + link(b"other", LOCAL, b"1", mode=0o644)],
    "an opaque directory behind implied ones": [BOTH + member(b"usr/local/.wh..wh..opq")],
    "a directory over a symlink": [
        member(b"opt/app", RIGHT) + member(USR, FOREIGN) + link(b"usr/local", b"/l") + link(b"l/bin", b"/opt"),
        member(b"usr/local/text", b"text", mode=0o644),
    ],
    "a program through a symlink": [
        member(b"opt/app", RIGHT) + link(b"usr/local/bin", b"/opt") + member(USR, FOREIGN),
        member(b"usr/local/bin/text", RIGHT),
    ],
    "a directory removed and made anew": [
        member(LOCAL, FOREIGN) + member(USR, RIGHT),
        member(b"usr/local/.wh.bin") + directory(b"usr/local/bin"),
    ],
    "an opaque root": [member(LOCAL, FOREIGN), member(b".wh..wh..opq") + member(USR, RIGHT)],
    "an attribute that makes a directory opaque": [
        BOTH,
        pax((b"SCHILY.xattr.trusted.overlay.opaque", b"y")) + directory(b"usr/local/bin"),
    ],
    "an attribute that redirects a directory": [
        member(b"usr/local/bin/app", RIGHT) + member(b"opt/app", FOREIGN),
        pax((b"SCHILY.xattr.trusted.overlay.redirect", b"/opt")) + directory(b"usr/local/bin"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("layers", RUNS_FOREIGN.values(), ids=RUNS_FOREIGN)
def test_an_image_that_runs_a_foreign_program_fails(layers):
    assert prove(layers).status == "failed"


def test_the_prefix_of_star_is_shorter():
    tail = STAR + b"00000000000\0" * 2 + bytes(8) + b"tar\0"
    layer = member(b"app", FOREIGN, tail=tail) + member(b"x", RIGHT)
    assert prove([layer], f"/{STAR.decode()}/app").status == "failed"


AMBIGUOUS = {
    "a long name behind a PAX path": pax((b"path", b"a")) + long_name(b"b") + member(b"c"),
    "an empty long name": long_name(b"") + member(b"a"),
    "an empty PAX header": pax() + member(b"a"),
    "an empty PAX path": pax((b"path", b"")) + member(b"a"),
    "an empty PAX link path": pax((b"linkpath", b"")) + link(b"a", b"b"),
    "an empty PAX size": pax((b"size", b"")) + member(b"a"),
    "an old directory with a size": block(b"a/", b"\0", size=512) + member(b"b"),
    "a long name that goes on": block(b"L", b"L", size=1, magic=GNU) + padded(b"ab") + member(b"c"),
    "a PAX header that goes on": block(b"x", b"x", size=9) + padded(b"9 path=a\n9 path=b\n") + member(b"c"),
    "an old file with a directory's name": long_name(b"a") + member(b"a/", b"text", b"\0"),
    "two long names": long_name(b"a") + long_name(b"b") + member(b"c"),
    "two long links": long_name(b"a", b"K") + long_name(b"b", b"K") + link(b"c", b"d"),
    "a long link and a PAX link path": long_name(b"a", b"K") + pax((b"linkpath", b"b")) + link(b"c", b"d"),
    "two PAX paths": pax((b"path", b"a"), (b"path", b"b")) + member(b"c"),
    "two PAX sizes": pax((b"size", b"4"), (b"size", b"5")) + member(b"c", b"text"),
    "two sizes": pax((b"size", b"4")) + member(b"c", b"text and more"),
    "sparse file 0.0": pax((b"GNU.sparse.size", b"4"), (b"GNU.sparse.numblocks", b"0")) + member(b"c"),
    "sparse file 0.1": pax((b"GNU.sparse.map", b"0,4"), (b"GNU.sparse.name", b"x")) + member(b"c", b"text"),
    "a global path": pax((b"path", b"a"), kind=b"g") + member(b"c"),
    "a global size": pax((b"size", b"0"), kind=b"g") + member(b"c"),
    "a global sparse file": pax((b"GNU.sparse.major", b"1"), kind=b"g") + member(b"c"),
    "an overlay attribute of a user": pax((b"SCHILY.xattr.user.overlay.opaque", b"y")) + directory(b"c"),
    "a directory that becomes a file": member(b"a/b") + member(b"a"),
    "a directory with plain files that becomes a link": member(b"a/b", mode=0o644) + link(b"a", b"b"),
    "a hard link with ..": member(b"b") + link(b"a", b"c/../b", b"1"),
    "a path through a symlink with ..": link(b"a", b"b/../c") + member(b"a/d"),
    "a link that makes a plain file executable": member(b"a", mode=0o644) + link(b"b", b"a", b"1"),
}
REFUSED_BY_ENGINES = {
    "a sparse file of GNU": member(b"a", kind=b"S"),
    "a contiguous file": member(b"a", kind=b"7"),
    "a PAX header of Solaris": member(b"a", kind=b"X"),
    "a volume label": member(b"a", kind=b"V"),
    "a device that hides": member(b"a", kind=b"3", major=0),
    "a device without number": member(b"a", kind=b"3", magic=bytes(8)),
    "a NUL in a PAX path": pax((b"path", b"a\0b")) + member(b"c"),
    "a NUL in a PAX link path": pax((b"linkpath", b"a\0b")) + link(b"c", b"d"),
    "a size with a prefix": block(b"a", size_field=b"0o%09o\0" % 0),
    "a size with an underscore": block(b"a", size_field=b"0000_000000\0"),
    "a size with a sign": block(b"a", size_field=b"+0000000000\0"),
    "a size of 2^90": block(b"a", size_field=b"\x81" + bytes(11)),
    "a directory with a size of no number": block(b"a", b"5", size_field=b"x" * 12),
    "a whiteout without name": member(b"a/.wh."),
    "a whiteout of the parent": member(b"a/.wh..."),
    "a file below a file": member(b"a") + member(b"a/b"),
    "a file below a plain file": member(b"a", mode=0o644) + member(b"a/b"),
    "a file below a loop": link(b"a", b"a") + member(b"a/b"),
    "a hard link to a directory": directory(b"a") + link(b"b", b"a", b"1"),
    "a hard link to nothing": link(b"b", b"", b"1"),
}


@pytest.mark.parametrize(
    "content", [*AMBIGUOUS.values(), *REFUSED_BY_ENGINES.values()], ids=[*AMBIGUOUS, *REFUSED_BY_ENGINES]
)
def test_an_ambiguous_layer_is_refused(content):
    with pytest.raises(UnreadableLayer, match="a layer"):
        index(content)


def test_the_error_names_the_member_and_the_layer():
    proof = prove([BOTH, AMBIGUOUS["a long name behind a PAX path"]])
    assert proof.detail.startswith(
        "a layer is ambiguous: 'b' has a GNU long name and another PAX path (layer sha256:"
    )
    assert (
        "'\\udcff"
        in prove([pax((b"path", b"a\xff"), (b"path", b"b")) + long_name(b"\xff") + member(b"c")]).detail
    )


def test_a_hard_link_to_a_lower_layer_is_refused():
    """Engines unpack a layer into an empty directory."""
    assert (
        "hard link to a lower layer" in prove([member(b"a", RIGHT), link(b"app", b"a", b"1")], "/app").detail
    )


CONTINUED = {
    "a block of zeros": bytes(512) + member(b"b"),
    "half a block of zeros": bytes(300) + b"x",
}


@pytest.mark.parametrize("rest", CONTINUED.values(), ids=CONTINUED)
def test_what_follows_a_block_of_zeros_is_refused(rest):
    with pytest.raises(UnreadableLayer):
        index(member(b"a"), rest)


@pytest.mark.parametrize("end", [b"", bytes(512), END, END + member(b"b"), END + b"garbage" * 100])
def test_a_layer_ends_where_an_engine_ends_it(end):
    assert [entry.path for entry in index(member(b"a"), end=end).entries] == ["a"]


@pytest.mark.parametrize(
    "blob",
    [
        gzip.compress(member(b"a")) + bytes(9) + gzip.compress(member(b"b")),
        gzip.compress(member(b"a")) + bytes(70_000) + b"x",
        gzip.compress(member(b"a") + END) + b"garbage",
    ],
    ids=["gzip", "a byte", "garbage"],
)
def test_what_follows_the_padding_of_gzip_is_refused(blob):
    with pytest.raises(UnreadableLayer):
        list(layer_members(iter([blob]), GZIP))


def test_padding_of_gzip_may_come_in_pieces():
    blob = gzip.compress(member(b"a") + END)
    assert len(list(layer_members(iter([blob, bytes(5), bytes(9)]), GZIP))) == 1


READ = {
    "a name with junk behind NUL": (member(b"a\0junk"), "a"),
    "a long name with junk behind NUL": (long_name(b"a\0junk") + member(b"x"), "a"),
    "an equal long name and PAX path": (long_name(b"a") + pax((b"path", b"a")) + member(b"x"), "a"),
    "GNU's times": (member(b"a", magic=GNU, tail=b"00000000000\0" * 2), "a"),
    "GNU's format without times": (member(b"a", magic=GNU, tail=b"\0pre/fix"), "a"),
    "the oldest format": (member(b"a", magic=bytes(8), tail=b"pre/fix"), "a"),
    "a signed sum": (member("ü".encode(), signed=True), "ü"),
    "a sum without NUL": (member(b"a", form=b"%07o "), "a"),
    "a size in base 256": (block(b"a", size_field=b"\x80" + bytes(11)), "a"),
    "a comment": (pax((b"comment", b"commit"), kind=b"g", name=b"pax_global_header") + member(b"a"), "a"),
    "an absolute name": (member(b"/a"), "a"),
    "a name with dots": (member(b"./x/../a/."), "a"),
    "a regular file with a slash": (member(b"a/"), "a"),
    "a second time": (member(b"a", RIGHT) + member(b"a"), "a"),
    "a name in another character set": (pax((b"hdrcharset", b"BINARY"), (b"path", b"\xff")) + member(b"x"), "\udcff"),
    "a symlink that becomes a directory": (link(b"b", b"c") + directory(b"b") + member(b"b/a"), "b/a"),
    "a path through a symlink": (link(b"b", b"/c") + member(b"b/a"), "c/a"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "path"), READ.values(), ids=READ)
def test_a_name_is_read_as_the_engine_reads_it(content, path):
    assert [entry.path for entry in index(content).entries if entry.kind == "file"] == [path]


@pytest.mark.parametrize(("kind", "size"), [(b"\0", 0), (b"5", 512)])
def test_a_directory_has_no_data(kind, size):
    content = block(b"a/", kind, size=size) + member(b"b")
    assert {entry.path: entry.kind for entry in index(content).entries} == {"a": "directory", "b": "file"}


def test_a_device_with_a_number_is_kept():
    assert [entry.kind for entry in index(member(b"a", kind=b"3", major=1)).entries] == ["other"]


def test_images_through_symlinks_pass_when_both_ways_are_right():
    lower = member(b"usr/bin/app", RIGHT) + link(b"bin", b"usr/bin")
    assert prove([lower, member(b"bin/other", RIGHT)]).status == "passed"


def test_trees_differ_only_where_they_are_called_ambiguous():
    for seed in range(400):
        layers = [layer + END for layer in LayerMaker(random.Random(seed)).layers()]
        try:
            indexes = [index_layer(layer_members(iter([layer]), PLAIN)) for layer in layers]
            root = RootFs(indexes)
        except UnreadableLayer:
            continue
        if not root.is_ambiguous:
            assert tree_of(root) == tree_of(RootFs(indexes, overlay=True)), seed


def test_more_bytes_than_stated_are_refused_when_they_come():
    def endless():
        while True:
            yield bytes(1000)

    read: list[bytes] = []
    with pytest.raises(UnreadableLayer, match="more than the 2500 bytes"):
        read.extend(bounded_blob(endless(), 2500))
    assert len(read) == 2


def test_a_body_that_drips_is_given_up():
    seconds = iter(range(10**9))
    with pytest.raises(UnreadableLayer, match="bytes a second"):
        for _ in bounded_blob((b"x" for _ in range(10**6)), 10**6, clock=lambda: float(next(seconds))):
            pass


def test_a_slow_body_is_read():
    seconds = iter(range(0, 10**9, 10))
    chunks = bounded_blob((bytes(10**6) for _ in range(100)), 10**8, clock=lambda: float(next(seconds)))
    assert sum(map(len, chunks)) == 10**8
