"""The index of a layer that the proof of content reads: paths, links, and what kind of program each file is."""

from __future__ import annotations

import hashlib
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from multibuild.elf.arm_level import arm_level
from multibuild.elf.dynamic import read_dynamic
from multibuild.elf.header import ElfHeader, parse_elf
from multibuild.frozen import frozen
from multibuild.prove.content.tar import Member, UnreadableLayer

EntryKind = Literal["file", "directory", "symlink", "hardlink", "other", "whiteout", "opaque"]

# OCI image-spec layer.md, "Whiteouts". Other names that begin with .wh..wh. are AUFS's own.
WHITEOUT, OPAQUE, AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."

MAX_COST_BYTES = 32 << 20
"""Memory for the entries of a layer, and of all layers of an image: some 80000 entries."""

# Executable files that are neither ELF nor script have entries only for the sake of a good message.
_MAX_UNKNOWN_EXECUTABLES = 10_000

MAX_SHEBANG_BYTES = 255
"""Bytes of a first line that the kernel reads (BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h)."""


@dataclass(frozen=True, kw_only=True, slots=True)  # one for each file: cheaper to create than with @frozen
class LayerEntry:
    """One path of a layer, without leading slash; empty for the root. A whiteout's path is the one it removes.

    `target` is a symlink's text or a hard link's path; `script` the words after "#!": an interpreter and, as the
    kernel splits the line, at most one argument.
    """

    path: str
    kind: EntryKind
    target: str = ""
    mode: int = 0
    elf: ElfHeader | None = None
    script: tuple[str, ...] = ()

    @property
    def is_executable(self) -> bool:
        """Whether any user may execute it."""
        return bool(self.mode & 0o111)


@frozen
class LayerIndex:
    """The content of one layer: `entries` in the order of its tar. Depends on the layer's digest alone.

    `plain` has 8 bytes (`path_digest`) for each file that is not executable: only the replacement of files in lower
    layers matters of those, and an image may have millions. `cost` estimates the memory of the entries, in bytes.
    """

    entries: tuple[LayerEntry, ...]
    plain: bytes = b""
    cost: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, without empty fields."""
        rows = [
            {key: value for key, value in asdict(entry).items() if value not in ("", 0, None, ())}
            for entry in self.entries
        ]
        return {"entries": rows, "plain": b64encode(self.plain).decode(), "cost": self.cost}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> LayerIndex:
        """Parse the output of `as_json`. Raises TypeError, ValueError or KeyError for anything else."""
        return cls(
            entries=tuple(_entry_from_json(row) for row in document["entries"]),
            plain=b64decode(document["plain"]),
            cost=int(document["cost"]),
        )


def index_layer(members: Iterator[Member]) -> LayerIndex:
    """Return the index of a layer's members.

    Raises what reading the members raises, and UnreadableLayer when the entries take more than MAX_COST_BYTES.
    """
    entries: list[LayerEntry] = []
    plain = bytearray()
    cost = unknown = 0
    for entry in map(_entry, members):
        if entry is None:
            continue
        if entry.kind == "file" and entry.elf is None and not entry.script:
            unknown += entry.is_executable
            if not entry.is_executable or unknown > _MAX_UNKNOWN_EXECUTABLES:
                plain += path_digest(entry.path)
                continue
        cost += _cost(entry)
        if cost > MAX_COST_BYTES:
            raise UnreadableLayer(f"a layer has more than {len(entries)} programs, links and directories")
        entries.append(entry)
    return LayerIndex(entries=tuple(entries), plain=bytes(plain), cost=cost)


def path_digest(path: str) -> bytes:
    """Return the 8 bytes that stand for a path in an index."""
    return hashlib.blake2b(path.encode("utf-8", "surrogateescape"), digest_size=8).digest()


def _cost(entry: LayerEntry) -> int:
    """Estimate an entry's memory: the object and its texts, of which only ASCII takes one byte a character."""
    texts = [entry.path, entry.target]
    if entry.elf is not None:
        texts += [entry.elf.interpreter or "", *entry.elf.needed, *entry.elf.runpath]
    return 220 + sum(60 + len(text) * (1 if text.isascii() else 4) for text in texts)


def normalize_path(path: str) -> str:
    """Return a tar member's path without leading slash, "." or ".."; no path leads out of the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def _entry(member: Member) -> LayerEntry | None:
    path = normalize_path(member.path)
    parent, _, name = path.rpartition("/")
    if name == OPAQUE:
        return LayerEntry(path=parent, kind="opaque")
    if name.startswith(AUFS):
        return None
    if name.startswith(WHITEOUT):
        return LayerEntry(path=f"{parent}/{name[len(WHITEOUT) :]}".lstrip("/"), kind="whiteout")
    if member.kind == "file":
        return LayerEntry(
            path=path, kind="file", mode=member.mode, elf=_program(member), script=_script(member.head)
        )
    target = normalize_path(member.target) if member.kind == "hardlink" else member.target
    return LayerEntry(path=path, kind=member.kind, target=target, mode=member.mode)


def _program(member: Member) -> ElfHeader | None:
    """Parse a file's ELF header, the libraries it needs, and the ARM level it was built for."""
    header = parse_elf(member.head)
    if header is None:
        return None
    needed, runpath = read_dynamic(member.head, member.parts)
    return replace(header, needed=needed, runpath=runpath, level=arm_level(member.head, member.data_at))


def _script(head: bytes) -> tuple[str, ...]:
    """Split a "#!" line as Linux does (fs/binfmt_script.c): the interpreter, and the rest as one argument."""
    if not head.startswith(b"#!"):
        return ()
    line = head[2:MAX_SHEBANG_BYTES].split(b"\n", 1)[0].split(b"\0", 1)[0]
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
