"""Where buildx puts a child that is not pushed, until it is whole and gets its name."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

from multibuild.buildx.classify import Failure
from multibuild.frozen import frozen
from multibuild.journal.local_children import export_folder, exported_digest, finalize
from multibuild.journal.runs import RunDirectory
from multibuild.plan.plan import PlannedPlatform


@frozen
class Export:
    """One attempt's export. `folder` is None where the child is pushed: then there is nothing to do here."""

    folder: Path | None

    @classmethod
    def of(cls, planned: PlannedPlatform, run: RunDirectory) -> Export:
        """Make room for it. OSError when that cannot be."""
        staged_here = planned.staging.kind == "layout"
        return cls(folder=export_folder(planned.slug, run) if staged_here else None)

    def finished(self) -> str:
        """Give the digest of an export that ended although nobody said so; "" where there is none."""
        return exported_digest(self.folder) if self.folder is not None else ""

    async def keep(self, digest: str) -> None:
        """Take it for the child, after reading all of it. OSError when it is not what it should be."""
        if self.folder is not None:
            await asyncio.to_thread(finalize, self.folder, digest)

    def discard(self) -> None:
        """Give its room back: what was kept has another name by now."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def with_disk_hint(self, failure: Failure) -> Failure:
        """Correct the hint of a full disk: an error that names this folder is the state directory's, not BuildKit's."""
        folder = self.folder
        if failure.kind.name != "no-space" or folder is None or str(folder.parent) not in failure.evidence:
            return failure
        hint = f"free disk space in {folder.parent}, or name another place with --state-dir; then `--resume`"
        return replace(failure, kind=replace(failure.kind, hint=hint))
