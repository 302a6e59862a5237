"""Where buildx puts a child that is not pushed, until it is complete and gets its name."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import replace
from pathlib import Path

from multibuild.failures.classify import Failure
from multibuild.frozen import frozen
from multibuild.journal.local_children import export_folder, exported_digest, finalize
from multibuild.journal.runs import RunDirectory
from multibuild.plan.planned_platform import PlannedPlatform


@frozen
class Export:
    """One attempt's export. `folder` is None where the child is pushed: every method does nothing then."""

    folder: Path | None

    @classmethod
    def of(cls, planned: PlannedPlatform, run: RunDirectory) -> Export:
        """Make the directory of an export. Raises OSError."""
        is_local = planned.staging.kind == "layout"
        return cls(folder=export_folder(planned.slug, run) if is_local else None)

    def digest(self) -> str:
        """Return the digest of a complete export whose end buildx did not report; "" where there is none."""
        return exported_digest(self.folder) if self.folder is not None else ""

    async def finalize(self, digest: str) -> None:
        """Make it the platform's child, after reading all of it. OSError when it is not what it should be."""
        if self.folder is not None:
            await asyncio.to_thread(finalize, self.folder, digest)

    def discard(self) -> None:
        """Remove the directory; a finalized child has another name."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def with_disk_hint(self, failure: Failure) -> Failure:
        """Correct the hint of a full disk: an error that names this folder is the state directory's, not BuildKit's."""
        folder = self.folder
        if failure.kind.name != "no-space" or folder is None or str(folder.parent) not in failure.evidence:
            return failure
        hint = f"free disk space in {folder.parent}, or name another place with --state-dir; then `--resume`"
        return replace(failure, kind=replace(failure.kind, hint=hint))
