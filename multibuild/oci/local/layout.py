"""An OCI image layout (image-spec, image-layout) as a store to publish to and to merge from."""

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
from multibuild.oci.manifest import OCI_INDEX, Descriptor, Manifest, digest_of
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.store import Store, Stores

REF_NAME = "org.opencontainers.image.ref.name"
"""The tag, for skopeo, crane and oras."""

IMAGE_NAME = "io.containerd.image.name"
"""The full reference, for `docker load` and containerd (containerd core/images/archive)."""

CHUNK_BYTES = 1024 * 1024


class OciLayout:
    """A layout directory. Blobs are content-addressed; index.json is replaced last and atomically."""

    def __init__(self, path: Path, *, image: str = "", label: str = "") -> None:
        """Set the directory, the repository (`host/name`) of its tags, and `label`, its host in references."""
        self.path = path
        self._label = label
        self._image = image

    @property
    def host(self) -> str:
        """The label, else skopeo's name for the layout."""
        return self._label or f"oci:{self.path}"

    def reference(self) -> Reference:
        """Return the layout's only repository."""
        return Reference(host=self.host, repository=self._image.rpartition("/")[2] or "image")

    def manifest(self, reference: Reference) -> Manifest:
        """Read a manifest by digest or tag; without either, the only image of the layout."""
        digest, media_type = reference.digest, ""
        for entry in self._entries():
            if entry.digest == digest or (digest is None and self._matches(reference, entry.annotations)):
                digest, media_type = entry.digest, entry.media_type
        if digest is None or not self.file_of(digest).is_file():
            tags = [str(entry.annotations.get(REF_NAME, entry.digest)) for entry in self._entries()]
            raise RegistryError(
                "not-found", f"{reference} is not in the layout", hint=f"it holds {', '.join(tags)}"
            )
        content = self.file_of(digest).read_bytes()
        if Manifest.of(content, "").digest != digest:
            raise RegistryError("invalid", f"{self.file_of(digest)} is not what its name says")
        manifest = Manifest(
            media_type=media_type or Manifest.of(content, "").content_type, digest=digest, content=content
        )
        if manifest.is_ambiguous:
            raise RegistryError(
                "invalid", f"{self.file_of(digest)} is of another kind than {manifest.media_type}"
            )
        return manifest

    def _matches(self, reference: Reference, annotations: Mapping[str, str]) -> bool:
        if reference.tag is None:
            return len({entry.digest for entry in self._entries()}) == 1
        names = (annotations.get(REF_NAME, ""), annotations.get(IMAGE_NAME, ""))
        return any(name.rpartition(":")[2] == reference.tag for name in names if name)

    def head(self, reference: Reference) -> Descriptor | None:
        """Return the descriptor of a tag or digest; None when it does not exist."""
        try:
            return self.manifest(reference).descriptor
        except RegistryError as error:
            if error.kind == "not-found":
                return None
            raise

    def cached_descriptor(self, reference: Reference) -> Descriptor | None:  # noqa: ARG002 - `head` is cheap
        """Return None: nothing is cached."""
        return None

    def put_manifest(self, reference: Reference, content: bytes, media_type: str) -> str:
        """Write a manifest; with a tag it becomes an entry of index.json."""
        digest = digest_of(content)
        self._create()
        write_atomic(self.file_of(digest), content, mode=0o644)
        if reference.tag:
            entry = Descriptor(
                media_type=media_type,
                digest=digest,
                size=len(content),
                annotations={REF_NAME: reference.tag, IMAGE_NAME: f"{self._image}:{reference.tag}"},
            )
            self._save([*self._without(reference.tag), entry.to_json()])
        return digest

    def delete(self, reference: Reference) -> None:
        """Remove a tag; its blobs stay."""
        if reference.tag:
            self._save(self._without(reference.tag))

    def has_blob(self, repository: str, digest: str) -> bool:  # noqa: ARG002 - one repository
        """Whether the layout has a blob."""
        return self.file_of(digest).is_file()

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:  # noqa: ARG002 - one repository
        """Stream a blob."""
        try:
            with self.file_of(digest).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    yield chunk
        except OSError as error:
            raise RegistryError(
                "not-found", f"{self.file_of(digest)} cannot be read: {error.strerror}"
            ) from error

    def mount(self, repository: str, digest: str, source: str) -> bool:  # noqa: ARG002 - nothing to mount from
        """Return False: there is only one repository."""
        return False

    def link(self, digest: str, source: Store) -> bool:
        """Hard-link a blob's file from another layout; False where that is impossible."""
        if not isinstance(source, OciLayout) or source.file_of(digest).is_symlink():
            return False
        self._create()
        with suppress(OSError):
            file = source.file_of(digest)
            file.chmod(0o644)
            os.link(file, self.file_of(digest))
            return True
        return False

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:  # noqa: ARG002
        """Write a blob; RegistryError when the bytes do not match the digest."""
        self._create()
        hasher = hashlib.sha256()
        handle, name = tempfile.mkstemp(dir=self.path / "blobs" / "sha256", prefix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                for chunk in chunks:
                    hasher.update(chunk)
                    file.write(chunk)
            if f"sha256:{hasher.hexdigest()}" != descriptor.digest:
                raise RegistryError("invalid", f"{descriptor.digest}: the bytes do not match the digest")
            Path(name).chmod(0o644)
            Path(name).replace(self.file_of(descriptor.digest))
        finally:
            Path(name).unlink(missing_ok=True)

    def referrers(self, reference: Reference) -> tuple[Descriptor, ...] | None:  # noqa: ARG002 - no such API
        """Return None: a layout has the fallback tags only."""
        return None

    # -- files

    def file_of(self, digest: str) -> Path:
        """Return the path of a blob, existing or not; RegistryError for an invalid digest."""
        if not is_digest(digest):
            raise RegistryError("invalid", f"{self.path}: '{digest}' is not a digest")
        algorithm, _, name = digest.partition(":")
        return self.path / "blobs" / algorithm / name

    def _create(self) -> None:
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
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        write_atomic(self.path / "index.json", json.dumps(document, indent=2), mode=0o644)


class StoresWithLayouts:
    """Stores of registries and of layouts, by host."""

    def __init__(self, registries: Stores, *layouts: OciLayout) -> None:
        self._registries = registries
        self._layouts = {layout.host: layout for layout in layouts}

    def of(self, host: str) -> Store:
        """Return the layout of that host, else the registry."""
        return self._layouts.get(host) or self._registries.of(host)


def pack(layout: Path, archive: Path) -> None:
    """Archive a layout: the same layout gives the same bytes; the file is created atomically."""
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
    """Extract an archive of a layout; RegistryError when it is not one. Paths outside `folder` are refused."""
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise RegistryError("invalid", f"{archive} is no archive of an OCI layout: {error}") from error


def open_layout(path: str, scratch: Path) -> tuple[OciLayout, Reference]:
    """Open `DIR[:TAG]` or `FILE[:TAG]`; an archive is extracted in `scratch`.

    Returns the layout and the reference in it. Raises UsageError when there is no such layout.
    """
    layout_path, tag = Path(path), None
    if not layout_path.exists():
        name, _, tag = path.rpartition(":")
        layout_path = Path(name or path)
    if not layout_path.exists():
        raise UsageError(f"{path}: there is no such layout", hint="name a directory or an archive, then :TAG")
    if layout_path.is_file():
        folder = Path(tempfile.mkdtemp(dir=scratch))
        unpack(layout_path, folder)
        layout_path = folder
    if not (layout_path / "oci-layout").is_file():
        raise UsageError(f"{path} is no OCI layout: it has no oci-layout file")
    layout = OciLayout(layout_path)
    return layout, layout.reference().with_tag(tag)
