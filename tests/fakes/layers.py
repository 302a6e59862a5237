"""Layers in memory, as a registry serves them."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field

from multibuild.prove.content.layer_index import LayerIndex, index_layer
from multibuild.prove.content.layer_stream import layer_members

GZIP = "application/vnd.oci.image.layer.v1.tar+gzip"
PLAIN = "application/vnd.oci.image.layer.v1.tar"
ZSTD = "application/vnd.oci.image.layer.v1.tar+zstd"


@dataclass(frozen=True, kw_only=True)
class Layer:
    digest: str
    media_type: str
    size: int


def tar(files, *, form=tarfile.PAX_FORMAT):
    """Return a tar. Values: bytes (a program, 0755), str "-> x" (symlink), "= x" (hard link), None (directory)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for path, content in files.items():
            info = tarfile.TarInfo(path)
            info.mode = 0o755
            if content is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(content, str):
                info.type = tarfile.SYMTYPE if content.startswith("-> ") else tarfile.LNKTYPE
                info.linkname = content.split(" ", 1)[1]
            else:
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content) if isinstance(content, bytes) else None)
    return out.getvalue()


def index_files(files) -> LayerIndex:
    """Return the index of a layer with these files."""
    return index_layer(layer_members(iter([gzip.compress(tar(files))]), GZIP))


@dataclass
class Blobs:
    """A store of layers that records which were opened."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)

    def add(self, files, *, media_type: str = GZIP) -> Layer:
        return self.add_blob(gzip.compress(tar(files), mtime=0), media_type)

    def add_blob(self, blob: bytes, media_type: str = GZIP) -> Layer:
        digest = "sha256:" + hashlib.sha256(blob).hexdigest()
        self.blobs[digest] = blob
        return Layer(digest=digest, media_type=media_type, size=len(blob))

    def open(self, digest: str) -> Iterator[bytes]:
        self.opened.append(digest)
        blob = self.blobs[digest]
        for start in range(0, len(blob), 1000):
            yield blob[start : start + 1000]
