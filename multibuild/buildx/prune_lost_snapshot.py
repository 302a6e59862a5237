"""Removal of a record whose snapshot is lost from BuildKit's cache.

Cancelling builds that are exporting can leave such a record behind (buildkit#6808; one of ten bakes in which another
target failed meanwhile, dockerd 28.5). Every later build that uses it fails in the same way until the cache is pruned.
Its ID is in the message, and `prune` accepts an ID, as long as nothing was built on the record.

BuildKit 0.33 makes this needless for a record whose layer was pulled or pushed: it extracts the blob again
(buildkit#7035). One that was never exported has no blob; its loss still fails every build, with other words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from multibuild.buildx.process import ProcessLimits, StartFailed, run_process
from multibuild.failures.classify import Failure

_RECORD = re.compile(r"snapshot ([a-z0-9]{25})(?: does not exist: not found|: no blob available)")
"""BuildKit's own IDs (identity.NewID): 25 characters of base 36. A base image's layer has none."""

PRUNE_TIMEOUT_S = 60.0
"""Pruning waits for builds that use the cache."""


async def prune_lost_snapshot(
    failure: Failure, builder: str, buildx: Sequence[str], folder: Path
) -> str | None:
    """Remove the record because of which an attempt on `builder` failed, and no other; return its ID.

    None for any other failure, or when nothing was removed.
    """
    # BuildKit's own message is last in the evidence, behind the step's output.
    records = _RECORD.findall(failure.evidence) if failure.kind.name == "lost-snapshot" else []
    if not records:
        return None
    # Without --all, records stay that BuildKit considers shared with an image, as it does with some of these.
    prune = ("prune", "--builder", builder, "--all", "--force", "--filter", f"id={records[-1]}")
    lines: list[bytes] = []
    with suppress(StartFailed):
        await run_process(
            (*buildx, *prune),
            cwd=folder,
            on_line=lines.append,
            limits=ProcessLimits(timeout=PRUNE_TIMEOUT_S),
        )
    removed = any(line.startswith(records[-1].encode()) for line in lines)
    return records[-1] if removed else None
