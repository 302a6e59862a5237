"""`merge` from hostile layouts and archives: each fault is named, nothing is published, nothing is written."""

import bz2
import gzip
import json
import lzma
import os
import socket
import tempfile
from pathlib import Path

import pytest
from fakes.images import OCI, OCI_INDEX, descriptor, put_attested, put_image, put_index
from fakes.layouts import LayoutFiles
from fakes.mistakes import ExpectedError, check
from fakes.registry_server import FakeRegistry, digest_of
from fakes.tars import END, archive_of, gnu_name, member, members_of, padded, pax, sealed

from multibuild.cli.startup import main

TARGET = "r.example.org/app:1"


def error(code, *names, hint=""):
    """Any hint will do unless one is given."""
    return ExpectedError(code=code, names=names, hint=hint)


@pytest.fixture(autouse=True)
def _empty_machine(tmp_path, monkeypatch):
    (tmp_path / "work").mkdir()
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.chdir(tmp_path / "work")


@pytest.fixture
def layout():
    """A layout `layout` with an index of an attested amd64 and an arm64 image, tagged `1`."""
    Path("layout").mkdir()
    files = LayoutFiles(Path("layout"))
    _, image, attestation = put_attested(files, "app", "linux/amd64")
    about = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image}
    arm = put_image(files, "app", "linux/arm64")
    entries = [
        descriptor(files, "app", image, "linux/amd64"),
        descriptor(files, "app", arm, "linux/arm64", annotations={"a": "b"}),
        descriptor(files, "app", attestation, "unknown/unknown", annotations=about),
    ]
    put_index(files, "app", entries, tag="1")
    rewrite(
        Path("layout"), lambda entry: entry.update(annotations={"org.opencontainers.image.ref.name": "1"})
    )
    return Path("layout")


@pytest.fixture
def registry():
    with FakeRegistry() as fake:
        yield fake


def everything(folder):
    """Return all files below a folder with their contents."""
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(folder.rglob("*"))}


@pytest.fixture
def refuses(tmp_path, capfdbinary):
    """`refuses(expected, source)`: a dry merge of it fails as expected, and changes no file anywhere."""

    def refuses(expected, source):
        before = everything(tmp_path / "scratch") | dict.fromkeys(tmp_path.iterdir())
        code = main(["merge", TARGET, source, "--dry-run"])
        out, err = capfdbinary.readouterr()
        assert everything(tmp_path / "scratch") | dict.fromkeys(tmp_path.iterdir()) == before
        check(expected, code, err.decode())
        assert out == b""

    return refuses


def blob_of(layout, words):
    """Return the file of a blob that begins with these words, else of one that has them."""
    files = sorted((layout / "blobs/sha256").iterdir())
    return min(
        (file for file in files if words in file.read_bytes()),
        key=lambda file: not file.read_bytes().startswith(words),
    )


def rewrite(layout, change):
    """Change index.json's first entry."""
    document = json.loads((layout / "index.json").read_text())
    change(document["manifests"][0])
    (layout / "index.json").write_text(json.dumps(document))


def alter(words, replacement=None):
    def damage(layout):
        file = blob_of(layout, words)
        content = file.read_bytes()
        file.write_bytes(replacement(content) if replacement else content + b" ")

    return damage


def in_place_of(name, make):
    """Replace a file or folder by what `make` creates at its path."""

    def damage(layout):
        path = layout / name if isinstance(name, str) else blob_of(layout, name)
        path.rename(layout.with_name("moved"))
        make(path, layout.with_name("moved").absolute())

    return damage


def link(path, moved):
    path.symlink_to(moved)


def pipe(path, _moved):
    os.mkfifo(path)


def folder(path, _moved):
    path.mkdir()


def unix_socket(path, _moved):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def device(path, _moved):
    path.symlink_to("/dev/zero")


def listed(content):
    """Replace index.json."""
    return lambda layout: (layout / "index.json").write_bytes(content)


def entry_with(**changes):
    return lambda layout: rewrite(layout, lambda entry: entry.update(changes))


def with_image(**changes):
    """List an image manifest with these changes under the tag, as its own entry says it."""

    def damage(layout):
        manifest = json.loads(blob_of(layout, b'"layers"').read_bytes()) | changes
        content = json.dumps(manifest).encode()
        name = layout / "blobs/sha256" / digest_of(content).removeprefix("sha256:")
        name.write_bytes(content)
        rewrite(
            layout,
            lambda entry: entry.update(mediaType=OCI, digest=digest_of(content), size=len(content)),
        )

    return damage


