"""Layers that readers of tar could understand differently, made by a seeded generator; and trees to compare."""

import io
import random
import struct
import tarfile
from collections.abc import Callable
from typing import Any

from multibuild.elf.header import parse_elf
from multibuild.prove.content.layer_index import index_layer
from multibuild.prove.content.layer_tree import LayerEntry
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.prove.content.tar import Member
from multibuild.qemu.probe_program import build_probe

USTAR, GNU, V7 = b"ustar\x0000", b"ustar  \0", bytes(8)
NAMES = (
    "a", "b", "a/b", "a/c", "b/a", "a/b/c", "d/e/f", "bin", "bin/app", "usr/bin", "usr/bin/app", "usr", "l", "l/x", "A",
    "lib64/x", "lib64", "h", "h/h", "x" * 90 + "/" + "y" * 90, "z" * 120, "ü/\udcff",
)  # fmt: skip
WHITEOUTS = (
    ".wh.a", "a/.wh.b", ".wh.bin", "bin/.wh.app", "usr/bin/.wh.app", "l/.wh.x", "d/.wh.e", "a/.wh..wh..opq",
    "usr/.wh..wh..opq", "a/b/.wh..wh..opq", "l/.wh..wh..opq", ".wh..wh.plnk", ".wh.nothing", "a/.wh.", ".wh.a/b",
)  # fmt: skip
TARGETS = ("a", "b", "usr/bin", "/usr/bin", "bin", "/a/b", "nothing", "../a", "a/b", "/", ".", "./b", "l")


def block(
    name: bytes = b"",
    kind: bytes = b"0",
    *,
    size: int = 0,
    mode: int = 0o755,
    target: bytes = b"",
    magic: bytes = USTAR,
    prefix: bytes = b"",
    **fields: Any,
) -> bytes:
    """Return a header. `fields` are raw: `size_field`, `tail` (the bytes from 345 on), `signed`."""
    out = bytearray(512)
    out[0 : len(name[:100])] = name[:100]
    out[100:108] = b"%07o\0" % mode
    out[108:116] = out[116:124] = b"0000000\0"
    out[124:136] = fields.get("size_field") or b"%011o\0" % size
    out[136:148] = b"%011o\0" % 0
    out[156:157] = kind
    out[157 : 157 + len(target[:100])] = target[:100]
    out[257:265] = magic
    tail = fields.get("tail") or prefix[:155]
    out[345 : 345 + len(tail)] = tail
    if kind == b"3" and magic != V7:
        out[329:337] = b"%07o\0" % fields.get("major", 1)
    return with_checksum(out, signed=fields.get("signed", False), form=fields.get("form", b"%06o\0 "))


def with_checksum(out: bytearray, *, signed: bool = False, form: bytes = b"%06o\0 ") -> bytes:
    """Set the checksum of a header."""
    out[148:156] = b" " * 8
    total = sum(byte - 256 if signed and byte > 127 else byte for byte in out)
    out[148:156] = (form % total).ljust(8, b"\0")[:8]
    return bytes(out)


def padded(data: bytes) -> bytes:
    """Return data filled up to whole blocks."""
    return data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    """Return a PAX record."""
    body = b" " + key + b"=" + value + b"\n"
    length = len(body)
    while len(b"%d" % length) + len(body) != length:
        length = len(b"%d" % length) + len(body)
    return b"%d" % length + body


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x", name: bytes = b"PaxHeaders/x") -> bytes:
    """Return an extended header of (key, value) pairs."""
    data = b"".join(record(key, value) for key, value in records)
    return block(name, kind, size=len(data), mode=0o644) + padded(data)


def long_name(text: bytes, kind: bytes = b"L") -> bytes:
    """Return GNU's header of a long name, or of a long link."""
    return block(b"././@LongLink", kind, size=len(text) + 1, magic=GNU) + padded(text + b"\0")


def program(number: int) -> bytes:
    """Return a program whose e_flags are a number, so that no two are the same."""
    code = bytearray(build_probe(("amd64", "arm64", "riscv64")[number % 3]))
    struct.pack_into("<I", code, 48, number)
    return bytes(code)


