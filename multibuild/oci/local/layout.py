"""An OCI image layout (image-spec, image-layout) as a store to publish to and to merge from."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from multibuild.errors import UsageError
from multibuild.files import write_atomic
from multibuild.frozen import frozen
from multibuild.oci.document import MAX_DOCUMENT_BYTES, parse_object
from multibuild.oci.errors import RegistryError
from multibuild.oci.local.archive import read_archive
from multibuild.oci.local.files import Directory, LayoutFiles
from multibuild.oci.manifest import (
    OCI_INDEX,
    Descriptor,
    Manifest,
    digest_of,
    matches_digest,
    require_agreement,
)
from multibuild.oci.manifests.read_manifest import read_manifest
from multibuild.oci.reference import Reference, is_digest
from multibuild.oci.store import Store, Stores, of_size, verified
from multibuild.terminal import one_line, shorten

REF_NAME = "org.opencontainers.image.ref.name"
"""The tag, for skopeo, crane and oras."""

IMAGE_NAME = "io.containerd.image.name"
"""The full reference, for `docker load` and containerd (containerd core/images/archive)."""

VERSION = "1.0.0"
"""Of a layout (image-spec, image-layout); containerd refuses any other."""

MAX_NAMES_SHOWN = 10
"""In a message."""

MAX_NAME_CHARACTERS = 128
"""Of a tag (distribution-spec, "Pulling manifests")."""


@frozen
class _ParsedIndex:
    """An index.json: its bytes and entries, as it is read for every manifest."""

    content: bytes
    entries: tuple[Descriptor, ...]


class OciLayout:
    """A layout in a directory, or one in an archive, which can only be read.

    Blobs are content-addressed: what is read is compared with its digest. No link in it is followed. index.json is
    replaced last and atomically.
    """

    def __init__(
        self,
        path: Path,
        *,
        image: str = "",
        label: str = "",
        files: LayoutFiles | None = None,
        annotations: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Set the directory, the repository (`host/name`) of its tags, and `label`, its host in references.

        `files` are those of an archive. Each tag that is written gets `annotations` beside those with its name.
        """
        self.path = path
        self._files = files or Directory(path=path)
        self._label = label
        self._image = image
        self._annotations = annotations
        self._parsed_index: _ParsedIndex | None = None

    @property
    def host(self) -> str:
        """The label, else skopeo's name for the layout."""
        return self._label or f"oci:{self.path}"

    @property
    def impatient(self) -> OciLayout:
        """The layout itself: files are there or not."""
        return self

    def reference(self) -> Reference:
        """Return the layout's only repository."""
        return Reference(host=self.host, repository=self._image.rpartition("/")[2] or "image")

    def manifest(self, reference: Reference) -> Manifest:
        """Read a manifest by digest or tag; without either, the only image of the layout."""
        entries = [entry for entry in self._entries() if self._matches(reference, entry)]
        digests = {entry.digest for entry in entries} | ({reference.digest} if reference.digest else set())
        if len(digests) > 1 and reference.tag:
            raise RegistryError(
                "invalid",
                f"{self.host} has several images with the tag {reference.tag}",
                hint=f"they are {_listed(sorted(digests))}",
            )
        if len(digests) != 1 or (content := self.document(self._name_of(digest := digests.pop()))) is None:
            raise self._missing(reference)
        if not matches_digest(content, digest):
            raise RegistryError(
                "invalid",
                f"{self.file_of(digest)} is not what its name says",
                hint=f"its content has another digest than {digest}",
            )
        declared = entries[0].media_type if entries else ""
        manifest = read_manifest(content, declared, digest=digest, name=f"{self.path}: {digest}")
        for entry in entries:
            require_agreement(entry, manifest)
        return manifest

    def _matches(self, reference: Reference, entry: Descriptor) -> bool:
        if reference.digest or not reference.tag:
            return entry.digest == (reference.digest or entry.digest)
        names = (entry.annotations.get(REF_NAME, ""), entry.annotations.get(IMAGE_NAME, ""))
        return any(name.rpartition(":")[2] == reference.tag for name in names if name)

    def _missing(self, reference: Reference) -> RegistryError:
        tags = [entry.annotations.get(REF_NAME) or entry.digest for entry in self._entries()]
        return RegistryError(
            "not-found",
            f"{reference} is not in the layout",
            hint=f"it holds {_listed(tags) or 'nothing'}",
        )

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
        """Write a manifest; with a tag it becomes an entry of index.json. Return "": a layout lists no referrers."""
        digest = reference.digest or digest_of(content)
        self._create(digest)
        write_atomic(self.file_of(digest), content, mode=0o644)
        if reference.tag:
            names = {REF_NAME: reference.tag, IMAGE_NAME: f"{self._image}:{reference.tag}"}
            entry = Descriptor(
                media_type=media_type,
                digest=digest,
                size=len(content),
                annotations={**self._annotations, **names},
            )
            self._save([*self._without(reference.tag), entry.to_json()])
        return ""

    def delete(self, reference: Reference) -> None:
        """Remove a tag; its blobs stay."""
        if reference.tag:
            self._save(self._without(reference.tag))

    def has_blob(self, repository: str, digest: str) -> bool:
        """Whether the layout has a blob; all of it is read: a file with its name may be anything."""
        try:
            for _ in self.blob(repository, digest):
                pass
        except RegistryError:
            return False
        return True

    def size_of(self, digest: str) -> int | None:
        """Return the size of a blob's file, None when there is none; RegistryError for no regular file."""
        try:
            with self._files.open(self._name_of(digest)) as file:
                return file.size
        except FileNotFoundError:
            return None

    def blob(self, repository: str, digest: str) -> Iterator[bytes]:  # noqa: ARG002 - one repository
        """Stream a blob; RegistryError before its last bytes when all do not match the digest."""
        try:
            with self._files.open(self._name_of(digest)) as file:
                yield from verified(file.chunks(), digest, f"{self.file_of(digest)}")
        except OSError as error:
            raise RegistryError(
                "not-found",
                f"{self.file_of(digest)} cannot be read: {error.strerror or 'it is not there'}",
                hint="is the layout complete?",
            ) from error

    def mount(self, repository: str, digest: str, source: str) -> bool:  # noqa: ARG002 - nothing to mount from
        """Return False: there is only one repository."""
        return False

    def link(self, digest: str, source: Store) -> bool:
        """Hard-link a blob's file from another layout, and read it; False where that is impossible."""
        if not isinstance(source, OciLayout):
            return False
        self._create(digest)
        file = self.file_of(digest)
        try:
            os.link(source.file_of(digest), file, follow_symlinks=False)
        except OSError:
            return False
        if not self.has_blob("", digest):
            file.unlink()
            return False
        with suppress(OSError):
            file.chmod(0o644)
        return True

    def upload(self, repository: str, descriptor: Descriptor, chunks: Iterator[bytes]) -> None:  # noqa: ARG002
        """Write a blob; RegistryError when the bytes do not match the digest."""
        file = self.file_of(descriptor.digest)
        self._create(descriptor.digest)
        handle, name = tempfile.mkstemp(dir=file.parent, prefix=".part")
        try:
            with os.fdopen(handle, "wb") as part:
                whole = of_size(chunks, descriptor)
                for chunk in verified(whole, descriptor.digest, f"{descriptor.digest}"):
                    part.write(chunk)
            Path(name).chmod(0o644)
            Path(name).replace(file)
        finally:
            Path(name).unlink(missing_ok=True)

    def referrers(self, reference: Reference) -> tuple[Descriptor, ...] | None:  # noqa: ARG002 - no such API
        """Return None: a layout has the fallback tags only."""
        return None

    # -- files

    def file_of(self, digest: str) -> Path:
        """Return the path of a blob, existing or not; RegistryError for an invalid digest."""
        return self.path / self._name_of(digest)

    def _name_of(self, digest: str) -> str:
        if not is_digest(digest):
            raise RegistryError(
                "invalid",
                f"{self.path}: '{one_line(digest)[:80]}' is not a digest",
                hint="a digest is sha256: and 64 hex digits",
            )
        return f"blobs/{digest.replace(':', '/')}"

    def document(self, name: str) -> bytes | None:
        """Return the bytes of one of its files that hold documents; None when it is missing."""
        try:
            with self._files.open(name) as file:
                return file.content(MAX_DOCUMENT_BYTES)
        except FileNotFoundError:
            return None

    def _create(self, digest: str) -> None:
        """Create the folders of a blob and the layout's own files; RegistryError where a link is in their place."""
        folder = self.file_of(digest).parent
        for path in (folder.parent, folder):
            if path.is_symlink():
                raise RegistryError(
                    "invalid", f"{path} is a symbolic link", hint="publish to another directory"
                )
        folder.mkdir(parents=True, exist_ok=True)
        marker = self.path / "oci-layout"
        if not marker.exists():
            write_atomic(marker, f'{{"imageLayoutVersion": "{VERSION}"}}', mode=0o644)
            self._save([])

    def _entries(self) -> tuple[Descriptor, ...]:
        content = self.document("index.json")
        if content is None:
            return ()
        parsed = self._parsed_index
        if parsed is None or parsed.content != content:
            try:
                index = Manifest.of(content, OCI_INDEX)
                parsed = self._parsed_index = _ParsedIndex(content=content, entries=index.entries)
            except RegistryError as error:
                message = f"{self.path}/index.json: {error.message}"
                raise RegistryError("invalid", message, hint=error.hint) from error
        return parsed.entries

    def _without(self, tag: str) -> list[dict[str, Any]]:
        return [entry.to_json() for entry in self._entries() if entry.annotations.get(REF_NAME) != tag]

    def _save(self, entries: list[dict[str, Any]]) -> None:
        document = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
        write_atomic(self.path / "index.json", json.dumps(document, indent=2), mode=0o644)


