"""A layer's blob as the members of its tar: decompressed as a stream, never stored, within limits."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import field
from types import SimpleNamespace
from typing import IO, cast

from multibuild.elf.arm_level import TAIL_BYTES, is_arm
from multibuild.elf.dynamic import dynamic_spans
from multibuild.elf.header import HEAD_BYTES
from multibuild.frozen import frozen
from multibuild.prove.content.tar import DataSelection, Member, TarLimits, read_members
from multibuild.prove.content.tar_header import UnreadableLayer

CHUNK_BYTES = 256 << 10
"""Bytes decompressed at a time."""

MAX_ZSTD_WINDOW_BYTES = 32 << 20
"""Memory of a zstd window: more than any level of BuildKit's compressor uses."""

FREE_S = 300.0
"""Seconds that reading any layer may take: a registry may fetch it from elsewhere first."""

MIN_BYTES_PER_S = 10_000
"""Rate below which a registry is broken or hostile; a modem is faster. Time for decompression counts too."""

_INPUT_BYTES = 64 << 10
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
# RFC 8878 3.1.2: skippable frames, magic 0x184D2A50 to 5F; zstd:chunked layers may begin with one.
_ZSTD_SKIPPABLE = tuple(bytes((low, 0x2A, 0x4D, 0x18)) for low in range(0x50, 0x60))
_GZIP_FRAMES = 16 + zlib.MAX_WBITS

# OCI image-spec layer.md and media-types.md; Docker image manifest v2 schema 2. "nondistributable" and "foreign"
# layers differ in name only.
_LAYER_TYPES = (
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
)


@frozen
class LayerLimits:
    """When decompression stops. `ratio` counts only beyond `ratio_free_bytes`: some files of zeros are legitimate."""

    unpacked_bytes: int = 64 << 30
    ratio: int = 200
    ratio_free_bytes: int = 2 << 30
    tar: TarLimits = field(default_factory=TarLimits)


def bounded_blob(
    chunks: Iterable[bytes], size: int, *, clock: Callable[[], float] = time.monotonic
) -> Iterator[bytes]:
    """Return a blob's chunks. Raises UnreadableLayer when they are more bytes than `size`, or take too long."""
    read, deadline = 0, clock() + FREE_S + max(size, 0) / MIN_BYTES_PER_S
    for chunk in chunks:
        read += len(chunk)
        if read > size:
            raise UnreadableLayer(f"a layer has more than the {size} bytes that its image states")
        if clock() > deadline:
            raise UnreadableLayer(
                f"a layer of {size} bytes is sent at less than {MIN_BYTES_PER_S} bytes a second"
            )
        yield chunk


def layer_members(
    blob: Iterator[bytes], media_type: str, *, limits: LayerLimits | None = None
) -> Iterator[Member]:
    """Return a layer's members in order, each with the first HEAD_BYTES of its data and the spans ELF parsing needs.

    `blob` is the layer as the registry serves it; all of it is read. Raises UnreadableLayer for a media type of no
    layer or an encrypted one, for damaged data, and for exceeded limits.
    """
    limits = limits or LayerLimits()
    selection = DataSelection(head_bytes=HEAD_BYTES, spans=_spans)
    return read_members(_decompress(blob, media_type, limits=limits), selection=selection, limits=limits.tar)


def _spans(head: bytes, size: int) -> tuple[tuple[int, int], ...]:
    """Return the further spans of a file to keep: its dynamic section, and an ARM program's end."""
    spans = dynamic_spans(head, size)
    if not is_arm(head):
        return spans
    behind = sum(spans[-1]) if spans else len(head)
    end = max(behind, size - TAIL_BYTES)
    return (*spans, (end, size - end)) if end < size else spans


def _decompress(blob: Iterator[bytes], media_type: str, *, limits: LayerLimits) -> Iterator[bytes]:
    """Return the layer's tar in chunks of at most CHUNK_BYTES.

    The first bytes determine the compression, not the media type, as in containerd (archive/compression
    DecompressStream): a mislabelled layer is read here as it would run there.
    """
    if not media_type.startswith(_LAYER_TYPES) or media_type.endswith("+encrypted"):
        raise UnreadableLayer(f"a layer of type '{media_type}' cannot be looked into")
    packed = _CountedBlob(blob)
    first = packed.peek(4)
    if first.startswith(_GZIP):
        chunks = _gunzip(packed)
    elif first.startswith((_ZSTD, *_ZSTD_SKIPPABLE)):
        chunks = _unzstd(packed)
    else:
        chunks = iter(packed)
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limits.unpacked_bytes:
            raise UnreadableLayer(f"a layer unpacks to more than {limits.unpacked_bytes} bytes")
        if total > limits.ratio_free_bytes and total > packed.bytes * limits.ratio:
            raise UnreadableLayer(f"a layer unpacks to more than {limits.ratio} times its size")
        yield chunk
    if not total and packed.bytes:
        raise UnreadableLayer("a layer unpacks to nothing")


class _CountedBlob:
    """The blob in pieces of at most _INPUT_BYTES, counted; the first bytes can be peeked at."""

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
        for at in range(0, len(chunk), _INPUT_BYTES):
            piece = chunk[at : at + _INPUT_BYTES]
            self.bytes += len(piece)
            yield piece


def _gunzip(packed: _CountedBlob) -> Iterator[bytes]:
    """Decompress gzip members one after another: eStargz and parallel compressors write thousands of them."""
    engine = zlib.decompressobj(_GZIP_FRAMES)
    started = padded = False
    for piece in packed:
        data = piece
        while data:
            if engine.eof:
                engine, started = zlib.decompressobj(_GZIP_FRAMES), False
            if not started and (padded or data.startswith(b"\0")):
                # Some tools pad the end. What is behind it, gzip does not read and Go refuses.
                padded = True
                if data.strip(b"\0"):
                    raise UnreadableLayer("a layer is ambiguous: its gzip data go on behind padding")
                break
            try:
                chunk = engine.decompress(data, CHUNK_BYTES)
            except zlib.error as error:
                raise UnreadableLayer(f"a layer's gzip data are damaged: {error}") from None
            started = True
            data = engine.unused_data if engine.eof else engine.unconsumed_tail
            if chunk:
                yield chunk
    yield from _rest(engine, started=started)


def _rest(engine: zlib._Decompress, *, started: bool) -> Iterator[bytes]:
    """Return what zlib still buffers at the end of the input: it stops at CHUNK_BYTES even with all input consumed."""
    while started and not engine.eof:
        chunk = engine.decompress(b"", CHUNK_BYTES)
        if not chunk:
            break
        yield chunk
    if started and not engine.eof:
        raise UnreadableLayer("a layer's gzip data end too early")


def _unzstd(packed: _CountedBlob) -> Iterator[bytes]:
    """Decompress zstd frames in bounded steps: one 64 KiB piece may decompress to gigabytes."""
    import zstandard

    engine = zstandard.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
    pieces = iter(packed)
    # No piece is larger than `read_size`, so each read may return one.
    source = cast("IO[bytes]", SimpleNamespace(read=lambda _size: next(pieces, b"")))
    reader = engine.stream_reader(source, read_size=_INPUT_BYTES, read_across_frames=True)
    while True:
        try:
            chunk = reader.read(CHUNK_BYTES)
        except zstandard.ZstdError as error:
            raise UnreadableLayer(f"a layer's zstd data are damaged: {error}") from None
        if not chunk:
            return
        yield chunk
