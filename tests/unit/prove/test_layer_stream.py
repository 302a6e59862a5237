import contextlib
import gzip
import io
import random
import struct
import tarfile
import tracemalloc

import pytest
import zstandard
from fakes.layers import GZIP, PLAIN, ZSTD, tar

from multibuild.elf.header import HEAD_BYTES
from multibuild.errors import VerificationFailed
from multibuild.prove.content.layer_stream import LayerLimits, layer_members
from multibuild.prove.content.tar import TarLimits
from multibuild.prove.content.tar_header import UnreadableLayer

FILES = {"bin": None, "bin/app": b"program" * 1000, "bin/sh": "-> app", "bin/hard": "= bin/app", "empty": b""}
DOCKER = "application/vnd.docker.image.rootfs.diff.tar.gzip"


def chunks(blob, size=777):
    return (blob[at : at + size] for at in range(0, len(blob), size))


def members(blob, media_type=PLAIN, **limits):
    return list(layer_members(chunks(blob), media_type, limits=LayerLimits(**limits)))


def zeros(*, count, header=b""):
    """Return gzip data of `count` MiB of zeros behind `header`, in little memory."""
    out = io.BytesIO()
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as file:
        file.write(header)
        for _ in range(count):
            file.write(bytes(1 << 20))
    return out.getvalue()


def header(name, size, typeflag=b"0"):
    info = tarfile.TarInfo(name)
    info.size, info.type = size, typeflag
    return info.tobuf(tarfile.GNU_FORMAT)


def with_checksum(block):
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + sum(block[156:]) + 256)
    return bytes(block)


@contextlib.contextmanager
def little_memory():
    """Assert that a block allocates less than 8 MiB."""
    tracemalloc.start()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 << 20


DATA = tar(FILES)
PACKED = {
    "plain": (DATA, PLAIN),
    "gzip": (gzip.compress(DATA), GZIP),
    "docker": (gzip.compress(DATA), DOCKER),
    "mislabelled": (gzip.compress(DATA), PLAIN),
    "zstd": (zstandard.compress(DATA), ZSTD),
    "gzip members": (b"".join(map(gzip.compress, chunks(DATA, 700))), GZIP),
    "zstd frames": (b"".join(map(zstandard.compress, chunks(DATA, 700))), ZSTD),
    "skippable": (struct.pack("<II", 0x184D2A50, 3) + b"abc" + zstandard.compress(DATA), ZSTD),
    "padded": (gzip.compress(DATA) + bytes(1000), GZIP),
}


@pytest.mark.parametrize(("blob", "media_type"), PACKED.values(), ids=PACKED)
@pytest.mark.parametrize("chunk", [1, 777, 1 << 20])
def test_the_members_are_the_same_with_every_compression(blob, media_type, chunk):
    result = list(layer_members(chunks(blob, chunk), media_type))
    assert [(one.path.rstrip("/"), one.kind, one.target) for one in result] == [
        ("bin", "directory", ""),
        ("bin/app", "file", ""),
        ("bin/sh", "symlink", "app"),
        ("bin/hard", "hardlink", "bin/app"),
        ("empty", "file", ""),
    ]
    assert result[1].head == (b"program" * 1000)[:HEAD_BYTES]
    assert (result[1].size, result[1].mode) == (7000, 0o755)


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_long_and_unusual_names_are_complete(form):
    names = {
        "a/" * 120 + "file": b"x",
        "ünï": b"y",
        "link": "-> " + "b/" * 90 + "c",
        "d" * 90 + "/" + "e" * 90: b"z",
    }
    result = members(tar(names, form=form))
    assert [one.path for one in result] == list(names)
    assert result[2].target == "b/" * 90 + "c"


def test_an_old_posix_prefix_is_joined():
    name = "d" * 90 + "/" + "e" * 90
    assert members(tar({name: b"z"}, form=tarfile.USTAR_FORMAT))[0].path == name


@pytest.mark.parametrize("typeflag", [b"x", b"g", b"L", b"K"])
def test_a_huge_header_is_refused_before_it_is_read(typeflag):
    blob = zeros(count=40, header=header("pax", 40 << 20, typeflag))
    with little_memory(), pytest.raises(UnreadableLayer, match="header of more than"):
        members(blob, GZIP)


