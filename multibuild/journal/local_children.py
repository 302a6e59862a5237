"""Children that no registry holds: OCI layouts in a run's directory, each complete or absent.

A run's directory can be moved to another machine, so journals name them relative to it. A name that begins with a
dot is an export that has not ended: it is never read.
"""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from multibuild.errors import PublishFailed
from multibuild.files import sync_folder
from multibuild.journal.runs import RunDirectory
from multibuild.oci.copy.copier import Copier, Repository
from multibuild.oci.errors import RegistryError
from multibuild.oci.local.check import check_whole
from multibuild.oci.local.layout import OciLayout
from multibuild.oci.reference import Reference
from multibuild.oci.store import Store, Stores
from multibuild.plan.spec import LAYOUTS


def is_local_child(repository: str) -> bool:
    """Whether a child's repository is a layout in a run's directory."""
    return repository.startswith(LAYOUTS)


def child_reference(repository: str, digest: str) -> Reference:
    """Return the reference of a child in a registry, or in a layout as `ChildStores` finds it."""
    if is_local_child(repository):
        return Reference(host=repository, repository="child", digest=digest)
    return Reference.parse(f"{repository}@{digest}")


def folder_of(repository: str, run: RunDirectory) -> Path:
    """Return the directory of a layout; RegistryError for a name that is not a child's."""
    slug = repository.removeprefix(LAYOUTS)
    if not is_local_child(repository) or "/" in slug or slug.startswith(".") or not slug:
        raise RegistryError("invalid", f"{repository} is no child of a run")
    return run.children / slug


class ChildStores:
    """Registries, and the children in one run's directory."""

    def __init__(self, registries: Stores, run: RunDirectory) -> None:
        self._registries = registries
        self._run = run

    def of(self, host: str, /) -> Store:
        """Return the child's layout where `host` names one, else the registry."""
        if is_local_child(host):
            return OciLayout(folder_of(host, self._run), image="child", label=host)
        return self._registries.of(host)


def builder_reference(reference: Reference, run: RunDirectory) -> str:
    """Return a child's name in a build: an image reference, or `oci-layout://` with its digest."""
    if is_local_child(reference.host):
        return f"oci-layout://{folder_of(reference.host, run).resolve()}@{reference.digest}"
    return str(reference)


def may_exist(reference: Reference, run: RunDirectory) -> bool:
    """Whether a child exists, as far as the run's directory shows; registries are not asked."""
    if not is_local_child(reference.host):
        return True
    folder = folder_of(reference.host, run)
    return folder.is_dir() and not folder.is_symlink()


def export_folder(slug: str, run: RunDirectory) -> Path:
    """Create an empty directory for the export of a child, in place of one left by an earlier attempt."""
    folder = run.children / f".{slug}"
    shutil.rmtree(folder, ignore_errors=True)
    run.children.mkdir(parents=True, exist_ok=True)
    run.children.chmod(0o700)
    folder.mkdir(mode=0o700)
    return folder


def exported_digest(folder: Path) -> str:
    """Return the digest of the export in `folder`; "" when it did not end: buildx writes index.json last."""
    try:
        return OciLayout(folder).manifest(OciLayout(folder).reference()).digest
    except (PublishFailed, OSError):
        return ""


def finalize(folder: Path, digest: str) -> None:
    """Verify a whole export, then rename it to its final name. OSError when it is damaged."""
    try:
        check_whole(OciLayout(folder), digest)
    except PublishFailed as error:
        raise OSError(errno.EIO, f"the exported child is not whole: {error.message}", str(folder)) from error
    _give_final_name(folder)


def _give_final_name(folder: Path) -> None:
    final = folder.with_name(folder.name.removeprefix("."))
    shutil.rmtree(folder / "ingest", ignore_errors=True)
    shutil.rmtree(final, ignore_errors=True)
    folder.rename(final)
    sync_folder(final.parent)


def adopt(repository: str, digest: str, holders: Iterable[RunDirectory], run: RunDirectory) -> bool:
    """Copy a child into `run` from the first of `holders` that has it complete, with hard links where possible.

    Returns whether one has it; OSError when it cannot be written.
    """
    holder = holder_of(repository, digest, holders)
    if holder is not None and holder.path != run.path:
        slug = folder_of(repository, run).name
        _copy(folder_of(repository, holder), digest, export_folder(slug, run))
    return holder is not None


def holder_of(repository: str, digest: str, runs: Iterable[RunDirectory]) -> RunDirectory | None:
    """Return the first of `runs` that has a child complete; all of it is read."""
    for run in runs:
        folder = folder_of(repository, run)
        if folder.is_dir() and not folder.is_symlink():
            with suppress(PublishFailed, OSError):
                check_whole(OciLayout(folder), digest)
                # One image of the child's index is not the child: it has no attestations.
                if exported_digest(folder) == digest:
                    return run
    return None


def _copy(source: Path, digest: str, target: Path) -> None:
    old, new = (OciLayout(path, image="child", label=str(path)) for path in (source, target))
    copier = Copier(target=Repository(reference=new.reference(), store=new))
    copier.copy_manifest(digest, Repository(reference=old.reference(), store=old), tag="latest")
    _give_final_name(target)  # every file was read while it was copied


def remove_stale(runs: Iterable[RunDirectory], current: RunDirectory) -> None:
    """Remove, from other runs, exports that never ended and children that `current` has, too."""
    current_names = {path.name for path in _entries(current)}
    for run in runs:
        for path in _entries(run) if run.path != current.path else ():
            if path.name.startswith(".") or path.name in current_names:
                shutil.rmtree(path, ignore_errors=True)


def _entries(run: RunDirectory) -> tuple[Path, ...]:
    return tuple(run.children.iterdir()) if run.has_children else ()
