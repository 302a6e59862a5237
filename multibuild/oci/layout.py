"""One OCI image layout (image-spec, image-layout) as a place to publish to and to merge from."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from multibuild.errors import UsageError
from multibuild.files import write_atomic
from multibuild.oci.errors import RegistryError
from multibuild.oci.manifest import OCI_INDEX, Descriptor, Manifest
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.store import Registries, Store

REF_NAME = "org.opencontainers.image.ref.name"
"""The tag, for skopeo, crane and oras."""

IMAGE_NAME = "io.containerd.image.name"
"""The whole name, for `docker load` and containerd (containerd core/images/archive)."""

CHUNK = 1024 * 1024


class OciLayout:
    """A layout directory. Blobs are content-addressed; index.json is replaced in one step, last."""

    def __init__(self, path: Path, *, image: str = "", label: str = "") -> None:
        """Name the directory, the repository (`host/name`) its tags belong to, and what people call the place."""
        self.path = path
        self._label = label
        self._image = image

    @property
    def host(self) -> str:
        """Name it as people do, or as skopeo does."""
        return self._label or f"oci:{self.path}"

    def name(self) -> Reference:
        """Give the one repository in it."""
        return Reference(host=self.host, repository=self._image.rpartition("/")[2] or "image")

    def manifest(self, reference: Reference) -> Manifest:
        """Read a manifest by digest or tag; without either the only image there is."""
        digest, media_type = reference.digest, ""
        for entry in self._entries():
            if entry.digest == digest or (
                digest is None and self._is_asked_for(reference, entry.annotations)
            ):
                digest, media_type = entry.digest, entry.media_type
        if digest is None or not self.file_of(digest).is_file():
            tags = [str(entry.annotations.get(REF_NAME, entry.digest)) for entry in self._entries()]
            raise RegistryError(
                "not-found", f"{reference} is not in the layout", hint=f"it holds {', '.join(tags)}"
            )
        content = self.file_of(digest).read_bytes()
        if Manifest.of(content, "").digest != digest:
            raise RegistryError("invalid", f"{self.file_of(digest)} is not what its name says")
        found = Manifest(
            media_type=media_type or Manifest.of(content, "").own_type, digest=digest, content=content
        )
        if found.is_ambiguous:
            raise RegistryError(
                "invalid", f"{self.file_of(digest)} is of another kind than {found.media_type}"
            )
        return found

    def _is_asked_for(self, reference: Reference, annotations: Mapping[str, str]) -> bool:
        if reference.tag is None:
            return len({entry.digest for entry in self._entries()}) == 1
        names = (annotations.get(REF_NAME, ""), annotations.get(IMAGE_NAME, ""))
        return any(name.rpartition(":")[2] == reference.tag for name in names if name)

    def head(self, reference: Reference) -> Descriptor | None:
        """Say what a tag or digest holds; None when it is not there."""
        try:
            found = self.manifest(reference)
        except RegistryError as error:
            if error.kind == "not-found":
                return None
            raise
        return Descriptor(media_type=found.media_type, digest=found.digest, size=len(found.content))

    def seen(self, reference: Reference) -> Descriptor | None:  # noqa: ARG002 - a look costs nothing
        """None: look."""
        return None

    def put_manifest(self, reference: Reference, content: bytes, media_type: str) -> str:
        """Write a manifest; with a tag it becomes an entry of index.json."""
        made = Manifest.of(content, media_type)
        self._begin()
        write_atomic(self.file_of(made.digest), content, mode=0o644)
        if reference.tag:
            entry = Descriptor(
                media_type=media_type,
                digest=made.digest,
                size=len(content),
                annotations={REF_NAME: reference.tag, IMAGE_NAME: f"{self._image}:{reference.tag}"},
            )
            self._save([*self._without(reference.tag), entry.to_json()])
        return made.digest

    def delete(self, reference: Reference) -> None:
        """Remove a tag; its blobs stay."""
        if reference.tag:
            self._save(self._without(reference.tag))

    def has_blob(self, repository: str, digest: str) -> bool:  # noqa: ARG002 - one repository
        """Say whether a blob is there."""
        return self.file_of(digest).is_file()

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:  # noqa: ARG002 - one repository
        """Stream a blob."""
        try:
            with self.file_of(digest).open("rb") as file:
                while chunk := file.read(CHUNK):
                    yield chunk
        except OSError as error:
            raise RegistryError(
                "not-found", f"{self.file_of(digest)} cannot be read: {error.strerror}"
            ) from error

    def mount(self, repository: str, digest: str, source: str) -> bool:  # noqa: ARG002 - nothing to mount from
        """Never: there is one repository."""
        return False

    def link(self, digest: str, source: Store) -> bool:
        """Share a blob's file with another layout; False where that cannot be."""
        if not isinstance(source, OciLayout) or source.file_of(digest).is_symlink():
            return False
        self._begin()
        with suppress(OSError):
            file = source.file_of(digest)
            file.chmod(0o644)
            os.link(file, self.file_of(digest))
            return True
        return False

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:  # noqa: ARG002
        """Write a blob; what is not its digest does not get its name."""
        self._begin()
        seen = hashlib.sha256()
        handle, name = tempfile.mkstemp(dir=self.path / "blobs" / "sha256", prefix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    seen.update(chunk)
                    file.write(chunk)
            if f"sha256:{seen.hexdigest()}" != descriptor.digest:
                raise RegistryError("invalid", f"{descriptor.digest}: the bytes do not match the digest")
            Path(name).chmod(0o644)
            Path(name).replace(self.file_of(descriptor.digest))
        finally:
            Path(name).unlink(missing_ok=True)

    def referrers(self, reference: Reference) -> tuple[Descriptor, ...] | None:  # noqa: ARG002 - fallback tags do
        """None: a layout has the fallback tags only."""
        return None

    # -- files

    def file_of(self, digest: str) -> Path:
        """Where a blob is, or would be; RegistryError for what is no digest."""
        if not is_digest(digest):
            raise RegistryError("invalid", f"{self.path}: '{digest}' is not a digest")
        algorithm, _, name = digest.partition(":")
        return self.path / "blobs" / algorithm / name

    def _begin(self) -> None:
        (self.path / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        marker = self.path / "oci-layout"
        if not marker.exists():
            write_atomic(marker, '{"imageLayoutVersion": "1.0.0"}', mode=0o644)
            self._save([])

    def _entries(self) -> tuple[Descriptor, ...]:
        try:
            content = (self.path / "index.json").read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise RegistryError("invalid", f"{self.path / 'index.json'} cannot be read: {error}") from error
        return Manifest.of(content, OCI_INDEX).entries

    def _without(self, tag: str) -> list[dict[str, Any]]:
        return [entry.to_json() for entry in self._entries() if entry.annotations.get(REF_NAME) != tag]

    def _save(self, entries: list[dict[str, Any]]) -> None:
        document = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        }
        write_atomic(self.path / "index.json", json.dumps(document, indent=2), mode=0o644)


class WithLayouts:
    """Registries, and layouts among them."""

    def __init__(self, registries: Registries, *layouts: OciLayout) -> None:
        """Take the registries and the layouts beside them."""
        self._registries = registries
        self._layouts = {layout.host: layout for layout in layouts}

    def of(self, host: str) -> Store:
        """Give the layout of that name, else the registry."""
        return self._layouts.get(host) or self._registries.of(host)


def pack(layout: Path, archive: Path) -> None:
    """Make an archive of a layout: the same layout gives the same bytes; the file appears whole or not at all."""
    handle, name = tempfile.mkstemp(dir=archive.parent, prefix=f".{archive.name}.")
    try:
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w") as tar:
            for path in sorted(layout.rglob("*")):
                info = tarfile.TarInfo(str(path.relative_to(layout)))
                info.mode = 0o755 if path.is_dir() else 0o644
                if path.is_dir():
                    info.type = tarfile.DIRTYPE
                    tar.addfile(info)
                    continue
                info.size = path.stat().st_size
                with path.open("rb") as content:
                    tar.addfile(info, content)
        Path(name).chmod(0o644)
        Path(name).replace(archive)
    finally:
        Path(name).unlink(missing_ok=True)


def unpack(archive: Path, folder: Path) -> None:
    """Take an archive of a layout apart; RegistryError when it is none. Names cannot lead out of `folder`."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise RegistryError("invalid", f"{archive} is no archive of an OCI layout: {error}") from error


def open_layout(path: str, scratch: Path) -> tuple[OciLayout, Reference]:
    """Open `DIR[:TAG]` or `FILE[:TAG]`; an archive is taken apart in `scratch`.

    Gives the layout and what of it is meant. Raises UsageError when there is neither.
    """
    place, tag = Path(path), None
    if not place.exists():
        name, _, tag = path.rpartition(":")
        place = Path(name or path)
    if not place.exists():
        raise UsageError(f"{path}: there is no such layout", hint="name a directory or an archive, then :TAG")
    if place.is_file():
        folder = Path(tempfile.mkdtemp(dir=scratch))
        unpack(place, folder)
        place = folder
    if not (place / "oci-layout").is_file():
        raise UsageError(f"{path} is no OCI layout: it has no oci-layout file")
    layout = OciLayout(place)
    return layout, layout.name().with_tag(tag)
