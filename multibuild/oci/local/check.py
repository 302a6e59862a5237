"""Check that a layout holds what its manifests say, before any of it is used."""

from __future__ import annotations

from dataclasses import field

from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError
from multibuild.oci.limits import MAX_INDEX_DEPTH
from multibuild.oci.local.layout import OciLayout
from multibuild.oci.manifest import Descriptor, Manifest, require_agreement


def check_whole(layout: OciLayout, digest: str) -> None:
    """Verify a manifest and everything below it; RegistryError for a missing file or another digest."""
    check = _Check(layout=layout, must_be_whole=True)
    check.manifest(layout.manifest(layout.reference().with_digest(digest)))


def is_whole(layout: OciLayout, digest: str) -> bool:
    """Whether a layout has a manifest and everything below it, undamaged."""
    try:
        check_whole(layout, digest)
    except RegistryError:
        return False
    return True


def check_documents(layout: OciLayout, digest: str) -> None:
    """Verify what is there below a manifest, of layers only the size: they are verified when they are read.

    An index may list images that were not copied (`skopeo copy --multi-arch=index-only`).
    """
    check = _Check(layout=layout, must_be_whole=False)
    check.manifest(layout.manifest(layout.reference().with_digest(digest)))


@frozen
class _Check:
    """One walk through a layout; `children` are the manifests that were checked, by digest."""

    layout: OciLayout
    must_be_whole: bool
    children: dict[str, Manifest] = field(default_factory=dict)

    def manifest(self, manifest: Manifest, depth: int = 0) -> None:
        """Check a manifest's entries and blobs."""
        if depth > MAX_INDEX_DEPTH:
            raise RegistryError(
                "invalid",
                f"{self.layout.path}: indexes within indexes, more than {MAX_INDEX_DEPTH} deep",
                hint="name the images one by one",
            )
        for entry in manifest.entries if manifest.is_index else ():
            self._entry(entry, depth)
        config = manifest.config
        for blob in manifest.blobs:
            self._blob(blob, is_read=self.must_be_whole or blob == config)

    def _entry(self, entry: Descriptor, depth: int) -> None:
        child = self.children.get(entry.digest)
        if child is None:
            if not self.must_be_whole and self.layout.size_of(entry.digest) is None:
                return
            child = self.layout.manifest(self.layout.reference().with_digest(entry.digest))
            self.children[entry.digest] = child
            self.manifest(child, depth + 1)
        require_agreement(entry, child)

    def _blob(self, blob: Descriptor, *, is_read: bool) -> None:
        size = self.layout.size_of(blob.digest)
        if size is None and (not self.must_be_whole or blob.extras.get("urls")):
            return
        if size is not None and size != blob.size:
            raise RegistryError(
                "invalid",
                f"{self.layout.file_of(blob.digest)} has {size} bytes: its manifest says {blob.size}",
                hint="the file was changed or cut short: copy the layout again",
            )
        if is_read:
            for _ in self.layout.blob("", blob.digest):
                pass