def test_a_large_file_takes_little_memory():
    blob = zeros(count=40, header=header("big", 39 << 20))
    with little_memory():
        assert members(blob, GZIP)[0].size == 39 << 20


PAX_COMMENT = b"20 comment=abcdefgh\n".ljust(512 << 10, b"\0")
HOSTILE = {
    "a chain of headers": (lambda: (header("pax", len(PAX_COMMENT), b"x") + PAX_COMMENT) * 3, {}, "header of more than"),
    "too many bytes": (lambda: zeros(count=20, header=header("big", 20 << 20)), {"unpacked_bytes": 10 << 20}, "more than"),
    "a high ratio": (
        lambda: zstandard.compress(header("big", 64 << 20) + bytes(64 << 20)), {"ratio_free_bytes": 1 << 20}, "times its size"
    ),
    "too many files": (
        lambda: tar({f"f{number}": b"" for number in range(4)}), {"tar": TarLimits(members=3)}, "more than 3 files"
    ),
    "a path longer than PATH_MAX": (lambda: tar({"a/" * 3000: b""}), {}, "path longer"),
}  # fmt: skip


@pytest.mark.parametrize(("make", "limits", "message"), HOSTILE.values(), ids=HOSTILE)
def test_a_layer_beyond_a_limit_is_refused(make, limits, message):
    with pytest.raises(UnreadableLayer, match=message):
        members(make(), **limits)


@pytest.mark.parametrize("size", ["-5", "9" * 25, "x", "9" * 19])
def test_a_hostile_size_is_refused(size):
    record = f" size={size}\n"
    record = f"{len(record) + 2}{record}"
    assert len(record) < 100
    pax = record.encode()
    with pytest.raises(UnreadableLayer):
        members(header("pax", len(pax), b"x") + pax.ljust(512, b"\0") + header("f", 0))


def test_a_negative_binary_size_is_refused():
    block = bytearray(header("f", 0))
    block[124:136] = b"\xff" * 12
    with pytest.raises(UnreadableLayer):
        members(with_checksum(block))


MORE_MAP = bytes(504) + b"\1" + bytes(7)
"""A block of the map of a sparse file, of which a further one follows."""


def test_the_map_of_a_sparse_file_is_limited():
    block = bytearray(header("sparse", 0, b"S"))
    block[482] = 1
    with pytest.raises(UnreadableLayer, match="map of more than"):
        members(with_checksum(block) + MORE_MAP * 3000)


def test_the_map_of_a_sparse_file_is_skipped():
    block = bytearray(header("sparse", 3, b"S"))
    block[482] = 1
    blob = with_checksum(block) + MORE_MAP + bytes(512) + b"abc".ljust(512, b"\0") + header("next", 0)
    assert [(one.path, one.head) for one in members(blob + bytes(1024))] == [
        ("sparse", b"abc"),
        ("next", b""),
    ]


@pytest.mark.parametrize(
    "media_type", ["application/json", GZIP + "+encrypted", "", "application/vnd.in-toto+json"]
)
def test_other_media_types_are_refused(media_type):
    with pytest.raises(UnreadableLayer, match="cannot be looked into"):
        members(b"", media_type)


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress, bytes], ids=["gzip", "zstd", "plain"])
def test_a_layer_cut_short_is_refused(pack):
    blob = pack(tar({"f": random.Random(1).randbytes(50_000)}))
    with pytest.raises(UnreadableLayer):
        members(blob[:20_000], GZIP)


def test_damage_raises_unreadable_layer_only():
    rng = random.Random(2)
    for blob in (gzip.compress(DATA), zstandard.compress(DATA), DATA) * 150:
        corrupt = bytearray(blob)
        for _ in range(rng.randint(1, 4)):
            corrupt[rng.randrange(len(corrupt))] = rng.randrange(256)
        with contextlib.suppress(VerificationFailed):
            members(bytes(corrupt), GZIP)


def test_all_of_the_blob_is_read():
    source = chunks(gzip.compress(DATA + bytes(300_000)))
    list(layer_members(source, GZIP))
    assert next(source, None) is None
