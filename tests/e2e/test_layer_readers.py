"""Layers made by a generator, unpacked by the engine and by the proof's readers: the same tree, or one of them refuses.

`MULTIBUILD_LAYER_CASES=10000` runs as many cases, `MULTIBUILD_LAYER_SEED` begins elsewhere.
"""

import gzip
import hashlib
import io
import json
import os
import random
import subprocess
import tarfile
import uuid
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import zstandard
from fakes.odd_layers import END, LayerMaker, block, tree_in, tree_of
from waiting import PATIENCE_S

from multibuild.prove.content.layer_index import index_layer
from multibuild.prove.content.layer_stream import layer_members
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.prove.content.tar_header import UnreadableLayer

CASES = int(os.environ.get("MULTIBUILD_LAYER_CASES", "300"))
SEED = int(os.environ.get("MULTIBUILD_LAYER_SEED", "0"))
IN_ONE_IMAGE = 60
LAYER = "application/vnd.oci.image.layer.v1.tar"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
ADDED = ("dev", "etc", "proc", "sys", ".dockerenv")
"""What docker adds to every container."""


@dataclass(frozen=True)
class Case:
    """A case of a number; its layers lie below a directory of its own, and have no end."""

    number: int
    layers: tuple[bytes, ...]

    @property
    def name(self):
        return f"c{self.number}"


@dataclass
class Tally:
    """What became of the cases."""

    counts: Counter[str] = field(default_factory=Counter)
    different: list[str] = field(default_factory=list)


