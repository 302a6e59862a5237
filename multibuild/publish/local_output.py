"""Publishing to where `publish.to` says, when that is no registry: an OCI layout, an archive, the local engine."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from multibuild.errors import PublishFailed
from multibuild.frozen import frozen
from multibuild.journal.events import Emit, Event
from multibuild.oci.layout import OciLayout, StoresWithLayouts, pack
from multibuild.oci.manifest import Manifest
from multibuild.oci.reference import Destination, Reference
from multibuild.oci.store import Stores
from multibuild.publish.move_tags import Published, publish


@frozen
class LocalOutlet:
    """A place on this machine. `path` is absolute, and empty for the engine; `load` loads an archive into it.

    What is packed is put together in a directory of its own below `scratch`, beside children that can be linked.
    """

    kind: Literal["oci", "oci-archive", "docker"]
    path: Path
    image: str
    tags: tuple[str, ...]
    load: Callable[[Path], None]
    scratch: Path

    def layout(self, path: Path) -> OciLayout:
        """Give the layout in a directory, under the name that people know the place by."""
        labels = {"docker": "docker", "oci": "", "oci-archive": f"oci-archive:{self.path}"}
        return OciLayout(path, image=self.image, label=labels[self.kind])


def publish_locally(
    index: Manifest,
    outlet: LocalOutlet,
    *,
    sources: Sequence[Reference],
    registries: Stores,
    emit: Emit,
) -> Published:
    """Write one layout with the complete index, and pack or load it. What `publish` raises."""
    try:
        return _published(index, outlet, (sources, registries, emit))
    except OSError as error:
        where = error.filename or outlet.path
        raise PublishFailed(
            f"publish.to {outlet.kind}:{outlet.path}: {where}: {error.strerror or error}",
            hint="it must be a place that can be written, with room for every image",
        ) from error


def _published(
    index: Manifest, outlet: LocalOutlet, rest: tuple[Sequence[Reference], Stores, Emit]
) -> Published:
    sources, registries, emit = rest
    if outlet.kind == "oci":
        return _write(index, outlet, outlet.path, (sources, registries, emit))
    outlet.scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=".oci-", dir=outlet.scratch) as scratch:
        layout, archive = Path(scratch) / "layout", outlet.path
        later = _Later()
        published = _write(index, outlet, layout, (sources, registries, later))
        if outlet.kind == "docker":
            archive = Path(scratch) / "image.tar"
        pack(layout, archive)
        if outlet.kind == "docker":
            outlet.load(archive)
    later.tell(emit)
    return published


class _Later:
    """Keeps events back: a tag has moved when the archive is there or the engine has it, not before."""

    def __init__(self) -> None:
        self._kept: list[Event] = []

    def __call__(self, event: Event, /) -> None:
        self._kept.append(event)

    def tell(self, emit: Emit) -> None:
        for event in self._kept:
            emit(event)


def _write(
    index: Manifest,
    outlet: LocalOutlet,
    path: Path,
    rest: tuple[Sequence[Reference], Stores, Emit],
) -> Published:
    sources, registries, emit = rest
    layout = outlet.layout(path)
    destination = Destination(repository=layout.reference(), tags=outlet.tags)
    return publish(
        index, [destination], sources=sources, registries=StoresWithLayouts(registries, layout), emit=emit
    )
