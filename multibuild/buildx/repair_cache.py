"""Takes a record out of BuildKit's cache whose snapshot is lost.

Cancelling builds that are exporting can leave such a record behind (buildkit#6808; one of ten bakes in which another
target failed meanwhile, dockerd 28.5). It stays: every later build that finds it fails in the same way, until somebody
prunes the cache. Its ID is in the message, and pruning takes an ID, as long as nothing was built on the record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from multibuild.buildx.classify import Failure
from multibuild.buildx.process import Limits, NotStarted, run_process

_RECORD = re.compile(r"snapshot ([a-z0-9]{25}) does not exist: not found")
"""BuildKit's own IDs (identity.NewID): 25 characters of base 36. A base image's layer has none."""

LIMIT = 60.0
"""Seconds; pruning waits for builds that use the cache at that moment."""


async def repair_cache(failure: Failure, builder: str, buildx: Sequence[str], folder: Path) -> str | None:
    """Remove the record that an attempt on `builder` stumbled over, and no other; gives its ID when it is gone.

    None where the failure is another, or nothing was removed.
    """
    # BuildKit's own words come last in the evidence; what a step printed stands before them.
    found = _RECORD.findall(failure.evidence) if failure.kind.name == "lost-snapshot" else []
    if not found:
        return None
    # Without --all a record is left that BuildKit takes to be shared with an image, as it does with some of these.
    prune = ("prune", "--builder", builder, "--all", "--force", "--filter", f"id={found[-1]}")
    lines: list[bytes] = []
    with suppress(NotStarted):
        await run_process(
            (*buildx, *prune),
            cwd=folder,
            on_line=lines.append,
            limits=Limits(timeout=LIMIT),
        )
    gone = any(line.startswith(found[-1].encode()) for line in lines)
    return found[-1] if gone else None
