"""The index of a layer that the proof of content reads: paths, links, and what kind of program each file is."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from multibuild.elf.arm_level import arm_level
from multibuild.elf.dynamic import read_dynamic
from multibuild.elf.header import ElfHeader, parse_elf
from multibuild.frozen import frozen
from multibuild.prove.content.layer_tree import LayerEntry, LayerTree, implied_cost
from multibuild.prove.content.path_set import SALT_BYTES
from multibuild.prove.content.tar import Member
from multibuild.prove.content.tar_header import MemberKind, UnreadableLayer, quoted

MAX_COST_BYTES = 32 << 20
"""Memory for the entries of a layer, and of all layers of an image: some 80000 entries."""

# Executable files that are neither ELF nor script have entries only for the sake of a good message.
_MAX_UNKNOWN_EXECUTABLES = 10_000

MAX_NAME_CHARACTERS = 512 << 20
"""Characters of the names in a layer, and in all layers of an image; two million names of 100 bytes are 200 MB."""

_REFUSED: dict[MemberKind, str] = {
    "sparse": "a sparse file of GNU tar, which engines refuse",
    "unknown": "a file of unknown type, which engines refuse",
    "device 0:0": "a device that overlayfs takes for a whiteout",
}

MAX_SHEBANG_BYTES = 255
"""Bytes of a first line that the kernel reads (BINPRM_BUF_SIZE, include/uapi/linux/binfmts.h)."""


@frozen
class LayerIndex:
    """The content of one layer. Depends on the layer's digest alone.

    `entries` have resolved paths, each at most once, but for whiteouts of what is also added. `plain` has 8 bytes
    (`path_digest` with `salt`) for each file that is not executable: only the replacement of lower files matters
    of those, and an image may have a million. `implied` are directories for which there is only a path below them.
    `cost` estimates the memory of the entries, in bytes; `members` and `name_characters` are those of the tar.
    """

    entries: tuple[LayerEntry, ...]
    plain: bytes = b""
    salt: bytes = bytes(SALT_BYTES)
    implied: tuple[str, ...] = ()
    cost: int = 0
    members: int = 0
    name_characters: int = 0

    @property
    def memory(self) -> int:
        """An estimate of the memory of all of it, in bytes."""
        return self.cost + len(self.plain) + sum(map(implied_cost, self.implied))

    def as_json(self) -> dict[str, Any]:
        """Return JSON values, without empty fields."""
        rows = [
            {
                key: value
                for key, value in asdict(entry).items()
                if key == "path" or value not in ("", 0, None, ())
            }
            for entry in self.entries
        ]
        return {
            "entries": rows,
            "plain": b64encode(self.plain).decode(),
            "salt": self.salt.hex(),
            "implied": self.implied,
            **{name: getattr(self, name) for name in _COUNTS},
        }

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> LayerIndex:
        """Parse the output of `as_json`. Raises TypeError, ValueError or KeyError for anything else."""
        return cls(
            entries=tuple(_entry_from_json(row) for row in document["entries"]),
            plain=b64decode(document["plain"]),
            salt=bytes.fromhex(document["salt"]),
            implied=tuple(document["implied"]),
            **{name: int(document[name]) for name in _COUNTS},
        )


_COUNTS = ("cost", "members", "name_characters")


def index_layer(members: Iterator[Member]) -> LayerIndex:
    """Return the index of a layer's members.

    Raises what reading the members raises, and UnreadableLayer when the entries take more than MAX_COST_BYTES, and for
    a layer that engines refuse or understand differently.
    """
    tree = LayerTree()
    count = name_characters = unknown = 0
    for member in members:
        count += 1
        name_characters += len(member.path) + len(member.target)
        if name_characters > MAX_NAME_CHARACTERS:
            raise UnreadableLayer(f"a layer has more than {MAX_NAME_CHARACTERS} characters of file names")
        entry = _entry(member)
        if entry is not None and entry.kind == "file" and entry.elf is None and not entry.script:
            unknown += 1
            entry = entry if unknown <= _MAX_UNKNOWN_EXECUTABLES else None
        tree.add(member, entry)
        if tree.cost + tree.implied_cost > MAX_COST_BYTES:
            raise UnreadableLayer(f"a layer has more than {count} programs, links and directories")
    return LayerIndex(
        entries=tuple(tree.entries()),
        plain=tree.plain.digests(),
        salt=tree.plain.salt,
        implied=tuple(tree.implied()),
        cost=tree.cost,
        members=count,
        name_characters=name_characters,
    )


def _entry(member: Member) -> LayerEntry | None:
    """Return what to keep of a member that is no directory; None for a plain file."""
    if member.kind in _REFUSED:
        raise UnreadableLayer(f"a layer has {_REFUSED[member.kind]}: {quoted(member.path)}")
    if member.kind == "symlink":
        return LayerEntry(path=member.path, kind="symlink", target=member.target, mode=member.mode)
    if member.kind in ("device", "fifo"):
        return LayerEntry(path=member.path, kind="other", mode=member.mode)
    elf, script = _program(member), _script(member.head)
    if member.kind != "file" or not (elf or script or member.mode & 0o111):
        return None
    return LayerEntry(path=member.path, kind="file", mode=member.mode, elf=elf, script=script)


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
