"""A layer's blob as the members of its tar: unpacked on the way, never stored, and bounded whatever it claims."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import field
from typing import IO, cast

from multibuild.elf.arm import TAIL, is_arm
from multibuild.elf.dynamic import dynamic_spans
from multibuild.elf.header import HEAD_SIZE
from multibuild.frozen import frozen
from multibuild.prove.content.tar import Member, Sample, TarLimits, UnreadableLayer, read_members

__all__ = ["LayerLimits", "UnreadableLayer", "layer_members", "unpacked"]

CHUNK = 256 << 10
"""Bytes unpacked at a time."""

WINDOW = 32 << 20
"""Bytes of the largest zstd window: more than any level of BuildKit's compressor takes, and it is held in memory."""

_INPUT = 64 << 10
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# RFC 8878 3.1.2: skippable frames, magic 0x184D2A50 to 5F; eStargz-like zstd layers may begin with one.
_ZSTD_SKIPPABLE = tuple(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))
_GZIP_FRAMES = 16 + zlib.MAX_WBITS

# OCI image-spec layer.md and media-types.md; Docker image manifest v2 schema 2. Also their "nondistributable" and
# "foreign" forms, which differ in name only.
_LAYER_TYPES = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


@frozen
class LayerLimits:
    """When unpacking stops. `ratio` is judged only beyond `free` bytes: files of zeros are legitimate, to a degree."""

    unpacked: int = 64 << 30
    ratio: int = 200
    free: int = 2 << 30
    tar: TarLimits = field(default_factory=TarLimits)


def layer_members(
    blob: Iterator[bytes], media_type: str, *, limits: LayerLimits | None = None
) -> Iterator[Member]:
    """Give a layer's members in order, each with the first HEAD_SIZE bytes of its data, and what else of an
    ELF file is looked at.

    `blob` is the layer as the registry serves it; all of it is read. Raises UnreadableLayer for a media type that is
    no layer (or an encrypted one), damage, and limits passed.
    """
    limits = limits or LayerLimits()
    sample = Sample(head=HEAD_SIZE, more=_spans)
    return read_members(unpacked(blob, media_type, limits=limits), sample=sample, limits=limits.tar)


def _spans(head: bytes, size: int) -> tuple[tuple[int, int], ...]:
    """Say what else of a file is looked at: its dynamic section, and of an ARM program its end."""
    spans = dynamic_spans(head, size)
    if not is_arm(head):
        return spans
    behind = sum(spans[-1]) if spans else len(head)
    end = max(behind, size - TAIL)
    return (*spans, (end, size - end)) if end < size else spans


def unpacked(blob: Iterator[bytes], media_type: str, *, limits: LayerLimits) -> Iterator[bytes]:
    """Give the layer's tar in chunks of at most CHUNK bytes.

    The first bytes tell the compression, not the media type: that is what containerd does (archive/compression
    DecompressStream), so a mislabelled layer reads here as it runs there.
    """
    if not media_type.startswith(_LAYER_TYPES) or media_type.endswith("+encrypted"):
        raise UnreadableLayer(f"a layer of type '{media_type}' cannot be looked into")
    counted = _Counted(blob)
    first = counted.peek(4)
    if first.startswith(_GZIP):
        chunks = _gunzip(counted)
    elif first.startswith((_ZSTD, *_ZSTD_SKIPPABLE)):
        chunks = _unzstd(counted)
    else:
        chunks = iter(counted)
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limits.unpacked:
            raise UnreadableLayer(f"a layer unpacks to more than {limits.unpacked} bytes")
        if total > limits.free and total > counted.bytes * limits.ratio:
            raise UnreadableLayer(f"a layer unpacks to more than {limits.ratio} times its size")
        yield chunk
    if not total and counted.bytes:
        raise UnreadableLayer("a layer unpacks to nothing")


class _Counted:
    """The blob in pieces of at most _INPUT bytes, counted, with a look at the first ones."""

    def __init__(self, blob: Iterator[bytes]) -> None:
        self.bytes = 0
        self._blob = blob
        self._first = b""

    def peek(self, size: int) -> bytes:
        while len(self._first) < size:
            chunk = next(self._blob, None)
            if chunk is None:
                break
            self._first += chunk
        return self._first[:size]

    def __iter__(self) -> Iterator[bytes]:
        first, self._first = self._first, b""
        yield from self._pieces(first)
        for chunk in self._blob:
            yield from self._pieces(chunk)

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        for at in range(0, len(chunk), _INPUT):
            piece = chunk[at : at + _INPUT]
            self.bytes += len(piece)
            yield piece


def _gunzip(packed: _Counted) -> Iterator[bytes]:
    """Unpack gzip members one after another: eStargz and parallel compressors write thousands of them."""
    engine = zlib.decompressobj(_GZIP_FRAMES)
    started = False
    for piece in packed:
        data = piece
        while data:
            if engine.eof:
                engine, started = zlib.decompressobj(_GZIP_FRAMES), False
            if not started:
                data = data.lstrip(b"\0")  # some tools pad between members and at the end
                if not data:
                    break
            try:
                chunk = engine.decompress(data, CHUNK)
            except zlib.error as error:
                raise UnreadableLayer(f"a layer's gzip data are damaged: {error}") from None
            started = True
            data = engine.unused_data if engine.eof else engine.unconsumed_tail
            if chunk:
                yield chunk
    yield from _rest(engine, started=started)


def _rest(engine: zlib._Decompress, *, started: bool) -> Iterator[bytes]:
    """Give what zlib still holds when the input is over; it may have stopped at CHUNK with its input all taken."""
    while started and not engine.eof:
        chunk = engine.decompress(b"", CHUNK)
        if not chunk:
            break
        yield chunk
    if started and not engine.eof:
        raise UnreadableLayer("a layer's gzip data end too early")


def _unzstd(packed: _Counted) -> Iterator[bytes]:
    """Unpack zstd frames, read in bounded steps: one 64 KiB piece may hold gigabytes. Windows up to WINDOW."""
    import zstandard

    engine = zstandard.ZstdDecompressor(max_window_size=WINDOW)
    source = cast("IO[bytes]", _Pull(iter(packed)))
    reader = engine.stream_reader(source, read_size=_INPUT, read_across_frames=True)
    while True:
        try:
            chunk = reader.read(CHUNK)
        except zstandard.ZstdError as error:
            raise UnreadableLayer(f"a layer's zstd data are damaged: {error}") from None
        if not chunk:
            return
        yield chunk


class _Pull:
    """Pieces behind the one method zstandard calls."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._left = b""

    def read(self, size: int) -> bytes:
        if not self._left:
            self._left = next(self._pieces, b"")
        data, self._left = self._left[:size], self._left[size:]
        return data
