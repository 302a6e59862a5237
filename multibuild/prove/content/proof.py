"""The proof that an image's programs are for the platform it claims, read from its layers without running it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol

from multibuild.architectures import architecture_named
from multibuild.elf.header import architecture_of, matches
from multibuild.frozen import frozen
from multibuild.platforms import Platform
from multibuild.prove.content.executed_files import ExecutedFiles, executed_files
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.content.layer_index import MAX_COST_BYTES, MAX_NAME_CHARACTERS, LayerIndex, index_layer
from multibuild.prove.content.layer_stream import bounded_blob, layer_members
from multibuild.prove.content.merged_rootfs import ImageFile, RootFs
from multibuild.prove.content.tar import MAX_MEMBERS
from multibuild.prove.content.tar_header import UnreadableLayer, shown

Mode = Literal["off", "entrypoint", "all"]

_SYSTEMS_WITH_ELF = frozenset({"linux", "freebsd"})
_MAX_LISTED_FILES = 3

MAX_LAYERS = 1000
"""Layers of one image; engines mount no more than about a hundred (moby layer.MaxLayerDepth is 125)."""


MAX_IMAGE_BYTES = 128 << 30
"""Bytes of all layers of an image as its manifest states them; the largest public ones have some 30 GB."""


class Layer(Protocol):
    """The fields of a layer's descriptor that are needed."""

    @property
    def digest(self) -> str:
        """Its digest."""

    @property
    def media_type(self) -> str:
        """Its media type."""

    @property
    def size(self) -> int:
        """Its size in bytes."""


@frozen
class ImageContent:
    """An image's parsed OCI config and its layers from the lowest up."""

    config: Mapping[str, Any]
    layers: Sequence[Layer]


@frozen
class ForeignFile:
    """An ELF file of another architecture. `needed` when the image's ENTRYPOINT or CMD executes or loads it.

    `layer` is the number, from 1, of the layer that has it.
    """

    path: str
    architecture: str
    needed: bool
    layer: int | None = None


@frozen
class ContentProof:
    """The result. `checked` counts ELF files compared with the platform; `detail` is the reason as a message."""

    status: Literal["passed", "failed", "skipped"]
    checked: int = 0
    foreign: tuple[ForeignFile, ...] = ()
    detail: str = ""


def prove_content(
    image: ImageContent,
    *,
    platform: Platform,
    mode: Mode,
    ignore: Sequence[str] = (),
    open_layer: Callable[[str], Iterator[bytes]],
    cache: LayerCache | None = None,
) -> ContentProof:
    """Compare an image's config and programs with the platform it is published for.

    Mode "entrypoint" checks what ENTRYPOINT and CMD execute, with interpreters and libraries; where that contains no
    ELF file, every file, as "all" does. The proof fails for a needed foreign file, or when no file has the right
    architecture. `ignore` has globs of absolute paths to skip ("*" matches slashes; a directory stands for its
    content). `open_layer` returns the blob of a digest.

    Raises what `open_layer` raises; an unreadable layer is a failed proof.
    """
    if mode == "off":
        return ContentProof(status="skipped", detail="not asked for")
    mismatch = config_mismatch(image.config, platform)
    if mismatch:
        return ContentProof(status="failed", detail=mismatch)
    if platform.os not in _SYSTEMS_WITH_ELF or architecture_named(platform.architecture) is None:
        return ContentProof(status="skipped", detail=f"no rule tells the programs of {platform}")
    cache = cache or LayerCache()
    with cache.image_slots:
        try:
            indexes = tuple(_indexes(image.layers, open_layer, cache))
            root = RootFs(indexes)
            rules = _Rules(config=image.config, platform=platform, mode=mode, ignore=ignore, indexes=indexes)
            proof = rules.prove(root)
            if root.is_ambiguous and proof.status != "failed":
                return rules.prove(RootFs(indexes, overlay=True))
        except UnreadableLayer as error:
            return ContentProof(status="failed", detail=error.message)
        return proof


@frozen
class _Rules:
    """The arguments of a proof that are the same for each way to merge layers."""

    config: Mapping[str, Any]
    platform: Platform
    mode: Mode
    ignore: Sequence[str]
    indexes: Sequence[LayerIndex]

    def prove(self, root: RootFs) -> ContentProof:
        executed = executed_files(self.config, root)
        needed = _programs(executed.files, self.ignore)
        files = needed if self.mode == "entrypoint" and needed else _programs(root.files(), self.ignore)
        proof = _compare(files, needed, executed, self.platform)
        return replace(proof, foreign=_with_layers(proof.foreign, files, self.indexes))


def config_mismatch(config: Mapping[str, Any], platform: Platform) -> str:
    """Return how an image config contradicts a platform; empty when it does not.

    Compared in normal form, as in containerd. A config without variant contradicts none: many builders write none, and
    clients look at the index entry first.
    """
    fields = [config.get(key) for key in ("os", "architecture", "variant")]
    system, architecture, variant = (field if isinstance(field, str) else "" for field in fields)
    actual = Platform(os=system, architecture=architecture, variant=variant).normalised()
    expected = platform.normalised()
    same = (actual.os, actual.architecture) == (expected.os, expected.architecture)
    if same and (not variant or actual.variant == expected.variant):
        return ""
    return f"the image config says {actual if architecture else 'no architecture'}, not {platform}"