class LayerMaker:
    """Maker of layers below one directory of the image; each file has content of its own."""

    def __init__(self, generator: random.Random, root: str = "", first: int = 1) -> None:
        self.generator = generator
        self.root = root
        self.number = first

    def layers(self) -> list[bytes]:
        """Return the layers of an image, without the end of their archives."""
        return [
            b"".join(self.member() for _ in range(self.generator.randint(1, 7)))
            for _ in range(self.generator.choice((1, 1, 2, 2, 3)))
        ]

    def member(self) -> bytes:
        """Return one member with the headers in front of it."""
        pick = self.generator.random
        name = self.path(self.generator.choice(WHITEOUTS if pick() < 0.15 else NAMES))
        kind = self.generator.choice(
            (b"0", b"0", b"0", b"0", b"5", b"5", b"2", b"2", b"1", b"\0", b"6", b"3")
        )
        if pick() < 0.02:
            kind = self.generator.choice((b"7", b"S", b"V", b"X", b"g", b"D"))
        target = self.target(kind) if kind in (b"1", b"2") else b""
        data = self.data() if kind in (b"0", b"\0", b"7", b"S", b"V") else b""
        mode = (
            self.generator.choice((0o755, 0o755, 0o755, 0o644, 0o4755, 0o100755)) if kind != b"1" else 0o755
        )
        return self.headers(name, kind, data, mode, target) + padded(data)

    def path(self, name: str) -> bytes:
        """Return a spelling of a name below the root."""
        full = f"{self.root}/{name}" if self.root else name
        spell = self.generator.choice(
            ("{0}",) * 12 + ("./{0}", "/{0}", "{0}/", "q/../{0}", "../{0}", ".//{0}", "{0}/.")
        )
        return spell.format(full).encode("utf-8", "surrogateescape")

    def target(self, kind: bytes) -> bytes:
        """Return the target of a link; one from the image's root stays below the maker's."""
        target = self.generator.choice(TARGETS)
        if kind == b"1":
            target = self.generator.choice((*NAMES[:13], "./a/b", "/a", "a/../b"))
            if self.root:
                target = ("/" if target.startswith("/") else "") + f"{self.root}/{target.lstrip('/')}"
        elif self.root and target.startswith("/"):
            target = f"/{self.root}{target}"
        return target.encode()

    def data(self) -> bytes:
        """Return a file's content: a program, a script, or text."""
        self.number += 1
        binary, script, text = program(self.number), b"#!/s/%d\n" % self.number, b"text %d" % self.number
        return self.generator.choice((binary, binary, script, text, b""))

    def headers(self, name: bytes, kind: bytes, data: bytes, mode: int, target: bytes) -> bytes:
        """Return a member's headers, which give its name and size in one of many ways."""
        generator, size, decoy = self.generator, len(data), self.path("decoy")
        common: dict[str, Any] = {"kind": kind, "size": size, "mode": mode, "target": target}
        long = {**common, "target": b"t"} if target else common
        forms: list[Callable[[], bytes]] = [
            lambda: block(name, **common),
            lambda: block(name, magic=GNU, **common),
            lambda: pax((b"path", name), (b"linkpath", target)) + block(decoy, **long),
            lambda: long_name(name) + (long_name(target, b"K") if target else b"") + block(decoy, **long),
        ]
        odd: list[Callable[[], bytes]] = [
            lambda: block(name, magic=V7, **common),
            lambda: long_name(decoy) + pax((b"path", name)) + block(name, **common),
            lambda: pax((b"path", name)) + long_name(decoy) + block(name, **common),
            lambda: pax((b"path", name)) + long_name(name) + block(decoy, **common),
            lambda: pax((b"path", decoy)) + pax((b"path", name)) + block(name, **common),
            lambda: pax((b"path", decoy)) + pax((b"mtime", b"1")) + block(name, **common),
            lambda: long_name(decoy) + long_name(name) + block(decoy, **common),
            lambda: long_name(name + b"\0junk") + block(decoy, **common),
            lambda: long_name(b"") + block(name, **common),
            lambda: pax((b"path", decoy), (b"path", name)) + block(name, **common),
            lambda: pax((b"path", b"")) + block(name, **common),
            lambda: pax((b"path", name + b"\0x")) + block(name, **common),
            lambda: pax((b"path", decoy), kind=b"g") + block(name, **common),
            lambda: pax((b"comment", b"c"), kind=b"g", name=self.path("pax_global_header")) + block(name, **common),
            lambda: pax((b"comment", b"c"), kind=b"g", name=self.path("a")) + block(name, **common),
            lambda: pax((b"path", decoy)) + pax((b"comment", b"c"), kind=b"g") + block(name, **common),
            lambda: pax((b"size", b"%d" % size)) + block(name, **{**common, "size": 0}),
            lambda: pax((b"size", b"%d" % size)) + block(name, **{**common, "size": size + 512}),
            lambda: pax((b"hdrcharset", b"BINARY"), (b"path", name)) + block(decoy, **common),
            lambda: pax((b"GNU.sparse.name", name), (b"path", decoy)) + block(decoy, **common),
            lambda: pax(
                (b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0"), (b"GNU.sparse.name", name),
                (b"GNU.sparse.realsize", b"%d" % size),
            ) + block(decoy, **{**common, "size": 512 + size}) + padded(b"1\n0\n%d\n" % size),
            lambda: pax((b"SCHILY.xattr.user.x", b"y")) + block(name, **common),
            lambda: pax((b"SCHILY.xattr.trusted.overlay.opaque", b"y")) + block(name, **common),
            lambda: block(name, size_field=b"\0%010o\0" % size, **common),
            lambda: block(name, size_field=b"%11o " % size, **common),
            lambda: block(name, size_field=b"\x80" + size.to_bytes(11, "big"), **common),
            lambda: block(name, size_field=b"\xff" * 12, **common),
            lambda: block(name, size_field=b"0o%09o\0" % size, **common),
            lambda: block(name + b"\0junk", **common),
            lambda: block(name, magic=GNU, tail=b"pre/fix", **common),
            lambda: block(name, magic=GNU, tail=b"\0pre/fix", **common),
            lambda: block(name, tail=b"p" * 131 + b"00000000000\0" * 2 + bytes(8) + b"tar\0", **common),
            lambda: block(name, signed=True, **common),
            lambda: block(name, form=b"%7o\0", **common),
            lambda: block(name, form=b" %06o\0", **common),
        ]  # fmt: skip
        if len(name) > 100 and b"/" in name:
            prefix, _, rest = name.rpartition(b"/")
            return block(rest, prefix=prefix, **common)
        if len(name) > 100:
            return forms[2]()
        make: Callable[[], bytes] = generator.choice(forms if generator.random() < 0.8 else odd)
        return make()


END = bytes(1024)


def tree_of(root: RootFs):
    """Return what a root file system holds: path → description. Files that are no programs are left out."""
    return {path: _describe(node) for _, path, node in root._nodes()}


def _describe(node):
    if not isinstance(node, LayerEntry):
        return "directory"
    if node.kind == "file":
        return ("file", node.is_executable, node.script, node.elf and (node.elf.machine, node.elf.flags))
    return ("symlink", node.target) if node.kind == "symlink" else node.kind


def tree_in(archive: bytes):
    """Return the same of a `docker export`."""
    found: dict[str, object] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for info in tar:
            found[info.name.strip("/")] = _described(tar, info, found)
    return {path: what for path, what in found.items() if what is not None}


def _described(tar: tarfile.TarFile, info: tarfile.TarInfo, found):
    if info.isdir():
        return "directory"
    if info.issym():
        return ("symlink", info.linkname)
    if info.islnk():
        return found[info.linkname.strip("/")]
    data = tar.extractfile(info)
    return _described_file(data.read(), info.mode) if data is not None else "other"


def _described_file(content: bytes, mode: int):
    if not mode & 0o111 and parse_elf(content) is None and not content.startswith(b"#!"):
        return None
    member = Member(path="f", kind="file", target="", mode=mode, size=len(content), head=content[:4096])
    (entry,) = index_layer(iter([member])).entries
    return _describe(entry)
