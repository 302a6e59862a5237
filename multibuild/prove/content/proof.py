"""The proof that the programs in an image are of the platform it claims: read from its layers, without running it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, Literal, Protocol

from multibuild.elf.header import architecture_of, matches
from multibuild.frozen import frozen
from multibuild.platforms import Platform, architecture_named
from multibuild.prove.content.entrypoint import Started, started_files
from multibuild.prove.content.layer_cache import LayerCache
from multibuild.prove.content.layer_index import MOST_COST, LayerIndex, index_layer
from multibuild.prove.content.layers import layer_members
from multibuild.prove.content.rootfs import Found, RootFs
from multibuild.prove.content.tar import UnreadableLayer

Mode = Literal["off", "entrypoint", "all"]

_SYSTEMS_WITH_ELF = frozenset({"linux", "freebsd"})
_MOST_NAMED = 3

MOST_LAYERS = 1000
"""Layers of one image; engines mount no more than some hundred (moby layer.MaxLayerDepth is 125)."""


class Layer(Protocol):
    """A layer's descriptor, of which two fields are asked for."""

    @property
    def digest(self) -> str:
        """Its digest."""

    @property
    def media_type(self) -> str:
        """Its media type."""


@frozen
class ImageContent:
    """An image as its manifest gives it: `config` is the parsed OCI image config, `layers` from the lowest up."""

    config: Mapping[str, Any]
    layers: Sequence[Layer]


@frozen
class ForeignFile:
    """An ELF file of another architecture. `needed` when what the image starts cannot do without it."""

    path: str
    architecture: str
    needed: bool


@frozen
class ContentProof:
    """What was found. `checked` counts ELF files compared with the platform; `detail` says why, for people."""

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
    memory: LayerCache | None = None,
) -> ContentProof:
    """Compare an image's config and programs with the platform it is published for.

    Mode "entrypoint" looks at what ENTRYPOINT and CMD start and their interpreters; where that leads to no ELF file,
    at every file, as "all" does. It fails for a foreign file that is needed, or when nothing of the right
    architecture is there. `ignore` has globs of absolute paths ("*" passes slashes; a directory stands for all in
    it) that are not looked at. `open_layer` gives the blob of a digest; `memory` remembers indexes by digest.

    Raises what `open_layer` raises; a layer that cannot be read is a failed proof.
    """
    if mode == "off":
        return ContentProof(status="skipped", detail="not asked for")
    mismatch = config_mismatch(image.config, platform)
    if mismatch:
        return ContentProof(status="failed", detail=mismatch)
    if platform.os not in _SYSTEMS_WITH_ELF or architecture_named(platform.architecture) is None:
        return ContentProof(status="skipped", detail=f"no rule tells the programs of {platform}")
    remembered = memory or LayerCache()
    with remembered.turn:
        try:
            root = RootFs(_indexes(image.layers, open_layer, remembered))
            started = started_files(image.config, root)
        except UnreadableLayer as error:
            return ContentProof(status="failed", detail=error.message)
        needed = _programs(started.files, ignore)
        if mode == "entrypoint" and needed:
            return _entrypoint_proof(needed, started, platform)
        return _whole_proof(_programs(root.files(), ignore), needed, started, platform)


def config_mismatch(config: Mapping[str, Any], platform: Platform) -> str:
    """Say how an image config contradicts a platform; empty when it does not.

    Compared in normal form, as containerd does. A config without variant contradicts none: many builders write none,
    and clients look at the index entry first.
    """
    said = [config.get(key) for key in ("os", "architecture", "variant")]
    system, architecture, variant = (part if isinstance(part, str) else "" for part in said)
    stated = Platform(os=system, architecture=architecture, variant=variant).normalised()
    wanted = platform.normalised()
    same = (stated.os, stated.architecture) == (wanted.os, wanted.architecture)
    if same and (not variant or stated.variant == wanted.variant):
        return ""
    return f"the image config says {stated if architecture else 'no architecture'}, not {platform}"


