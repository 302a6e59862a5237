"""The tree that an engine makes of one layer alone: containerd on overlayfs unpacks each into an empty directory.

The rules are those of containerd (pkg/archive/tar.go, applyNaive, with OverlayConvertWhiteout), which docker shares. A
layer that it refuses, or of which the order of members or a symlink decides differently elsewhere, is refused here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from multibuild.elf.header import ElfHeader
from multibuild.prove.content.path_set import PathSet
from multibuild.prove.content.tar import Member
from multibuild.prove.content.tar_header import UnreadableLayer, quoted

EntryKind = Literal["file", "directory", "symlink", "hardlink", "other", "whiteout", "opaque"]

# OCI image-spec layer.md, "Whiteouts". Other names that begin with .wh..wh. are AUFS's own.
WHITEOUT, OPAQUE, AUFS = ".wh.", ".wh..wh..opq", ".wh..wh."

MAX_LINKS = 40
"""Symlinks followed to one path (MAXSYMLINKS, include/linux/namei.h)."""


@dataclass(frozen=True, kw_only=True, slots=True)  # one for each file: cheaper to create than with @frozen
class LayerEntry:
    """One path of a layer, without leading slash; empty for the root. A whiteout's path is the one it removes.

    `target` is a symlink's text or the path of a hard link to a lower layer; `script` the words after "#!": an
    interpreter and, as the kernel splits the line, at most one argument.
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


@dataclass(kw_only=True, slots=True)
class _Folder:
    """A directory. `is_implied` when no member is for it, only for paths below; `is_empty` counts plain files too."""

    path: str
    mode: int = 0
    is_implied: bool = True
    is_opaque: bool = False
    is_empty: bool = True
    children: dict[str, _Folder | LayerEntry] = field(default_factory=dict)
    whiteouts: dict[str, None] = field(default_factory=dict)

    def below(self, name: str) -> str:
        """Return the path of a name in it."""
        return f"{self.path}/{name}" if self.path else name


