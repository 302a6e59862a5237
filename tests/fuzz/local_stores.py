"""Layouts and their archives: read, checked and copied into another layout; nothing beside that one changes.

A case of `layouts` is a JSON object: the name of each file to its content (bytes as Latin-1), or to what is there
instead: ["link", TARGET], ["pipe"], ["folder"]. A case of `archives` is the archive.
"""

import hashlib
import io
import json
import os
import random
import re
import tarfile
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fakes.tars import BLOCK, gnu_name, member, pax, sealed

from fuzz.clear_errors import clear_errors
from fuzz.harness import Target, mutated, mutated_json
from multibuild.oci.copy.copier import Copier, Repository
from multibuild.oci.local.archive import read_archive
from multibuild.oci.local.check import check_whole
from multibuild.oci.local.layout import OciLayout, StoresWithLayouts, open_layout
from multibuild.oci.store import Store
from multibuild.publish.merge_sources import read_source

SECRET = b"private"
NAMES = ("index.json", "oci-layout", "blobs", "blobs/sha256", "./index.json", "../secret", "/etc/hosts")
TARGETS_OF_LINKS = ("../secret", "/dev/zero", "/etc/hostname", ".", "missing", "blobs", "index.json", "..")
OTHER_DIGESTS = ("sha256:../../../secret", "latest", "sha512:" + "0" * 128, "sha256:" + "F" * 64, "", "md5:0")


# -- layouts


def _make_layout(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    files = json.loads(generator.choice(seeds))
    for _ in range(generator.choice((1, 1, 2, 3))):
        _change(generator, files)
    return json.dumps(files).encode()


def _change(generator: random.Random, files: dict[str, Any]) -> None:
    name = generator.choice(sorted(files))
    content = files[name]
    match generator.randrange(8):
        case 0:
            files[name] = ["link", generator.choice(TARGETS_OF_LINKS)]
        case 1:
            files[name] = generator.choice((["pipe"], ["folder"]))
        case 2:
            del files[name]
        case 3 if isinstance(content, str):
            files[name] = mutated(generator, content.encode("latin-1")).decode("latin-1")
        case 4:
            files[generator.choice(NAMES)] = ["link", generator.choice(TARGETS_OF_LINKS)]
        case 5 if isinstance(content, str):
            _replace(files, name, content.replace("sha256:", generator.choice(OTHER_DIGESTS), 1))
        case _ if isinstance(content, str):
            _replace(files, name, _changed_document(generator, content))
    if not files:
        files["oci-layout"] = "{}"


def _changed_document(generator: random.Random, content: str) -> str:
    try:
        document = json.loads(content.encode("latin-1"))
    except ValueError:
        return content + "x"
    return json.dumps(mutated_json(generator, document, changes=2))


def _replace(files: dict[str, Any], name: str, content: str) -> None:
    """Replace a document, and name it and its size as its new bytes are, wherever it is referred to."""
    files[name] = content
    folder, _, old = name.rpartition("/")
    if folder != "blobs/sha256":
        return
    new = hashlib.sha256(content.encode("latin-1")).hexdigest()
    files[f"{folder}/{new}"] = files.pop(name)
    for other, text in list(files.items()):
        if isinstance(text, str) and f"sha256:{old}" in text:
            pattern = rf'("digest": "sha256:){old}(", (?:"mediaType": "[^"]*", )?(?:"platform": {{[^}}]*}}, )?"size": )\d+'
            changed = re.sub(pattern, rf"\g<1>{new}\g<2>{len(content)}", text)
            _replace(files, other, changed.replace(old, new))


def _run_layout(case: bytes) -> None:
    files = json.loads(case)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "layout")
        folder.mkdir()
        for name, content in files.items():
            _create(folder, name, content)
        _use(Path(place), str(folder))


def _create(folder: Path, name: str, content: Any) -> None:
    """Create a file of a case below the folder, if it can be."""
    path = folder / name.lstrip("/")
    if ".." in name.split("/") or name.endswith("/"):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.parent.resolve().is_relative_to(folder.resolve()):
            return
        match content:
            case ["link", target]:
                path.symlink_to(target)
            case ["pipe"]:
                os.mkfifo(path)
            case ["folder"]:
                path.mkdir()
            case str():
                path.write_bytes(content.encode("latin-1"))
    except (OSError, ValueError):
        return


# -- archives

KINDS = (b"0", b"\0", b"1", b"2", b"3", b"5", b"6", b"7", b"S", b"V", b"x", b"g", b"L", b"K")
BLOB = "blobs/sha256/" + "a" * 64
PAX = (
    *(
        [("path", "index.json")],
        [("path", BLOB)],
        [("size", "3")],
        [("size", "99999999999")],
        [("size", "x")],
    ),
    *(
        [("mtime", "1.5")],
        [("comment", "x")],
        [("GNU.sparse.major", "1")],
        [("GNU.sparse.name", "index.json")],
    ),
    *([("hdrcharset", "BINARY")], [("linkpath", "/etc/hosts")], [("path", "../secret")], [("path", "x\0y")]),
    *([("path", "a"), ("path", "b")], b"99 path=x\n", b"5 a=\n", b"", b"\0" * 30, b"11 path=\xff\xfe\n"),
)
SIZES = (
    *[None] * 12,
    0,
    3,
    600,
    8 * 10**9,
    b"0x10",
    b"\xff" * 12,
    b"\x80" + b"\0" * 10 + b"\3",
    b"",
    b"1_0",
    b" 7",
)