def _indexes(
    layers: Sequence[Layer], open_layer: Callable[[str], Iterator[bytes]], memory: LayerCache
) -> Iterator[LayerIndex]:
    """Give the layers' indexes one at a time. Raises UnreadableLayer when together they pass MOST_COST."""
    if len(layers) > MOST_LAYERS:
        raise UnreadableLayer(f"the image has {len(layers)} layers, more than any engine takes")
    cost = 0
    for layer in layers:
        index = _indexed(layer, open_layer, memory)
        cost += index.cost
        if cost > MOST_COST:
            raise UnreadableLayer("the image has too many programs, links and directories")
        yield index


def _indexed(layer: Layer, open_layer: Callable[[str], Iterator[bytes]], memory: LayerCache) -> LayerIndex:
    def read() -> LayerIndex:
        return index_layer(layer_members(iter(open_layer(layer.digest)), layer.media_type))

    return memory.recall(layer.digest, read)


def _programs(files: Iterator[Found] | Sequence[Found], ignore: Sequence[str]) -> tuple[Found, ...]:
    return tuple(file for file in files if file.entry.elf is not None and not _ignored(file.path, ignore))


def _ignored(path: str, ignore: Sequence[str]) -> bool:
    """Whether a glob names the path or a directory above it; one without leading slash counts from the root too."""
    for pattern in ignore:
        glob = pattern if pattern.startswith(("/", "*")) else f"/{pattern}"
        if fnmatchcase(path, glob) or fnmatchcase(path, f"{glob.rstrip('/')}/*"):
            return True
    return False


def _foreign(files: Sequence[Found], needed: Sequence[Found], platform: Platform) -> tuple[ForeignFile, ...]:
    paths = {file.path for file in needed}
    return tuple(
        ForeignFile(path=file.path, architecture=architecture_of(elf), needed=file.path in paths)
        for file in files
        if (elf := file.entry.elf) is not None and not matches(elf, platform)
    )


def _entrypoint_proof(needed: Sequence[Found], started: Started, platform: Platform) -> ContentProof:
    foreign = _foreign(needed, needed, platform)
    if foreign:
        detail = f"what the image starts is not {platform}: {_named(foreign)}"
        return ContentProof(status="failed", checked=len(needed), foreign=foreign, detail=detail)
    return ContentProof(status="passed", checked=len(needed), detail=_notes(needed, started, platform))


def _whole_proof(
    files: Sequence[Found], needed: Sequence[Found], started: Started, platform: Platform
) -> ContentProof:
    notes = _notes(needed, started, platform)
    if not files:
        detail = "no ELF file in the image, so nothing depends on the architecture"
        return ContentProof(status="passed", detail=f"{detail}; {notes}" if notes else detail)
    foreign = _foreign(files, needed, platform)
    at_fault = tuple(file for file in foreign if file.needed)
    status: Literal["passed", "failed"] = "passed"
    if at_fault:
        status, notes = "failed", f"what the image starts is not {platform}: {_named(at_fault)}"
    elif len(foreign) == len(files):
        status, notes = "failed", f"no file in the image is {platform}: {_named(foreign)}"
    elif foreign:
        said = f"foreign, but not needed to start: {_named(foreign)}"
        notes = f"{notes}; {said}" if notes else said
    return ContentProof(status=status, checked=len(files), foreign=foreign, detail=notes)


def _notes(needed: Sequence[Found], started: Started, platform: Platform) -> str:
    """Say what is odd about what the image starts, and no fault.

    A program built for a newer ARM than the platform's may ask the CPU before it uses what only that one has, so it
    is for a test with `emulator_cpu` to tell.
    """
    notes = list(started.problems)
    level = platform.variant[1:] if platform.architecture == "arm" else ""
    own = int(level) if level in ("5", "6", "7", "8") else 0
    newer = [file for file in needed if own and file.entry.elf is not None and file.entry.elf.level > own]
    if newer and newer[0].entry.elf is not None:
        more = f" and {len(newer) - 1} more" if len(newer) > 1 else ""
        notes.append(f"{newer[0].path}{more} was built for ARM v{newer[0].entry.elf.level}, above {platform}")
    return "; ".join(notes)


def _named(foreign: Sequence[ForeignFile]) -> str:
    """Name the first few."""
    named = ", ".join(f"{file.path} is {file.architecture}" for file in foreign[:_MOST_NAMED])
    more = len(foreign) - _MOST_NAMED
    return f"{named}, and {more} more" if more > 0 else named