def _indexes(
    layers: Sequence[Layer], open_layer: Callable[[str], Iterator[bytes]], cache: LayerCache
) -> Iterator[LayerIndex]:
    """Return the layers' indexes one at a time. Raises UnreadableLayer when together they exceed a layer's limits."""
    if len(layers) > MAX_LAYERS:
        raise UnreadableLayer(f"the image has {len(layers)} layers, more than any engine takes")
    size = sum(max(layer.size, 0) for layer in layers)
    if size > MAX_IMAGE_BYTES:
        raise UnreadableLayer(f"the image's layers have {size} bytes, more than {MAX_IMAGE_BYTES}")
    cost = members = name_characters = 0
    for layer in layers:
        index = _indexed(layer, open_layer, cache)
        cost += index.memory - len(index.plain)
        members += index.members
        name_characters += index.name_characters
        if cost > MAX_COST_BYTES:
            raise UnreadableLayer("the image has too many programs, links and directories")
        if members > MAX_MEMBERS:
            raise UnreadableLayer(f"the image has more than {MAX_MEMBERS} files")
        if name_characters > MAX_NAME_CHARACTERS:
            raise UnreadableLayer(f"the image has more than {MAX_NAME_CHARACTERS} characters of file names")
        yield index


def _indexed(layer: Layer, open_layer: Callable[[str], Iterator[bytes]], cache: LayerCache) -> LayerIndex:
    def read() -> LayerIndex:
        blob = bounded_blob(open_layer(layer.digest), layer.size)
        return index_layer(layer_members(blob, layer.media_type))

    try:
        return cache.get_or_read(layer.digest, read)
    except UnreadableLayer as error:
        raise UnreadableLayer(f"{error.message} (layer {layer.digest})") from None


def _programs(files: Iterable[ImageFile], ignore: Sequence[str]) -> tuple[ImageFile, ...]:
    return tuple(file for file in files if file.entry.elf is not None and not _ignored(file.path, ignore))


def _ignored(path: str, ignore: Sequence[str]) -> bool:
    """Whether a glob matches the path or a directory above it; one without leading slash starts at the root too."""
    for pattern in ignore:
        glob = pattern if pattern.startswith(("/", "*")) else f"/{pattern}"
        if fnmatchcase(path, glob) or fnmatchcase(path, f"{glob.rstrip('/')}/*"):
            return True
    return False


def _foreign(
    files: Sequence[ImageFile], needed: Sequence[ImageFile], platform: Platform
) -> tuple[ForeignFile, ...]:
    paths = {file.path for file in needed}
    return tuple(
        ForeignFile(path=file.path, architecture=architecture_of(elf), needed=file.path in paths)
        for file in files
        if (elf := file.entry.elf) is not None and not matches(elf, platform)
    )


def _with_layers(
    foreign: tuple[ForeignFile, ...], files: Sequence[ImageFile], indexes: Sequence[LayerIndex]
) -> tuple[ForeignFile, ...]:
    """Add the layer of each file: of two that have the same entry, the upper one, which was applied last."""
    if not foreign:
        return ()
    paths = {file.path for file in foreign}
    entries = {file.path: id(file.entry) for file in files if file.path in paths}
    wanted = set(entries.values())
    numbers = {
        id(entry): number
        for number, index in enumerate(indexes, 1)
        for entry in index.entries
        if id(entry) in wanted
    }
    return tuple(replace(file, layer=numbers.get(entries[file.path])) for file in foreign)


def _compare(
    files: Sequence[ImageFile], needed: Sequence[ImageFile], executed: ExecutedFiles, platform: Platform
) -> ContentProof:
    notes = _notes(needed, executed, platform)
    if not files:
        detail = "no ELF file in the image, so nothing depends on the architecture"
        return ContentProof(status="passed", detail=f"{detail}; {notes}" if notes else detail)
    foreign = _foreign(files, needed, platform)
    needed_foreign = tuple(file for file in foreign if file.needed)
    status: Literal["passed", "failed"] = "passed"
    if needed_foreign:
        status, notes = "failed", f"what the image starts is not {platform}: {_list(needed_foreign)}"
    elif len(foreign) == len(files):
        status, notes = "failed", f"no file in the image is {platform}: {_list(foreign)}"
    elif foreign:
        note = f"foreign, but not needed to start: {_list(foreign)}"
        notes = f"{notes}; {note}" if notes else note
    return ContentProof(status=status, checked=len(files), foreign=foreign, detail=notes)


def _notes(needed: Sequence[ImageFile], executed: ExecutedFiles, platform: Platform) -> str:
    """Return oddities of the executed files that are no fault.

    A program built for a newer ARM than the platform's may check the CPU before it uses newer instructions, which only
    a smoke test with `emulator_cpu` can show.
    """
    notes = list(executed.problems)
    level = platform.variant[1:] if platform.architecture == "arm" else ""
    own = int(level) if level in ("5", "6", "7", "8") else 0
    newer = [file for file in needed if own and file.entry.elf is not None and file.entry.elf.level > own]
    if newer and newer[0].entry.elf is not None:
        more = f" and {len(newer) - 1} more" if len(newer) > 1 else ""
        notes.append(
            f"{shown(newer[0].path)}{more} was built for ARM v{newer[0].entry.elf.level}, above {platform}"
        )
    return "; ".join(notes)


def _list(foreign: Sequence[ForeignFile]) -> str:
    """Return a list of the first few files as text."""
    text = ", ".join(f"{shown(file.path)} is {file.architecture}" for file in foreign[:_MAX_LISTED_FILES])
    more = len(foreign) - _MAX_LISTED_FILES
    return f"{text}, and {more} more" if more > 0 else text
