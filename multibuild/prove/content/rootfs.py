"""The file system a container of the image would see: its layers' indexes, one over the other."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from multibuild.frozen import frozen
from multibuild.prove.content.layer_index import LayerEntry, LayerIndex, path_mark
from multibuild.prove.content.tar import UnreadableLayer

MOST_LINKS = 40
"""Symlinks followed in one look-up (MAXSYMLINKS, include/linux/namei.h)."""

MOST_STEPS = 20_000_000
"""Path components looked at for one image: some seconds. An image of 100000 paths needs a million."""

MOST_DIRECTORIES = 100_000
"""Directories of one image; a member a thousand levels deep makes a thousand."""

LONGEST_PATH = 4096
"""Characters of a path (PATH_MAX, include/uapi/linux/limits.h). Symlinks of directories can lead much deeper."""


@dataclass(kw_only=True, slots=True)
class Directory:
    """A directory of the merged tree. `length` is that of its path, with a slash behind it."""

    length: int
    children: dict[str, Directory | LayerEntry] = field(default_factory=dict)


@frozen
class Found:
    """A file, and the absolute path where it really lies, symlinks followed."""

    path: str
    entry: LayerEntry


class RootFs:
    """The merged tree. Paths are looked up inside it: neither ".." nor a symlink leads out.

    Every method raises UnreadableLayer when the image asks for more steps or directories than any honest one.
    """

    def __init__(self, layers: Iterable[LayerIndex] = ()) -> None:
        self._root = Directory(length=1)
        self._steps = 0
        self._directories = 0
        self._by_name: dict[str, list[Found]] | None = None
        self._names: dict[str, tuple[str, ...]] = {}
        for layer in layers:
            self._apply(layer)

    def find(self, path: str, *, base: str = "/") -> Found | None:
        """Follow a path (relative ones from `base`) to a file. None for a directory, a dead end or a loop."""
        walked = self._walk(path if path.startswith("/") else f"{base}/{path}")
        if walked is None:
            return None
        names, node = walked
        if not isinstance(node, LayerEntry) or node.kind != "file":
            return None
        return Found(path="/" + "/".join(names), entry=node)

    def files(self) -> Iterator[Found]:
        """Give every regular file, once for each of its hard links, in the order of the layers' tars."""
        pending: list[tuple[str, Directory]] = [("/", self._root)]
        while pending:
            prefix, directory = pending.pop()
            for name, node in directory.children.items():
                if isinstance(node, Directory):
                    pending.append((f"{prefix}{name}/", node))
                elif node.kind == "file":
                    yield Found(path=prefix + name, entry=node)

    def names(self, path: str, *, with_part: str) -> tuple[str, ...]:
        """List what in a directory has `with_part` in its name; nothing for what is none. It is looked at once."""
        known = self._names.get(path)
        if known is None:
            walked = self._walk(path)
            listed = walked[1].children if walked is not None and isinstance(walked[1], Directory) else {}
            known = self._names[path] = tuple(name for name in listed if with_part in name)
        return known

    def named(self, name: str) -> Iterator[Found]:
        """Give the files anywhere whose name begins so: a library "libx.so.1" is mostly a link to "libx.so.1.2"."""
        if self._by_name is None:
            self._by_name = {}
            for found in self.files():
                self._by_name.setdefault(found.path.rpartition("/")[2].partition(".so")[0], []).append(found)
        for found in self._by_name.get(name.partition(".so")[0], ()):
            self._step()
            if found.path.rpartition("/")[2].startswith(name):
                yield found

    def _apply(self, layer: LayerIndex) -> None:
        """Put a layer on top. Its whiteouts go first: they hide what is below, never the layer's own files.

        OCI image-spec layer.md, "Whiteouts" and "Opaque Whiteout".
        """
        for entry in layer.entries:
            if entry.kind == "whiteout":
                self._remove(entry.path)
            elif entry.kind == "opaque":
                walked = self._walk(entry.path)
                if walked is not None and isinstance(walked[1], Directory):
                    walked[1].children.clear()
        if layer.plain:
            self._replace(layer.plain)
        for entry in layer.entries:
            if entry.kind not in ("whiteout", "opaque"):
                self._add(entry)

    def _replace(self, plain: bytes) -> None:
        """Take away what a layer's plain files replace."""
        known = self._marked()
        for at in range(0, len(plain), 8):
            if (place := known.get(plain[at : at + 8])) is not None:
                place[0].pop(place[1], None)

    def _marked(self) -> dict[bytes, tuple[dict[str, Directory | LayerEntry], str]]:
        """Give everything by the mark of its path, with the directory that holds it."""
        found = {}
        pending: list[tuple[str, Directory]] = [("", self._root)]
        while pending:
            prefix, directory = pending.pop()
            for name, node in directory.children.items():
                found[path_mark(prefix + name)] = (directory.children, name)
                if isinstance(node, Directory):
                    pending.append((f"{prefix}{name}/", node))
        return found

    def _remove(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        walked = self._walk(parent)
        if walked is not None and isinstance(walked[1], Directory):
            walked[1].children.pop(name, None)

    def _add(self, entry: LayerEntry) -> None:
        """Add a path; its parent may be a symlink of a lower layer (/bin → usr/bin), as in containerd's apply."""
        parent, _, name = entry.path.rpartition("/")
        walked = self._walk(parent, create=True)
        if not name or walked is None or not isinstance(walked[1], Directory):
            return
        children = walked[1].children
        self._require_short(walked[1], name)
        if entry.kind == "directory":
            if not isinstance(children.get(name), Directory):
                children[name] = self._directory(walked[1], name)
        elif entry.kind == "hardlink":
            target = self._itself(entry.target)
            if target is not None:
                children[name] = target
            else:
                children.pop(name, None)
        else:
            children[name] = entry

    def _directory(self, parent: Directory, name: str) -> Directory:
        self._directories += 1
        if self._directories > MOST_DIRECTORIES:
            raise UnreadableLayer(f"the image has more than {MOST_DIRECTORIES} directories")
        self._require_short(parent, name)
        return Directory(length=parent.length + len(name) + 1)

    @staticmethod
    def _require_short(parent: Directory, name: str) -> None:
        if parent.length + len(name) > LONGEST_PATH:
            raise UnreadableLayer(f"the image has a path longer than {LONGEST_PATH} characters")

    def _step(self) -> None:
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise UnreadableLayer("the image's paths and links are too many to follow")

    def _itself(self, path: str) -> LayerEntry | None:
        """Look up what lies at a path, without following it if it is a symlink."""
        parent, _, name = path.rpartition("/")
        walked = self._walk(parent)
        if walked is None or not isinstance(walked[1], Directory):
            return None
        node = walked[1].children.get(name)
        return node if isinstance(node, LayerEntry) else None

    def _walk(self, path: str, *, create: bool = False) -> tuple[list[str], Directory | LayerEntry] | None:
        """Follow a path to its end: the names that lead there without symlinks, and what lies there.

        `create` makes the directories that are missing. None where the way ends early.
        """
        pending = path.split("/")[::-1]
        names: list[str] = []
        way = [self._root]
        links = 0
        while pending:
            part = pending.pop()
            self._step()
            if part in ("", "."):
                continue
            if part == "..":
                if names:
                    del names[-1], way[-1]
                continue
            node = way[-1].children.get(part)
            if node is None and create:
                node = way[-1].children[part] = self._directory(way[-1], part)
            if isinstance(node, Directory):
                names.append(part)
                way.append(node)
            elif node is not None and node.kind == "symlink":
                links += 1
                if links > MOST_LINKS:
                    return None
                if node.target.startswith("/"):
                    names, way = [], [self._root]
                pending.extend(node.target.split("/")[::-1])
            elif node is not None and not any(rest not in ("", ".") for rest in pending):
                return [*names, part], node
            else:
                return None
        return names, way[-1]
