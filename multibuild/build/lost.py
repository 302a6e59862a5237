"""Takes a record out of BuildKit's cache whose snapshot is lost.

Cancelling builds that are exporting can leave such a record behind (buildkit#6808; one of ten bakes in which another
target failed meanwhile, dockerd 28.5). It stays: every later build that finds it fails in the same way, until somebody
prunes the cache. Its ID is in the message, and pruning takes an ID.
"""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING

from multibuild.build.failures import Failure
from multibuild.build.process import Limits, NotStarted, run_process

if TYPE_CHECKING:
    from multibuild.build.attempt import Workshop
    from multibuild.plan import PlannedPlatform

_RECORD = re.compile(r"snapshot ([a-z0-9]{25}) does not exist")
"""BuildKit's own IDs (identity.NewID): 25 characters of base 36. A base image's layer has none."""

LIMIT = 60.0
"""Seconds; pruning waits for builds that use the cache at that moment."""


async def forget_lost(item: PlannedPlatform, workshop: Workshop, failure: Failure) -> None:
    """Remove the record that a failed attempt stumbled over, that one only; nothing where there is none."""
    found = _RECORD.search(failure.evidence) if failure.kind.name == "lost-snapshot" else None
    if found is None:
        return
    prune = ("prune", "--builder", item.node.builder, "--force", "--filter", f"id={found[1]}")
    pruned: list[bytes] = []
    with suppress(NotStarted):
        await run_process(
            (*workshop.buildx, *prune),
            cwd=workshop.project,
            on_line=pruned.append,
            limits=Limits(timeout=LIMIT),
        )
    if any(line.startswith(found[1].encode()) for line in pruned):
        workshop.emit("record.forgotten", platform=str(item.platform), id=found[1])
