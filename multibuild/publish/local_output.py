"""Publish to a `publish.to` that is no registry: an OCI layout, an archive, the local engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import Literal

from multibuild.errors import PublishFailed
from multibuild.frozen import frozen
from multibuild.journal.events import Emit, Event
from multibuild.oci.copy.companions import OPTIONAL, CompanionPolicy
from multibuild.oci.local.archive import pack
from multibuild.oci.local.layout import OciLayout, StoresWithLayouts
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.store import Stores
from multibuild.publish.move_tags import Published, publish


@frozen
class LocalOutput:
    """An output on this machine. `path` is absolute, and empty for the engine; `load` loads an archive into it.

    `annotations` are those of the descriptors that list the index.
    Archives are packed in a directory below `scratch`, on the file system of children that can be hard-linked.
    """

    kind: Literal["oci", "oci-archive", "docker"]
    path: Path
    image: str
    tags: tuple[str, ...]
    load: Callable[[Path], None]
    scratch: Path
    annotations: Mapping[str, str] = field(default_factory=dict)

    def layout(self, path: Path) -> OciLayout:
        """Return the layout in a directory, labelled in references as the user named the output."""
        labels = {"docker": "docker", "oci": "", "oci-archive": f"oci-archive:{self.path}"}
        return OciLayout(path, image=self.image, label=labels[self.kind], annotations=self.annotations)


def publish_locally(
    index: Manifest,
    output: LocalOutput,
    *,
    sources: Sequence[Reference],
    registries: Stores,
    emit: Emit,
    companions: CompanionPolicy = OPTIONAL,
) -> Published:
    """Write one layout with the complete index, and pack or load it. Raises what `publish` raises."""

    def write(path: Path, emit: Emit) -> Published:
        layout = output.layout(path)
        destination = Destination(repository=layout.reference(), tags=output.tags)
        stores = StoresWithLayouts(registries, layout)
        return publish(
            index, [destination], sources=sources, registries=stores, emit=emit, companions=companions
        )

    try:
        return write(output.path, emit) if output.kind == "oci" else _pack(output, write, emit)
    except OSError as error:
        path = error.filename or output.path
        raise PublishFailed(
            f"publish.to {output.kind}:{output.path}: {path}: {error.strerror or error}",
            hint="it must be a place that can be written, with room for every image",
        ) from error


def _pack(output: LocalOutput, write: Callable[[Path, Emit], Published], emit: Emit) -> Published:
    """Archive a layout, and load it into the engine; only then its tags count as moved, and events are emitted."""
    events: list[Event] = []
    output.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".oci-", dir=output.scratch) as scratch:
        layout, archive = Path(scratch) / "layout", output.path
        published = write(layout, events.append)
        if output.kind == "docker":
            archive = Path(scratch) / "image.tar"
        pack(layout, archive)
        if output.kind == "docker":
            output.load(archive)
    for event in events:
        emit(event)
    return published
