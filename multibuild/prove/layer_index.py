"""What a layer holds, as far as the proof of content asks: paths, links, and what kind of program each file is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from multibuild.prove.elf import ElfHeader, parse_elf
from multibuild.prove.tar_stream import Member

EntryKind = Literal["file", "directory", "symlink", "hardlink", "other", "whiteout", "opaque"]

# OCI image-spec layer.md, "Whiteouts". Names that begin with .wh..wh. besides the opaque marker are AUFS's own.
WHITEOUT, OPAQUE, AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."

LONGEST_SHEBANG = 255
"""Bytes the kernel reads of a first line (BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h)."""


@dataclass(frozen=True, kw_only=True, slots=True)
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


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerIndex:
    """The entries of one layer, in the order of its tar. Depends on the layer's digest alone: worth remembering."""

    entries: tuple[LayerEntry, ...]

    def as_json(self) -> list[dict[str, Any]]:
        """Give plain JSON values, without the fields that are empty."""
        return [
            {key: value for key, value in asdict(entry).items() if value not in ("", 0, None, ())}
            for entry in self.entries
        ]

    @classmethod
    def from_json(cls, rows: list[dict[str, Any]]) -> LayerIndex:
        """Read what `as_json` gave. Raises TypeError or KeyError for anything else."""
        return cls(entries=tuple(_entry_from_json(row) for row in rows))


def index_layer(members: Iterator[Member]) -> LayerIndex:
    """Note each member of a layer. Raises what reading the members raises (UnreadableLayer)."""
    return LayerIndex(entries=tuple(entry for entry in map(_entry, members) if entry is not None))


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
            elf=parse_elf(member.head),
            script=_script(member.head),
        )
    target = clean(member.target) if member.kind == "hardlink" else member.target
    return LayerEntry(path=path, kind=member.kind, target=target, mode=member.mode)


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
        fields["elf"] = ElfHeader(**fields["elf"])
    fields["script"] = tuple(fields.get("script", ()))
    return LayerEntry(**fields)