class LayerTree:
    """A layer's tree, to which members are added in the order of its tar.

    `plain` has the path of each file that is neither program nor link. `cost` estimates the memory of all entries that
    ever were, `implied_cost` that of the directories without a member. Every method raises UnreadableLayer.
    """

    def __init__(self) -> None:
        self.plain = PathSet()
        self.cost = self.implied_cost = 0
        self._root = _Folder(path="", is_implied=False)
        self._parent: tuple[str, _Folder] = ("", self._root)
        self._has_plain_programs = False

    def add(self, member: Member, entry: LayerEntry | None) -> None:
        """Add a member; `entry` is what to keep of a file, None for a plain one."""
        path = normalize_path(member.path)
        if not path:
            return
        parent, _, name = path.rpartition("/")
        folder = self._folder(parent)
        if name.startswith(WHITEOUT):
            self._add_whiteout(folder, name)
        elif member.kind == "global":
            self._require_free(folder, name)
        elif member.kind == "directory":
            self._add_folder(folder, name, member.mode)
        else:
            self._clear(folder, name)
            if member.kind == "hardlink":
                entry = self._linked(member, folder.below(name))
            elif entry is None and member.mode & 0o111:
                self._has_plain_programs = True
            self._put(folder, name, entry)

    def entries(self) -> Iterator[LayerEntry]:
        """Return what is kept, whiteouts first in each directory."""
        for folder in self._folders():
            if folder.is_opaque:
                yield LayerEntry(path=folder.path, kind="opaque")
            for name in folder.whiteouts:
                yield LayerEntry(path=folder.below(name), kind="whiteout")
            if not folder.is_implied and folder.path:
                yield LayerEntry(path=folder.path, kind="directory", mode=folder.mode)
            yield from (node for node in folder.children.values() if isinstance(node, LayerEntry))

    def implied(self) -> Iterator[str]:
        """Return the paths of directories that have no member of their own."""
        return (folder.path for folder in self._folders() if folder.is_implied)

    def _folders(self, start: _Folder | None = None) -> Iterator[_Folder]:
        pending = [start or self._root]
        while pending:
            folder = pending.pop()
            yield folder
            pending.extend(node for node in reversed(folder.children.values()) if isinstance(node, _Folder))

    def _add_whiteout(self, folder: _Folder, name: str) -> None:
        removed = name[len(WHITEOUT) :]
        if name == OPAQUE:
            # An engine that removes what is not of this layer takes a directory without a member for another layer's.
            if any(one.is_implied for one in self._folders(folder) if one is not folder):
                raise _ambiguous(folder.path, "is made opaque behind files in a directory without member")
            folder.is_opaque, folder.is_empty = True, False
        elif removed in ("", ".", ".."):
            raise UnreadableLayer(f"a layer has a whiteout without name: {quoted(folder.below(name))}")
        elif not name.startswith(AUFS):
            self._require_free(folder, removed)
            folder.whiteouts[removed], folder.is_empty = None, False
            self.cost += entry_cost(LayerEntry(path=folder.below(removed), kind="whiteout"))

    def _add_folder(self, folder: _Folder, name: str, mode: int) -> None:
        node = folder.children.get(name)
        if not isinstance(node, _Folder):
            self._clear(folder, name)
            self.plain.discard(folder.below(name))
            node = self._create(folder, name)
        if node.is_implied:
            self.implied_cost -= implied_cost(node.path)
            self.cost += entry_cost(LayerEntry(path=node.path, kind="directory"))
        node.is_implied, node.mode = False, mode

    def _put(self, folder: _Folder, name: str, entry: LayerEntry | None) -> None:
        folder.is_empty = False
        if entry is None:
            self.plain.add(folder.below(name))
        else:
            path = folder.below(name)
            self.plain.discard(path)
            folder.children[name] = entry = entry if entry.path == path else replace(entry, path=path)
            self.cost += entry_cost(entry)

    def _clear(self, folder: _Folder, name: str) -> None:
        """Remove the directory or entry that an earlier member left at a path."""
        node = folder.children.get(name)
        if isinstance(node, _Folder):
            if not node.is_empty or node.children:
                raise _ambiguous(node.path, "is a directory with files, and then something else")
            self.implied_cost -= implied_cost(node.path) if node.is_implied else 0
        if node is not None:
            del folder.children[name]
            self._parent = ("", self._root)

    def _require_free(self, folder: _Folder, name: str) -> None:
        """Raise UnreadableLayer if an earlier member is at a path: some engines remove it, some refuse the layer."""
        path = folder.below(name)
        if name in folder.children or path in self.plain:
            raise _ambiguous(path, "is added and removed")

    def _linked(self, member: Member, path: str) -> LayerEntry | None:
        """Return the entry of a hard link: a copy of its target's, None for a plain file's."""
        parts = [part for part in member.target.split("/") if part not in ("", ".")]
        if not parts or ".." in parts or member.target.endswith("/"):
            raise _ambiguous(path, f"is a hard link to {quoted(member.target)}")
        folder = self._existing(parts[:-1], member.target)
        target = "/".join(parts)
        node = None if folder is None else folder.children.get(parts[-1])
        if isinstance(node, _Folder):
            raise UnreadableLayer(f"a layer has a hard link to a directory: {quoted(path)}")
        if node is None and folder is not None and folder.below(parts[-1]) in self.plain:
            if member.mode & 0o111 and not self._has_plain_programs:
                raise _ambiguous(path, "is a hard link with another mode than its target")
            return None
        if node is None:
            return LayerEntry(path=path, kind="hardlink", target=target, mode=member.mode)
        if node.kind == "file" and node.is_executable != bool(member.mode & 0o111):
            raise _ambiguous(path, "is a hard link with another mode than its target")
        return node

    def _folder(self, path: str) -> _Folder:
        """Return the directory at a path, created where it is missing."""
        if path == self._parent[0]:
            return self._parent[1]
        folder = self._walk(path.split("/") if path else [], path, create=True)
        assert folder is not None
        self._parent = (path, folder)
        return folder

    def _existing(self, parts: list[str], path: str) -> _Folder | None:
        return self._walk(parts, path, create=False)

    def _walk(self, parts: list[str], path: str, *, create: bool) -> _Folder | None:
        """Follow names and this layer's symlinks; a ".." of a symlink readers resolve differently."""
        folder, pending, links = self._root, parts[::-1], 0
        while pending:
            name = pending.pop()
            node = folder.children.get(name)
            if node is None:
                if name in ("", "."):
                    continue
                if not create:
                    return None
                if not folder.is_empty and folder.below(name) in self.plain:
                    raise UnreadableLayer(f"a layer has {quoted(path)} below a file")
                node = self._create(folder, name)
            elif isinstance(node, LayerEntry):
                links += 1
                steps = node.target.split("/")
                if node.kind != "symlink" or links > MAX_LINKS:
                    raise UnreadableLayer(f"a layer has {quoted(path)} below a file or a loop of symlinks")
                if ".." in steps:
                    raise _ambiguous(path, f"is below a symlink to {quoted(node.target)}")
                folder = self._root if node.target.startswith("/") else folder
                pending.extend(steps[::-1])
                continue
            folder = node
        return folder

    def _create(self, folder: _Folder, name: str) -> _Folder:
        node = folder.children[name] = _Folder(path=folder.below(name))
        folder.is_empty = False
        self.implied_cost += implied_cost(node.path)
        return node


def normalize_path(path: str) -> str:
    """Return a tar member's path without leading slash, "." or ".."; no path leads out of the root."""
    parts: list[str] = []
    for part in path.split("/"):
        if part == "..":
            del parts[-1:]
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


def entry_cost(entry: LayerEntry) -> int:
    """Estimate an entry's memory: the object and its texts, of which only ASCII takes one byte a character."""
    texts = [entry.path, entry.target]
    if entry.elf is not None:
        texts += [entry.elf.interpreter or "", *entry.elf.needed, *entry.elf.runpath]
    return 220 + sum(60 + len(text) * (1 if text.isascii() else 4) for text in texts)


def implied_cost(path: str) -> int:
    """Estimate the memory of a directory without a member."""
    return 300 + len(path)


def _ambiguous(path: str, reason: str) -> UnreadableLayer:
    return UnreadableLayer(f"a layer is ambiguous: {quoted(path)} {reason}")