def digest_of(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


def image_archive(layers, tag, diff_ids=None):
    """Return an OCI layout as `docker load` takes it."""
    diff_ids = diff_ids or [digest_of(layer) for layer in layers]
    config = {
        "os": "linux",
        "architecture": "amd64",
        "config": {"Cmd": ["/x"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    blobs = [json.dumps(config).encode(), *layers]
    descriptors = [
        {"mediaType": kind, "digest": digest_of(blob), "size": len(blob)}
        for blob, kind in zip(blobs, [CONFIG, *[LAYER] * len(layers)], strict=True)
    ]
    document = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptors[0],
        "layers": descriptors[1:],
    }
    manifest = json.dumps(document).encode()
    entry = {
        "mediaType": MANIFEST,
        "digest": digest_of(manifest),
        "size": len(manifest),
        "annotations": {"io.containerd.image.name": f"docker.io/library/{tag}"},
    }
    files = {
        "oci-layout": b'{"imageLayoutVersion":"1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": [entry]}).encode(),
        **{f"blobs/sha256/{digest_of(blob)[7:]}": blob for blob in (*blobs, manifest)},
    }
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def run(*argv, data=None):
    return subprocess.run(argv, input=data, capture_output=True, timeout=PATIENCE_S)


def engine_tree(layers, diff_ids=None):
    """Return the tree that the engine makes of layers, and what it said if it refuses them."""
    tag = f"layer-readers-{uuid.uuid4().hex[:12]}:x"
    done = run("docker", "load", data=image_archive(layers, tag, diff_ids))
    if done.returncode or b"Loaded image" not in done.stdout:
        run("docker", "image", "rm", "-f", tag)
        return None, done.stderr.decode(errors="replace")
    created = run("docker", "create", "--name", tag[:-2], tag)
    exported = run("docker", "export", tag[:-2]) if created.returncode == 0 else created
    run("docker", "rm", "-f", tag[:-2])
    run("docker", "image", "rm", "-f", tag)
    if exported.returncode:
        return None, exported.stderr.decode(errors="replace")
    return tree_in(exported.stdout), ""


def own_tree(layers):
    """Return the tree that the proof makes of layers."""
    indexes = [index_layer(layer_members(iter([layer]), LAYER)) for layer in layers]
    RootFs(indexes)
    return tree_of(RootFs(indexes, overlay=True))


def accepted(case: Case) -> bool:
    try:
        own_tree([layer + END for layer in case.layers])
    except UnreadableLayer:
        return False
    return True


def compare(cases: list[Case], tally: Tally, *, first=()) -> None:
    """Compare cases, which are unpacked as one image. When the engine refuses it, its halves are compared."""
    depth = max(len(case.layers) for case in cases)
    joined = [
        b"".join(case.layers[at] for case in cases if at < len(case.layers)) + END for at in range(depth)
    ]
    layers = [*first, *joined]
    theirs, error = engine_tree(layers)
    if theirs is None and len(cases) > 1:
        middle = len(cases) // 2
        compare(cases[:middle], tally, first=first)
        compare(cases[middle:], tally, first=first)
    elif theirs is None:
        tally.counts[f"refused by the engine: {error.strip().rpartition(': ')[2]}"] += 1
        if os.environ.get("MULTIBUILD_LAYER_SHOW"):
            print(f"case {cases[0].number}: {error.strip()}")
    else:
        ours = own_tree(layers)
        for case in cases:
            mine, its = below(ours, case.name), below(theirs, case.name)
            if mine == its:
                tally.counts["the same"] += 1
            else:
                odd = {
                    path: (mine.get(path), its.get(path))
                    for path in {*mine, *its}
                    if mine.get(path) != its.get(path)
                }
                tally.different.append(f"case {case.number}: {odd}")


def below(tree, name):
    return {path: what for path, what in tree.items() if path == name or path.startswith(f"{name}/")}


def made_cases() -> Iterator[Case]:
    for number in range(SEED, SEED + CASES):
        maker = LayerMaker(random.Random(number), f"c{number}", first=1000 * number + 1)
        yield Case(number, tuple(maker.layers()))


def test_the_engine_unpacks_what_the_proof_reads(record_property):
    tally = Tally()
    batches: dict[bool, list[Case]] = {False: [], True: []}
    for case in made_cases():
        if not accepted(case):
            tally.counts["refused by the proof"] += 1
            continue
        # An engine unpacks the first layer otherwise than all others.
        batch = batches[case.number % 2 == 0]
        batch.append(case)
        if len(batch) == IN_ONE_IMAGE:
            compare(batch, tally, first=[END] if case.number % 2 == 0 else [])
            batch.clear()
    for is_first, batch in batches.items():
        if batch:
            compare(batch, tally, first=[END] if is_first else [])
    record_property("cases", json.dumps(tally.counts))
    print(json.dumps(tally.counts, indent=1))
    assert tally.different == []
    assert tally.counts["the same"] >= CASES / 5


def gzip_of(data):
    return gzip.compress(data, mtime=0)


PLAIN_TAR = block(b"c7/a", b"5") + block(b"c7/b", b"5")
PACKED = {
    "gzip": gzip_of(PLAIN_TAR + END),
    "gzip members": gzip_of(PLAIN_TAR[:700]) + gzip_of(PLAIN_TAR[700:] + END),
    "an empty gzip member": gzip_of(PLAIN_TAR) + gzip_of(b"") + gzip_of(END),
    "gzip and zeros": gzip_of(PLAIN_TAR + END) + bytes(512),
    "gzip, zeros, gzip": gzip_of(PLAIN_TAR[:512]) + bytes(512) + gzip_of(PLAIN_TAR[512:] + END),
    "gzip and garbage": gzip_of(PLAIN_TAR + END) + b"garbage",
    "gzip cut short": gzip_of(PLAIN_TAR + END)[:-5],
    "zstd frames": zstandard.compress(PLAIN_TAR[:700]) + zstandard.compress(PLAIN_TAR[700:] + END),
    "zstd and garbage": zstandard.compress(PLAIN_TAR + END) + b"garbage",
    "gzip after plain": PLAIN_TAR + gzip_of(END),
    "one block of zeros": PLAIN_TAR + bytes(512),
    "no end": PLAIN_TAR,
    "members behind one block of zeros": PLAIN_TAR[:512] + bytes(512) + PLAIN_TAR[512:] + END,
    "members behind the end": PLAIN_TAR[:512] + END + PLAIN_TAR[512:] + END,
    "garbage behind the end": PLAIN_TAR + END + b"garbage" * 100,
    "half a block": PLAIN_TAR + END[:700],
    "nothing": END,
}


@pytest.mark.parametrize("blob", PACKED.values(), ids=PACKED)
def test_the_engine_unpacks_what_the_proof_decompresses(blob):
    whole = b"".join(unpacked(blob))
    theirs, _ = engine_tree([blob], [digest_of(whole)])
    try:
        ours = own_tree([blob])
    except UnreadableLayer:
        return
    assert theirs is None or below(ours, "c7") == below(theirs, "c7")


def unpacked(blob):
    """Return what a lenient reader unpacks, whose digest the config must state."""
    while blob.startswith(b"\x1f\x8b"):
        engine = zlib.decompressobj(31)
        yield engine.decompress(blob)
        blob = engine.unused_data
    if blob.startswith(b"\x28\xb5\x2f\xfd"):
        while blob.startswith(b"\x28\xb5\x2f\xfd"):
            frame = zstandard.ZstdDecompressor().decompressobj()
            yield frame.decompress(blob)
            blob = frame.unused_data
        return
    if blob[:1] not in (b"\0", b"g"):
        yield blob


TOP = {
    "an opaque root": [(b"a", b"5"), (b".wh..wh..opq", b"0")],
    "an opaque root above": [(b".wh..wh..opq", b"0"), (b"b", b"5")],
    "a whiteout above": [(b".wh.a", b"0"), (b"b", b"5")],
    "a device above": [(b"a", b"3"), (b"b", b"5")],
    "dots": [(b"..", b"5"), (b".", b"5"), (b"", b"5"), (b"/", b"0"), (b"../../b", b"5")],
}


@pytest.mark.parametrize("names", TOP.values(), ids=TOP)
def test_the_engine_unpacks_at_the_root_what_the_proof_reads(names):
    lower = block(b"a/old", b"5")
    upper = b"".join(block(name, kind) for name, kind in names)
    layers = [lower + END, upper + END]
    theirs, error = engine_tree(layers)
    assert theirs is not None, error
    theirs = {path: what for path, what in theirs.items() if path.split("/")[0] not in ADDED}
    assert own_tree(layers) == theirs
