"""Children that no registry holds: OCI layouts in a run's directory, each there whole or not at all.

A run's directory can be moved to another machine, so journals name them relative to it. A name that begins with a
dot is an export that has not ended: nobody reads it.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from multibuild.errors import PublishFailed
from multibuild.files import sync_folder
from multibuild.journal.runs import RunDirectory
from multibuild.oci.copy import Copier, Repository, blobs_of
from multibuild.oci.errors import RegistryError
from multibuild.oci.layout import OciLayout
from multibuild.oci.manifest import INDEX_TYPES
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store, Stores
from multibuild.plan.spec import LAYOUTS

MOST_BYTES = 4 * 1024 * 1024
"""Of a manifest: registries take no more either (distribution-spec, "Pushing Manifests")."""

DEEPEST = 4
"""Indexes in indexes; BuildKit makes one."""


def is_staged_here(repository: str) -> bool:
    """Whether a child's repository is a layout in a run's directory."""
    return repository.startswith(LAYOUTS)


def child_reference(repository: str, digest: str) -> Reference:
    """Name a child by what journals say: a repository's, or a layout's as `WithStaged` finds it."""
    if is_staged_here(repository):
        return Reference(host=repository, repository="child", digest=digest)
    return Reference.parse(f"{repository}@{digest}")


def folder_of(repository: str, run: RunDirectory) -> Path:
    """Give the directory of a layout; RegistryError for a name that is none of ours."""
    slug = repository.removeprefix(LAYOUTS)
    if not is_staged_here(repository) or "/" in slug or slug.startswith(".") or not slug:
        raise RegistryError("invalid", f"{repository} is no child of a run")
    return run.children / slug


class WithStaged:
    """Stores, and the children staged in one run's directory."""

    def __init__(self, registries: Stores, run: RunDirectory) -> None:
        """Take the registries and the run."""
        self._registries = registries
        self._run = run

    def of(self, host: str, /) -> Store:
        """Give the child's layout where `host` names one, else the registry."""
        if is_staged_here(host):
            return OciLayout(folder_of(host, self._run), image="child", label=host)
        return self._registries.of(host)


def on_the_builder(reference: Reference, run: RunDirectory) -> str:
    """Name a child as a build can use it: an image reference, or `oci-layout://` with its digest."""
    if is_staged_here(reference.host):
        return f"oci-layout://{folder_of(reference.host, run).resolve()}@{reference.digest}"
    return str(reference)


def may_be_there(reference: Reference, run: RunDirectory) -> bool:
    """Say no where a child would be in the run's directory and is not; what is in registries nobody is asked."""
    return not is_staged_here(reference.host) or folder_of(reference.host, run).is_dir()


# -- coming to be


def fresh_folder(slug: str, run: RunDirectory) -> Path:
    """Give an empty directory for the export of a child that is not there yet; what was in it is gone."""
    folder = run.children / f".{slug}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, mode=0o700)
    run.children.chmod(0o700)
    return folder


def exported_digest(folder: Path) -> str:
    """Give what an export into `folder` made; "" when it did not end: buildx writes index.json last."""
    try:
        return OciLayout(folder).manifest(OciLayout(folder).reference()).digest
    except (PublishFailed, OSError):
        return ""


def keep(folder: Path, digest: str) -> None:
    """Give an export its name, after reading all of it. OSError when it is not what it should be."""
    try:
        check_whole(OciLayout(folder), digest)
    except PublishFailed as error:
        raise OSError(errno.EIO, f"the exported child is not whole: {error.message}", str(folder)) from error
    final = folder.with_name(folder.name.removeprefix("."))
    shutil.rmtree(folder / "ingest", ignore_errors=True)
    shutil.rmtree(final, ignore_errors=True)
    folder.rename(final)
    sync_folder(final.parent)


def check_whole(layout: OciLayout, digest: str, depth: int = 0) -> None:
    """Read everything a digest leads to; PublishFailed for what is missing or not what its digest says."""
    if depth > DEEPEST:
        raise RegistryError("invalid", f"{layout.path}: indexes within indexes, more than {DEEPEST} deep")
    _require_plain(layout.file_of(digest), most=MOST_BYTES)
    manifest = layout.manifest(layout.reference().with_digest(digest))
    if manifest.media_type in INDEX_TYPES:
        for entry in manifest.entries:
            check_whole(layout, entry.digest, depth + 1)
    for blob in blobs_of(manifest):
        _require_plain(layout.file_of(blob.digest), most=blob.size)
        algorithm, _, name = blob.digest.partition(":")
        seen = hashlib.new(algorithm)
        for chunk in layout.blob("", blob.digest):
            seen.update(chunk)
        if seen.hexdigest() != name:
            raise RegistryError("invalid", f"{layout.path}: {blob.digest} is not what its name says")


def _require_plain(path: Path, *, most: int) -> None:
    """Raise RegistryError for what has no end (another machine may have sent a pipe), and for what is too much."""
    if not path.is_file() or path.stat().st_size > most:
        raise RegistryError("invalid", f"{path} is not there, no plain file, or larger than it should be")


# -- going from run to run


def adopt(repository: str, digest: str, holders: Iterable[RunDirectory], run: RunDirectory) -> bool:
    """Make a child of an earlier run this run's too, from the first of `holders` that has it whole.

    Its blobs are linked where the file system can. False when none has it; OSError when it cannot be written.
    """
    holder = holder_of(repository, digest, holders)
    if holder is not None and holder.path != run.path:
        slug = folder_of(repository, run).name
        _copy(folder_of(repository, holder), digest, fresh_folder(slug, run))
    return holder is not None


def holder_of(repository: str, digest: str, runs: Iterable[RunDirectory]) -> RunDirectory | None:
    """Find the first of `runs` that has a child whole; all of it is read."""
    for run in runs:
        folder = folder_of(repository, run)
        if folder.is_dir():
            with suppress(PublishFailed, OSError):
                _require_plain(folder / "index.json", most=MOST_BYTES)
                check_whole(OciLayout(folder), digest)
                # An image in it, as an index lists it, is no child: it would come without its attestations.
                if exported_digest(folder) == digest:
                    return run
    return None


def _copy(source: Path, digest: str, target: Path) -> None:
    old, new = (OciLayout(path, image="child", label=str(path)) for path in (source, target))
    copier = Copier(target=Repository(reference=new.reference(), store=new))
    copier.copy_manifest(digest, Repository(reference=old.reference(), store=old), tag="latest")
    keep(target, digest)


def sweep(runs: Iterable[RunDirectory], current: RunDirectory) -> None:
    """Remove what no run needs any more: exports that never ended, and children that `current` has, too."""
    here = {path.name for path in _entries(current)}
    for run in runs:
        for path in _entries(run) if run.path != current.path else ():
            if path.name.startswith(".") or path.name in here:
                shutil.rmtree(path, ignore_errors=True)


def _entries(run: RunDirectory) -> tuple[Path, ...]:
    return tuple(run.children.iterdir()) if run.children.is_dir() else ()