def _listed(names: Sequence[str]) -> str:
    """Return untrusted names for a message: the first of them, on one line."""
    shown = [shorten(one_line(name), MAX_NAME_CHARACTERS) for name in names[:MAX_NAMES_SHOWN]]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return ", ".join(shown) + more


class StoresWithLayouts:
    """Stores of registries and of layouts, by host."""

    def __init__(self, registries: Stores, *layouts: OciLayout) -> None:
        self._registries = registries
        self._layouts = {layout.host: layout for layout in layouts}

    def of(self, host: str) -> Store:
        """Return the layout of that host, else the registry."""
        return self._layouts.get(host) or self._registries.of(host)


def open_layout(path: str) -> tuple[OciLayout, Reference]:
    """Open `DIR[:TAG]` or `FILE[:TAG]`; an archive is read where it is.

    Returns the layout and the reference in it. Raises UsageError when there is no such layout, RegistryError for one
    that is damaged.
    """
    if not path:
        raise UsageError("oci: names no path", hint=_NAME_ONE)
    layout_path, tag = Path(path), None
    mode = _mode_of(layout_path)
    if not mode:
        name, _, tag = path.rpartition(":")
        layout_path = Path(name or path)
        mode = _mode_of(layout_path)
    if not mode:
        raise UsageError(f"{path}: there is no such layout", hint=_NAME_ONE)
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
        raise UsageError(f"{path}: is no directory and no regular file", hint=_NAME_ONE)
    files = None if stat.S_ISDIR(mode) else read_archive(layout_path)
    layout = OciLayout(layout_path, files=files)
    _require_version(layout)
    return layout, layout.reference().with_tag(tag)


def _require_version(layout: OciLayout) -> None:
    """Raise UsageError where there is no layout, RegistryError for one of another version."""
    marker = f"{layout.path}/oci-layout"
    content = layout.document("oci-layout")
    if content is None:
        raise UsageError(
            f"{layout.path} is no OCI layout: it has no oci-layout file",
            hint="name a directory that `publish.to: oci:DIR`, skopeo or buildx wrote",
        )
    try:
        version = parse_object(content).get("imageLayoutVersion")
    except ValueError as error:
        message = f"{marker}: {error}"
        raise RegistryError("invalid", message, hint=f"its imageLayoutVersion must be {VERSION}") from None
    if version != VERSION:
        shown = f"its version is {one_line(repr(version))[:80]}" if version else "it has no version"
        raise RegistryError("invalid", f"{marker}: {shown}", hint=f"it must be {VERSION}")


_NAME_ONE = "name a directory or an archive, then :TAG"


def _mode_of(path: Path) -> int:
    """Return the mode of what is at a path, 0 for nothing; UsageError where that cannot be known."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise UsageError(f"{str(path)[:200]}: {error.strerror}", hint=_NAME_ONE) from error