def with_index(content):
    """List these bytes as an index under the tag."""

    def damage(layout):
        name = layout / "blobs/sha256" / digest_of(content).removeprefix("sha256:")
        name.write_bytes(content)
        rewrite(layout, lambda entry: entry.update(digest=digest_of(content), size=len(content)))

    return damage


def wrong_child(**changes):
    """List an index whose first child contradicts its manifest."""

    def damage(layout):
        index = json.loads(blob_of(layout, INDEX).read_bytes())
        index["manifests"][0].update(changes)
        with_index(json.dumps(index).encode())(layout)

    return damage


INDEX = b'"a": "b"'
NO_DIGEST = "is not a digest"

DAMAGE = {
    # blobs are compared with their digests and sizes
    "a config of another platform": (
        alter(b'{"architecture": "arm64"', lambda old: old.replace(b"arm64", b"amd64")),
        error(7, "not what its name says"),
    ),
    "a config cut short": (
        alter(b'{"architecture": "arm64"', lambda old: old[:-1]),
        error(7, "blobs/sha256/"),
    ),
    "a manifest with a space more": (alter(b'"layers"'), error(7, "blobs/sha256/")),
    "an index with a space more": (alter(INDEX), error(7, "blobs/sha256/")),
    "a layer of another size": (alter(b"layer of linux/arm64"), error(7, "blobs/sha256/", "says 20")),
    "a statement of another size": (alter(b"statement about"), error(7, "blobs/sha256/")),
    # nothing is followed, and nothing waited for
    "a symlinked config": (in_place_of(b'{"architecture"', link), error(7, "symbolic link", hint="cp -RL")),
    "a symlinked layer": (in_place_of(b"layer of linux/arm64", link), error(7, "symbolic link")),
    "a symlinked manifest": (in_place_of(b'"layers"', link), error(7, "symbolic link")),
    "a symlinked index.json": (in_place_of("index.json", link), error(7, "index.json", "symbolic link")),
    "a symlinked oci-layout": (in_place_of("oci-layout", link), error(7, "oci-layout", "symbolic link")),
    "symlinked blobs": (in_place_of("blobs", link), error(7, "blobs", "symbolic link")),
    "symlinked blobs/sha256": (in_place_of("blobs/sha256", link), error(7, "sha256", "symbolic link")),
    "index.json is a pipe": (in_place_of("index.json", pipe), error(7, "index.json", "no regular file")),
    "oci-layout is a pipe": (in_place_of("oci-layout", pipe), error(7, "oci-layout", "no regular file")),
    "index.json is a folder": (in_place_of("index.json", folder), error(7, "index.json", "no regular file")),
    "index.json is a socket": (in_place_of("index.json", unix_socket), error(7, "index.json")),
    "index.json is /dev/zero": (in_place_of("index.json", device), error(7, "index.json", "symbolic link")),
    "a config is a pipe": (in_place_of(b'{"architecture"', pipe), error(7, "no regular file")),
    "a layer is a pipe": (in_place_of(b"layer of linux/arm64", pipe), error(7, "no regular file")),
    "a manifest is a folder": (in_place_of(b'"layers"', folder), error(7, "no regular file")),
    # sizes are bounded
    "an endless index.json": (
        lambda layout: os.truncate(layout / "index.json", 10**12),
        error(7, "index.json", "more than 4194304 bytes"),
    ),
    "an endless oci-layout": (
        lambda layout: os.truncate(layout / "oci-layout", 10**12),
        error(7, "oci-layout", "more than 4194304 bytes"),
    ),
    "an endless index": (
        lambda layout: os.truncate(blob_of(layout, INDEX), 10**12),
        error(7, "more than 4194304 bytes"),
    ),
    # versions
    "another version": (
        lambda layout: (layout / "oci-layout").write_text('{"imageLayoutVersion": "2.0.0"}'),
        error(7, "oci-layout", "'2.0.0'", hint="1.0.0"),
    ),
    "no version": (lambda layout: (layout / "oci-layout").write_text("{}"), error(7, "oci-layout")),
    "a version that is a list": (
        lambda layout: (layout / "oci-layout").write_text('{"imageLayoutVersion": [1]}'),
        error(7, "oci-layout"),
    ),
    "an oci-layout that is no JSON": (
        lambda layout: (layout / "oci-layout").write_text("1.0.0"),
        error(7, "oci-layout"),
    ),
    # descriptors
    "a digest that is a path": (entry_with(digest="sha256:../../../../etc/hosts"), error(7, NO_DIGEST)),
    "a digest that is a tag": (entry_with(digest="latest"), error(7, NO_DIGEST)),
    "a digest in capitals": (entry_with(digest="sha256:" + "A" * 64), error(7, NO_DIGEST)),
    "a digest with a newline": (entry_with(digest="sha256:" + "a" * 64 + "\n"), error(7, NO_DIGEST)),
    "a digest of an unknown kind": (entry_with(digest="md5:" + "a" * 32), error(7, NO_DIGEST)),
    "an entry of another size": (entry_with(size=3), error(7, "sha256:", "of 3 bytes")),
    "an entry of another media type": (entry_with(mediaType=OCI), error(7, "sha256:", OCI)),
    "a child of another size": (wrong_child(size=3), error(7, "sha256:", "of 3 bytes")),
    "a child that is said to be an index": (wrong_child(mediaType=OCI_INDEX), error(7, "sha256:")),
    "a child that is said to be Docker's": (
        wrong_child(mediaType="application/vnd.docker.distribution.manifest.v2+json"),
        error(7, "sha256:", "vnd.docker"),
    ),
    "a config whose digest is a path": (
        with_image(config={"mediaType": "x", "digest": "sha256:../x", "size": 1}),
        error(7, NO_DIGEST),
    ),
    "layers that are an object": (with_image(layers={"a": 1}), error(7, "sha256:", "layers")),
    "a size beyond 64 bits": (
        with_image(layers=[{"mediaType": "x", "digest": "sha256:" + "a" * 64, "size": 2**63}]),
        error(7, "descriptor"),
    ),
    "a config that is a list": (with_image(config=[]), error(7)),
    # documents
    "a deep index.json": (listed(b"[" * 100_000), error(7, "index.json")),
    "a deep object": (
        with_index(b'{"manifests":' + b'{"a":' * 500 + b"1" + b"}" * 501),
        error(7, "sha256:", "nested"),
    ),
    "no JSON": (listed(b"manifests: []"), error(7, "index.json", "JSON")),
    "nothing": (listed(b""), error(7, "index.json")),
    "an array": (listed(b"[]"), error(7, "index.json")),
    "UTF-16": (listed('{"manifests": []}'.encode("utf-16")), error(7, "index.json", "UTF-8")),
    "no UTF-8": (listed(b'{"manifests": [], "annotations": {"a": "\xff"}}'), error(7, "index.json", "UTF-8")),
    "half a surrogate pair": (
        with_index(b'{"manifests": [], "annotations": {"a": "\\ud800"}}'),
        error(7, "sha256:", "surrogate"),
    ),
    "NaN": (with_index(b'{"manifests": [], "schemaVersion": NaN}'), error(7, "sha256:", "NaN")),
    "infinity": (with_index(b'{"manifests": [], "schemaVersion": -Infinity}'), error(7, "Infinity")),
    "a number of 5000 digits": (with_index(b'{"manifests": [], "a": ' + b"9" * 5000 + b"}"), error(7)),
    "a key twice": (with_index(b'{"manifests": [], "a": 1, "manifests": []}'), error(7, "'manifests'")),
    "a key in capitals": (with_index(b'{"manifests": [], "Manifests": [{}]}'), error(7, "'Manifests'")),
    "a key with a long s": (
        with_index('{"manifests": [], "manife\u017fts": [{}]}'.encode()),
        error(7, "'manife\u017fts'"),
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_layout_is_refused(case, layout, refuses):
    damage, expected = DAMAGE[case]
    damage(layout)
    refuses(expected, "oci:layout:1")


@pytest.mark.parametrize("case", ["a config of another platform", "a layer of another size", "a key twice"])
def test_damage_in_an_archive_is_refused_too(case, layout, refuses):
    damage, expected = DAMAGE[case]
    damage(layout)
    Path("a.tar").write_bytes(archive_of(layout))
    refuses(expected, "oci-archive:a.tar:1")


@pytest.mark.parametrize("words", [b'{"architecture": "arm64"', b"layer of linux/arm64", b"statement about"])
@pytest.mark.parametrize("kind", ["oci", "oci-archive"])
def test_a_changed_blob_of_the_same_size_is_not_published(kind, words, layout, registry, capfd):
    file = blob_of(layout, words)
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    Path("oci-archive").write_bytes(archive_of(layout))
    source = "oci:layout:1" if kind == "oci" else "oci-archive:oci-archive:1"
    code = main(["merge", f"{registry.host}/app:1", source])
    check(error(7, file.name), code, capfd.readouterr().err)
    assert registry.repository("app").tags == {}
    assert f"sha256:{file.name}" not in registry.repository("app").blobs


def test_two_images_of_one_tag_are_ambiguous(layout, refuses):
    document = json.loads((layout / "index.json").read_text())
    first = document["manifests"][0]
    first["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    image = blob_of(layout, b'"layers"').read_bytes()
    other = {"mediaType": OCI, "digest": digest_of(image), "size": len(image)}
    document["manifests"].append({**other, "annotations": {"io.containerd.image.name": "r.io/app:1"}})
    (layout / "index.json").write_text(json.dumps(document))
    refuses(error(7, "several images", "1"), "oci:layout:1")


def test_hostile_tags_are_listed_on_one_line(layout, capfd):
    tags = ["../../x", "a\nb\x1b[31m", "::error::x", "y" * 5000, *map(str, range(500))]
    document = json.loads((layout / "index.json").read_text())
    first = document["manifests"][0]
    document["manifests"] = [
        {**first, "annotations": {"org.opencontainers.image.ref.name": tag}} for tag in tags
    ]
    (layout / "index.json").write_text(json.dumps(document))
    code = main(["merge", TARGET, "oci:layout:none", "--dry-run"])
    err = capfd.readouterr().err
    check(error(7, "none", hint="../../x, a b, "), code, err)
    assert len(err) < 2000
    assert "\x1b" not in err


BAD_PATHS = {
    "nothing": ("oci:", "names no path"),
    "a long name": ("oci:" + "x" * 5000, "File name too long"),
    "a file in the way": ("oci:file/x", "no such layout"),
    "a device": ("oci-archive:/dev/zero", "/dev/zero"),
    "a pipe": ("oci-archive:pipe", "pipe"),
    "a folder": ("oci-archive:.", "no oci-layout"),
    "a circle of links": ("oci:circle", "circle"),
}


@pytest.mark.parametrize("case", BAD_PATHS)
def test_a_path_that_is_no_layout_is_a_usage_error(case, refuses):
    source, words = BAD_PATHS[case]
    Path("file").write_bytes(b"")
    Path("circle").symlink_to("circle")
    os.mkfifo("pipe")
    refuses(error(2, words), source)


# Archives: raw members put before those of a good layout.
OUTSIDE = b"#!/bin/sh\necho not this\n"


def overlong_links():
    """A path longer than PATH_MAX once its links are resolved, which the standard library's filter does not see."""
    folder, depth, path, members = "d" * 240, 16, "", []
    for number in range(depth):
        members += [_any(f"{path}{folder}/", kind=b"5"), _any(f"{path}l{number}", kind=b"2", link=folder)]
        path += f"{folder}/"
    bridge = "/".join([*(f"l{number}" for number in range(depth)), "b" * 254])
    members.append(_any(bridge, kind=b"2", link="../" * depth))
    members.append(_any("escape", kind=b"2", link=f"{bridge}/../.."))
    return (*members, _any("escape/evil", OUTSIDE))


def _any(name, content=b"", *, kind=b"0", link=""):
    """A member with a name of any length."""
    records = [("path", name), ("linkpath", link)][: 2 if link else 1]
    return pax(records) + member("x", content, kind=kind, link=link)


NAME = "blobs/sha256/" + "a" * 64
ARCHIVES = {
    "a path through links that is too long": (overlong_links(), error(7, "a.tar")),
    "a symbolic link": ((member("blobs", kind=b"2", link="/etc"),), error(7, "a.tar", "symbolic link")),
    "a link in place of a blob": ((member(NAME, kind=b"2", link="/etc/hosts"),), error(7, "symbolic link")),
    "a hard link": ((member(NAME, kind=b"1", link="../../etc/hosts"),), error(7, "hard link")),
    "a character device": ((member("index.json", kind=b"3"),), error(7, "device")),
    "a block device": ((member(NAME, kind=b"4"),), error(7, "device")),
    "a pipe": ((member("index.json", kind=b"6"),), error(7, "pipe")),
    "a sparse file": ((member(NAME, b"x", kind=b"S"),), error(7, "sparse")),
    "an unknown kind": ((member(NAME, b"x", kind=b"V"),), error(7, "'V'")),
    "a blob twice": ((member(NAME, b"x"), member(NAME, b"y")), error(7, NAME, "twice")),
    "index.json twice": ((member("./index.json", b"{}"),), error(7, "index.json", "twice")),
    "two long names": (
        (gnu_name(NAME), pax([("path", "index.json")]), member("x", b"{}")),
        error(7, "two readers"),
    ),
    "a long name twice": ((gnu_name("a"), gnu_name("b"), member("x", b"{}")), error(7, "two readers")),
    "two PAX headers": (
        (pax([("path", "a")]), pax([("path", "b")]), member("x", b"{}")),
        error(7, "two readers"),
    ),
    "a PAX keyword twice": (
        (pax([("path", "a"), ("path", "b")]), member("x", b"{}")),
        error(7, "'path'", "twice"),
    ),
    "a sparse file of PAX": (
        (pax([("GNU.sparse.major", "1"), ("GNU.sparse.name", NAME)]), member("x", b"{}")),
        error(7, "GNU.sparse.major"),
    ),
    "a name for all that follows": (
        (pax([("path", "index.json")], kind=b"g"), member("x", b"{}")),
        error(7, "path"),
    ),
    "a character set of PAX": ((pax([("hdrcharset", "BINARY")]), member("x", b"")), error(7, "hdrcharset")),
    "a PAX record of a wrong length": (
        (pax(b"99 path=index.json\n"), member("x", b"{}")),
        error(7, "PAX"),
    ),
    "a PAX record without a newline": ((pax(b"10 path=ab"), member("x", b"{}")), error(7, "PAX")),
    "a PAX name with a NUL": ((pax([("path", "index.json\0x")]), member("x", b"{}")), error(7, "PAX")),
    "a PAX name that is no UTF-8": ((pax([("path", b"\xff")]), member("x", b"{}")), error(7, "PAX")),
    "a PAX size that is none": ((pax([("size", "-1")]), member("x", b"{}")), error(7, "size")),
    "an endless PAX header": (
        (member("x", kind=b"x", size=8 * 10**9),),
        error(7, "a.tar"),
    ),
    "a folder with a content": ((member("blobs/", b"x" * 600, kind=b"5"),), error(7, "two readers")),
    "a file with the name of a folder": ((member("blobs/", b"x" * 600),), error(7, "two readers")),
    "the name of a folder under a long name": (
        (gnu_name(NAME), member("blobs/", b"x" * 600, kind=b"\0")),
        error(7, "two readers"),
    ),
    "a long name beyond its size": (
        (member("x", kind=b"L", size=3, magic=b"ustar  \0") + padded(b"index.json"), member("x", b"{}")),
        error(7, "beyond its size"),
    ),
    "a PAX record beyond its size": (
        (pax([("path", "a")])[:512] + pax([("path", "a"), ("size", "9")])[512:], member("x", b"{}")),
        error(7, "beyond its size"),
    ),
    "a device number that is none": (
        (pax([("path", NAME)]) + sealed(member("x")[:329] + b"x" * 16 + member("x")[345:]),),
        error(7, "some readers"),
    ),
    "a size in another notation": ((member(NAME, size=b"0x10"),), error(7, "a.tar")),
    "a negative size": ((member(NAME, size=b"\xff" * 12),), error(7, "a.tar")),
    "a size beyond the archive": ((member(NAME, size=8 * 10**9),), error(7, "a.tar", "ends in the middle")),
    "a name for one dialect only": (
        (member("index.json", b"{}", magic=b"ustar  \0", prefix=b"x"),),
        error(7, "two readers"),
    ),
    "a lone block of zeros": ((b"\0" * 512,), error(7, "a.tar")),
    "a wrong checksum": ((b"x" * 512,), error(7, "a.tar")),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_a_hostile_archive_is_refused_and_nothing_written(case, layout, refuses):
    before, expected = ARCHIVES[case]
    Path("a.tar").write_bytes(archive_of(layout, *before))
    refuses(expected, "oci-archive:a.tar:1")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("is no archive",)),
        (b"\0" * 4096, ("is no archive",)),
        (b"PK\x03\x04" + b"\0" * 4096, ("is no archive", "zip")),
        (gzip.compress(b"x" * 5000, mtime=0), ("is no archive", "compressed with gzip")),
        (bz2.compress(b"x" * 5000), ("is no archive", "compressed with bzip2")),
        (lzma.compress(b"x" * 5000), ("is no archive", "compressed with xz")),
        (b"\x28\xb5\x2f\xfd" + b"x" * 5000, ("is no archive", "compressed with zstd")),
        (member("manifest.json", b"[]") + END, ("is no archive", "oci-layout")),
    ],
)
def test_a_file_that_is_no_archive_is_refused(content, words, refuses):
    Path("a.tar").write_bytes(content)
    refuses(error(7, "a.tar", *words), "oci-archive:a.tar")


def test_an_archive_cut_short_is_refused_wherever_it_ends(layout, capfd):
    whole = archive_of(layout)
    for length in range(0, len(whole) - len(END), 700):
        Path("a.tar").write_bytes(whole[:length])
        code = main(["merge", TARGET, "oci-archive:a.tar:1", "--dry-run"])
        check(error(7, "a.tar"), code, capfd.readouterr().err)


def merged(capfdbinary, source):
    code = main(["merge", TARGET, source, "--dry-run"])
    out, err = capfdbinary.readouterr()
    assert code == 0, err
    return out


def written_by_others(layout):
    """Archives of the layout as GNU tar, bsdtar, Go and Python write them."""
    files = members_of(layout)
    times: list[tuple[str, str | bytes]] = [
        ("mtime", "1700000000.123456789"),
        ("SCHILY.xattr.user.x", b"\xff\x00\n"),
    ]
    yield archive_of(layout)
    yield archive_of(layout, dots=True)
    yield archive_of(
        layout, member("./", kind=b"5"), member("blobs/", kind=b"5"), member("notes", b"x" * 700)
    )
    yield archive_of(layout, pax([("comment", "a commit")], kind=b"g"))
    yield b"".join(pax(times) + member(name, data) for name, data in files.items()) + END
    yield (
        b"".join(gnu_name(name) + member("x", data, magic=b"ustar  \0") for name, data in files.items()) + END
    )
    yield b"".join(pax([("path", name)]) + member("x", data) for name, data in files.items()) + END
    yield (
        b"".join(
            pax([("size", str(len(data)))]) + member(name, size=0) + padded(data)
            for name, data in files.items()
        )
        + END
    )
    yield (
        b"".join(
            member(name, size=b"\x80" + len(data).to_bytes(11, "big"), magic=b"ustar  \0") + padded(data)
            for name, data in files.items()
        )
        + END
    )
    yield (
        b"".join(
            member(name.rpartition("/")[2], data, prefix=name.rpartition("/")[0].encode())
            for name, data in files.items()
        )
        + END
    )
    yield archive_of(layout) + b"\0" * 8192
    yield archive_of(layout)[: -len(END)]


def test_archives_of_every_tar_are_read(layout, capfdbinary):
    expected = merged(capfdbinary, "oci:layout:1")
    for content in written_by_others(layout):
        Path("a.tar").write_bytes(content)
        assert merged(capfdbinary, "oci-archive:a.tar:1") == expected


def test_reading_an_archive_writes_nothing(layout, tmp_path, capfdbinary):
    Path("a.tar").write_bytes(archive_of(layout))
    (tmp_path / "scratch").chmod(0o500)
    merged(capfdbinary, "oci-archive:a.tar:1")
    assert everything(tmp_path / "scratch") == {}


@pytest.mark.parametrize("source", ["oci:link:1", "oci-archive:link.tar:1"])
def test_the_path_on_the_command_line_may_be_a_link(source, layout, capfdbinary):
    Path("a.tar").write_bytes(archive_of(layout))
    Path("link").symlink_to("layout")
    Path("link.tar").symlink_to("a.tar")
    assert merged(capfdbinary, source)


@pytest.mark.parametrize("command", ["inspect", "verify"])
def test_a_layout_is_no_image_of_a_registry(command, layout, capfd):
    code = main([command, "oci:./layout"])
    check(error(2, "oci:./layout"), code, capfd.readouterr().err)


@pytest.mark.usefixtures("layout")
def test_an_annotation_that_is_no_text_is_an_error(capfd):
    code = main(["merge", TARGET, "oci:layout:1", "--annotation", "a=\udcff", "--dry-run"])
    check(error(7, "UTF-8", hint="--annotation"), code, capfd.readouterr().err)
