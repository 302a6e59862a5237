"""The merged file system of an image: its layers' indexes, applied in order."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from multibuild.frozen import frozen
from multibuild.prove.content.layer_index import LayerIndex
from multibuild.prove.content.layer_tree import MAX_LINKS, LayerEntry
from multibuild.prove.content.path_set import DIGEST_BYTES, path_digest
from multibuild.prove.content.tar_header import UnreadableLayer, quoted

MAX_STEPS = 20_000_000
"""Path components walked for one image: about ten seconds. An image of 100000 paths needs a million."""

_STEPS_OF_A_LOOKUP = 8
"""What a lookup costs besides the components it walks."""

_MAX_FEW = 100_000
"""Plain files of a layer up to which a set of them takes less memory than the nodes of an image."""

MAX_DIRECTORIES = 100_000
"""Directories of one image; a member a thousand levels deep creates a thousand."""

MAX_PATH_CHARACTERS = 4096
"""Characters of a path (PATH_MAX, include/uapi/linux/limits.h). Symlinks of directories can lead much deeper."""


@dataclass(kw_only=True, slots=True)
class Directory:
    """A directory of the merged tree. `length` is that of its path with a slash at the end."""

    length: int
    children: dict[str, Directory | LayerEntry] = field(default_factory=dict)


@frozen
class ImageFile:
    """A file and its absolute path with all symlinks resolved."""

    path: str
    entry: LayerEntry


class RootFs:
    """The merged tree. Lookups stay inside it: neither ".." nor a symlink leads out.

    Engines merge in two ways. Most stack layers with overlayfs (`overlay`): a directory hides a symlink of a lower
    layer. Others unpack each layer over the lower ones: a path leads through that symlink. `is_ambiguous` when a tree
    of the second kind may differ from the first. Every method raises UnreadableLayer when the image needs more than
    MAX_STEPS or MAX_DIRECTORIES, and an overlay when a layer cannot be unpacked alone.
    """

    def __init__(self, layers: Iterable[LayerIndex] = (), *, overlay: bool = False) -> None:
        self.is_ambiguous = False
        self._overlay = overlay
        self._root = Directory(length=1)
        self._steps = 0
        self._links = 0
        self._directories = 0
        self._by_stem: dict[str, list[ImageFile]] | None = None
        self._names: dict[str, tuple[str, ...]] = {}
        for layer in layers:
            self._apply(layer)
        self.is_ambiguous |= self._links > 0

    def find(self, path: str, *, base: str = "/") -> ImageFile | None:
        """Return the file at a path (relative to `base`). None for a directory, a missing path or a symlink loop."""
        self._count_steps(_STEPS_OF_A_LOOKUP)
        if len(path) > MAX_PATH_CHARACTERS:
            return None
        walked = self._walk(path if path.startswith("/") else f"{base}/{path}")
        if walked is None:
            return None
        names, node = walked
        if not isinstance(node, LayerEntry) or node.kind != "file":
            return None
        return ImageFile(path="/" + "/".join(names), entry=node)

    def files(self) -> Iterator[ImageFile]:
        """Return every regular file, once for each of its hard links, in the order of the layers' tars."""
        for _, path, node in self._nodes():
            if isinstance(node, LayerEntry) and node.kind == "file":
                yield ImageFile(path=f"/{path}", entry=node)

    def has_directory(self, path: str) -> bool:
        """Whether a path is a directory."""
        self._count_steps(_STEPS_OF_A_LOOKUP)
        return len(path) <= MAX_PATH_CHARACTERS and self._children(path) is not None

    def names_in(self, path: str, *, with_part: str) -> tuple[str, ...]:
        """Return the names in a directory that contain `with_part`; empty if it is none. The result is cached."""
        names = self._names.get(path)
        if names is None:
            children = self._children(path) or {}
            names = self._names[path] = tuple(name for name in children if with_part in name)
        return names

    def files_named(self, name: str) -> Iterator[ImageFile]:
        """Return all files whose name begins with `name`: "libx.so.1" is usually a link to "libx.so.1.2"."""
        if self._by_stem is None:
            self._by_stem = {}
            for file in self.files():
                self._by_stem.setdefault(file.path.rpartition("/")[2].partition(".so")[0], []).append(file)
        for file in self._by_stem.get(name.partition(".so")[0], ()):
            self._step()
            if file.path.rpartition("/")[2].startswith(name):
                yield file

    def _apply(self, layer: LayerIndex) -> None:
        """Apply a layer. Its whiteouts go first: they hide lower layers, never the layer's own files.

        OCI image-spec layer.md, "Whiteouts" and "Opaque Whiteout".
        """
        directories = {*layer.implied, *(entry.path for entry in layer.entries if entry.kind == "directory")}
        if self._overlay:
            for path in directories:
                self._walk(path, create=True)
        for entry in layer.entries:
            if entry.kind == "whiteout":
                # An engine that has removed a directory of overlayfs and then creates it anew merges both.
                self.is_ambiguous |= entry.path in directories
                if not (self._overlay and entry.path in directories):
                    self._remove(entry.path)
            elif entry.kind == "opaque":
                self._empty(entry.path)
        if layer.plain:
            self._remove_plain(layer)
        for entry in layer.entries:
            if entry.kind not in ("whiteout", "opaque"):
                self._add(entry)
        for path in layer.implied:
            self._walk(path, create=True)

    def _empty(self, path: str) -> None:
        """Remove what lower layers have in a directory; overlayfs does not look whether its root is opaque."""
        if not path:
            self.is_ambiguous = True
        children = self._children(path)
        if children is not None and (path or not self._overlay):
            children.clear()

    def _remove_plain(self, layer: LayerIndex) -> None:
        """Remove the paths that a layer's plain files replace."""
        digests = range(0, len(layer.plain), DIGEST_BYTES)
        few = (
            {layer.plain[at : at + DIGEST_BYTES] for at in digests[:_MAX_FEW]}
            if len(digests) <= _MAX_FEW
            else None
        )
        # Only last components are kept: paths of a hostile image take hundreds of megabytes together.
        nodes: dict[bytes, tuple[Directory, str]] = {}
        count = 0
        for directory, path, _ in self._nodes():
            count += 1
            digest = path_digest(path, layer.salt)
            if few is None or digest in few:
                nodes[digest] = directory, path.rpartition("/")[2]
        self._count_steps(count)
        for at in digests if nodes else ():
            if (node := nodes.get(layer.plain[at : at + DIGEST_BYTES])) is not None:
                directory, name = node
                directory.children.pop(name, None)

    def _nodes(self) -> Iterator[tuple[Directory, str, Directory | LayerEntry]]:
        """Return every node with its directory and its path, which has no leading slash."""
        pending: list[tuple[str, Directory]] = [("", self._root)]
        while pending:
            prefix, directory = pending.pop()
            for name, node in directory.children.items():
                yield directory, prefix + name, node
                if isinstance(node, Directory):
                    pending.append((f"{prefix}{name}/", node))

    def _children(self, path: str) -> dict[str, Directory | LayerEntry] | None:
        walked = self._walk(path)
        return walked[1].children if walked is not None and isinstance(walked[1], Directory) else None

    def _remove(self, path: str) -> None:
        parent, _, name = path.rpartition("/")
        (self._children(parent) or {}).pop(name, None)

    def _add(self, entry: LayerEntry) -> None:
        """Add a path. Its parent may be a symlink of a lower layer (/bin → usr/bin), as when containerd applies it."""
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
            target = self._entry_at(entry.target)
            self.is_ambiguous = True
            if self._overlay:
                raise UnreadableLayer(
                    f"a layer has a hard link to a lower layer, which engines refuse: {quoted(entry.path)}"
                )
            if target is not None:
                children[name] = target
            else:
                children.pop(name, None)
        else:
            children[name] = entry

    def _directory(self, parent: Directory, name: str) -> Directory:
        self._directories += 1
        if self._directories > MAX_DIRECTORIES:
            raise UnreadableLayer(f"the image has more than {MAX_DIRECTORIES} directories")
        self._require_short(parent, name)
        return Directory(length=parent.length + len(name) + 1)

    @staticmethod
    def _require_short(parent: Directory, name: str) -> None:
        if parent.length + len(name) > MAX_PATH_CHARACTERS:
            raise UnreadableLayer(f"the image has a path longer than {MAX_PATH_CHARACTERS} characters")

    def _step(self) -> None:
        self._count_steps(1)

    def _count_steps(self, steps: int) -> None:
        self._steps += steps
        if self._steps > MAX_STEPS:
            raise UnreadableLayer("the image's paths and links are too many to follow")

    def _entry_at(self, path: str) -> LayerEntry | None:
        """Return the entry at a path; a symlink is not followed."""
        parent, _, name = path.rpartition("/")
        node = (self._children(parent) or {}).get(name)
        return node if isinstance(node, LayerEntry) else None

    def _walk(self, path: str, *, create: bool = False) -> tuple[list[str], Directory | LayerEntry] | None:
        """Resolve a path: return its components without symlinks, and its node. None for a missing path.

        `create` adds missing directories, in an overlay also in place of anything else.
        """
        pending = path.split("/")[::-1]
        names: list[str] = []
        nodes = [self._root]
        links = 0
        while pending:
            part = pending.pop()
            self._step()
            if part in ("", "."):
                continue
            if part == "..":
                if names:
                    del names[-1], nodes[-1]
                continue
            node = nodes[-1].children.get(part)
            if create and (node is None or (self._overlay and isinstance(node, LayerEntry))):
                node = nodes[-1].children[part] = self._directory(nodes[-1], part)
            if isinstance(node, Directory):
                names.append(part)
                nodes.append(node)
            elif node is not None and node.kind == "symlink":
                links += 1
                self._links += 1
                if links > MAX_LINKS:
                    return None
                if node.target.startswith("/"):
                    names, nodes = [], [self._root]
                pending.extend(node.target.split("/")[::-1])
            else:
                self.is_ambiguous |= (
                    create  # a directory where a lower layer has a file: only overlayfs allows it
                )
                if node is None or any(rest not in ("", ".") for rest in pending):
                    return None
                return [*names, part], node
        return names, nodes[-1]