def _make_archive(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    data = generator.choice(seeds)
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    for _ in range(generator.choice((1, 1, 2, 3))):
        at = generator.randrange(len(blocks) + 1)
        headers = [number for number, block in enumerate(blocks) if block[257:262] == b"ustar"]
        match generator.randrange(9):
            case 0 | 1 | 2:
                piece = b"".join(_piece(generator) for _ in range(generator.choice((1, 1, 2))))
                at = generator.choice(headers or [0])
                blocks[at:at] = [piece[i : i + BLOCK] for i in range(0, len(piece), BLOCK)]
            case 3 if headers:
                at = generator.choice(headers)
                blocks[at] = _changed_header(generator, blocks[at])
            case 4 if headers:
                start = generator.choice(headers)
                blocks[at:at] = blocks[start : start + generator.choice((1, 2, 3))]
            case 5:
                del blocks[at : at + generator.choice((1, 2))]
            case 6:
                blocks.insert(at, b"\0" * BLOCK)
            case 7:
                blocks = blocks[:at]
                blocks.append(b"x" * generator.choice((0, 1, 511)))
            case _:
                data = mutated(generator, b"".join(blocks))
                blocks = [data[i : i + BLOCK] for i in range(0, len(data), BLOCK)]
    return b"".join(blocks)


def _piece(generator: random.Random) -> bytes:
    match generator.randrange(4):
        case 0:
            return pax(generator.choice(PAX), kind=generator.choice((b"x", b"x", b"g")))
        case 1:
            return gnu_name(generator.choice((*NAMES, BLOB)), kind=generator.choice((b"L", b"L", b"K")))
        case _:
            return member(
                generator.choice((*NAMES, BLOB, "notes", "blobs/")),
                generator.choice((b"", b"{}", b"x" * 600)),
                kind=generator.choice(KINDS),
                link=generator.choice(TARGETS_OF_LINKS),
                size=generator.choice(SIZES),
                magic=generator.choice((b"ustar\x0000", b"ustar  \0", b"", b"ustar\x0099")),
                prefix=generator.choice((b"", b"", b"blobs/sha256", b"x")),
            )


def _changed_header(generator: random.Random, header: bytes) -> bytes:
    """Change one field of a header and write its checksum anew."""
    changed = bytearray(header)
    start, end = generator.choice(
        ((0, 100), (124, 136), (156, 157), (257, 265), (345, 500), (500, 512), (329, 345))
    )
    value = generator.choice(
        (b"", b"\0", b"0", b"7", b"x", b"2", b"5", b"00000000003\0", b"\x80", b"blobs/", b" ")
    )
    changed[start:end] = value[: end - start].ljust(end - start, generator.choice((b"\0", b"\0", b" ")))
    return sealed(bytes(changed))


def _run_archive(case: bytes) -> None:
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "a.tar")
        path.write_bytes(case)
        with clear_errors({7}):
            _require_other_reader_agrees(read_archive(path), case)
        _use(Path(place), str(path))


def _require_other_reader_agrees(archive: Any, case: bytes) -> None:
    """The standard library finds the same files in an archive that we read."""
    ours = {}
    for name in archive.members:
        with archive.open(name) as file:
            ours[name] = file.content(10**6)
    with tarfile.open(fileobj=io.BytesIO(case), mode="r:") as tar:
        theirs = {
            info.name.removeprefix("./"): tar.extractfile(info).read()  # type: ignore[union-attr]
            for info in tar
            if info.isfile()
        }
    assert {name: theirs.get(name) for name in ours} == ours
    assert not [name for name in theirs if name in {"index.json", "oci-layout"} and name not in ours]


# -- what is done with both


def _use(place: Path, path: str) -> None:
    (place / "secret").write_bytes(SECRET)
    before = _state(place)
    _call(_merge, path + ":1")
    _call(_adopt, path)
    assert _state(place) == before


def _call(use: Callable[[Path, str], None], path: str) -> None:
    with tempfile.TemporaryDirectory() as target:
        with clear_errors({2, 6, 7}):
            use(Path(target), path)
        for file in Path(target).rglob("blobs/*/*"):
            assert file.is_file(), file
            assert not file.is_symlink(), file
            algorithm, content = file.parent.name, file.read_bytes()
            assert hashlib.new(algorithm, content).hexdigest() == file.name
            assert SECRET not in content


def _merge(_target: Path, path: str) -> None:
    layout, reference = open_layout(path)
    read_source(path, StoresWithLayouts(_NoRegistry(), layout), reference=reference)


def _adopt(target: Path, path: str) -> None:
    layout, reference = open_layout(path)
    manifest = layout.manifest(reference)
    copy = OciLayout(target / "copy", image="child", label="copy")
    copier = Copier(target=Repository(reference=copy.reference(), store=copy))
    copier.copy_manifest(
        manifest.digest, Repository(reference=layout.reference(), store=layout), tag="latest"
    )
    check_whole(copy, manifest.digest)


class _NoRegistry:
    def of(self, host: str) -> Store:
        raise AssertionError(f"{host} was asked")


def _state(place: Path) -> dict[str, Any]:
    """Return every file of a place with its kind, mode and content."""
    state = {}
    for folder, folders, files in os.walk(place):
        for name in (*folders, *files):
            path = Path(folder, name)
            status = path.lstat()
            is_plain = path.is_file() and not path.is_symlink()
            state[str(path)] = (status.st_mode, path.read_bytes() if is_plain else b"")
    return state


TARGETS = (
    Target(name="archives", make=_make_archive, run=_run_archive),
    Target(name="layouts", make=_make_layout, run=_run_layout),
)
