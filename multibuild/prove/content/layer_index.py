"""What a layer holds, as far as the proof of content asks: paths, links, and what kind of program each file is."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from multibuild.elf.arm import arm_level
from multibuild.elf.dynamic import linked_names
from multibuild.elf.header import ElfHeader, parse_elf
from multibuild.frozen import frozen
from multibuild.prove.content.tar import Member, UnreadableLayer

EntryKind = Literal["file", "directory", "symlink", "hardlink", "other", "whiteout", "opaque"]

# OCI image-spec layer.md, "Whiteouts". Names that begin with .wh..wh. besides the opaque marker are AUFS's own.
WHITEOUT, OPAQUE, AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."

MOST_COST = 32 << 20
"""Bytes that the entries of a layer, and of all layers of an image, may take in memory: some 80000 of them."""

# Executable files that are neither ELF nor script are kept for the sake of a good message, but not without end.
_MOST_ODD = 10_000

LONGEST_SHEBANG = 255
"""Bytes the kernel reads of a first line (BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h)."""


@dataclass(frozen=True, kw_only=True, slots=True)  # one for each file: quicker to make than with @frozen
class LayerEntry:
    """One path of a layer, without leading slash; empty for the root. A whiteout's path is what it removes.

    `target` is a symlink's text, or a hard link's path; `script` the words after "#!": an interpreter and, as the
    kernel splits it, at most one argument.
    """

    path: str
    kind: EntryKind
    target: str = ""
    mode: int = 0
    elf: ElfHeader | None = None
    script: tuple[str, ...] = ()

    @property
    def executable(self) -> bool:
        """Whether anyone may execute it."""
        return bool(self.mode & 0o111)


@frozen
class LayerIndex:
    """What one layer holds: `entries` in the order of its tar. Depends on the layer's digest alone.

    `plain` has 8 bytes (`path_mark`) for each file that nobody executes: of those, only that they replace what lies
    below matters, and an image may have millions. `cost` is about what the entries take in memory, in bytes.
    """

    entries: tuple[LayerEntry, ...]
    plain: bytes = b""
    cost: int = 0

    def as_json(self) -> dict[str, Any]:
        """Give plain JSON values, without the fields that are empty."""
        rows = [
            {key: value for key, value in asdict(entry).items() if value not in ("", 0, None, ())}
            for entry in self.entries
        ]
        return {"entries": rows, "plain": b64encode(self.plain).decode(), "cost": self.cost}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> LayerIndex:
        """Read what `as_json` gave. Raises TypeError, ValueError or KeyError for anything else."""
        return cls(
            entries=tuple(_entry_from_json(row) for row in document["entries"]),
            plain=b64decode(document["plain"]),
            cost=int(document["cost"]),
        )


def index_layer(members: Iterator[Member]) -> LayerIndex:
    """Note each member of a layer.

    Raises what reading the members raises, and UnreadableLayer when there is more to note than fits into MOST_COST.
    """
    kept: list[LayerEntry] = []
    plain = bytearray()
    cost = odd = 0
    for entry in map(_entry, members):
        if entry is None:
            continue
        if entry.kind == "file" and entry.elf is None and not entry.script:
            odd += entry.executable
            if not entry.executable or odd > _MOST_ODD:
                plain += path_mark(entry.path)
                continue
        cost += _cost(entry)
        if cost > MOST_COST:
            raise UnreadableLayer(f"a layer has more than {len(kept)} programs, links and directories")
        kept.append(entry)
    return LayerIndex(entries=tuple(kept), plain=bytes(plain), cost=cost)


def path_mark(path: str) -> bytes:
    """Give the 8 bytes a path is known by."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _cost(entry: LayerEntry) -> int:
    """Estimate the bytes an entry takes: the object, and its texts, of which only ASCII takes one byte a character."""
    texts = [entry.path, entry.target]
    if entry.elf is not None:
        texts += [entry.elf.interpreter or "", *entry.elf.needed, *entry.elf.runpath]
    return 220 + sum(60 + len(text) * (1 if text.isascii() else 4) for text in texts)


def clean(path: str) -> str:
    """Give a path of a tar without leading slash, "." or ".."; nothing leads out of the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _entry(member: Member) -> LayerEntry | None:
    path = clean(member.path)
    parent, _, name = path.rpartition("/")
    if name == OPAQUE:
        return LayerEntry(path=parent, kind="opaque")
    if name.startswith(AUFS):
        return None
    if name.startswith(WHITEOUT):
        return LayerEntry(path=f"{parent}/{name[len(WHITEOUT) :]}".lstrip("/"), kind="whiteout")
    if member.kind == "file":
        return LayerEntry(
            path=path,
            kind="file",
            mode=member.mode,
            elf=_program(member),
            script=_script(member.head),
        )
    target = clean(member.target) if member.kind == "hardlink" else member.target
    return LayerEntry(path=path, kind=member.kind, target=target, mode=member.mode)


def _program(member: Member) -> ElfHeader | None:
    """Read a file's ELF header, the libraries it names, and the level of ARM it was built for."""
    header = parse_elf(member.head)
    if header is None:
        return None
    needed, runpath = linked_names(member.head, member.parts)
    return replace(header, needed=needed, runpath=runpath, level=arm_level(member.head, member.cut))


def _script(head: bytes) -> tuple[str, ...]:
    """Split a "#!" line as Linux does (fs/binfmt_script.c): the interpreter, and all the rest as one argument."""
    if not head.startswith(b"#!"):
        return ()
    line = head[2:LONGEST_SHEBANG].split(b"\n", 1)[0].split(b"\0", 1)[0]
    interpreter, _, argument = line.strip(b" \t").replace(b"\t", b" ").partition(b" ")
    words = (interpreter, argument.strip(b" "))
    return tuple(word.decode("utf-8", "surrogateescape") for word in words if word)


def _entry_from_json(row: dict[str, Any]) -> LayerEntry:
    fields = dict(row)
    if "elf" in fields:
        elf = dict(fields["elf"])
        lists = {name: tuple(elf.get(name, ())) for name in ("needed", "runpath")}
        fields["elf"] = ElfHeader(**{**elf, **lists})
    fields["script"] = tuple(fields.get("script", ()))
    return LayerEntry(**fields)
