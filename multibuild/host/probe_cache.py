"""Whether what the last probe saw still holds, so that it need not be run again.

What runs on a local builder is decided by the kernel's binfmt handlers, the engine and the builder. As long as all of
these are what they were, the same programs run: a mark of them is kept beside the facts. `doctor` probes always.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from multibuild.engine.docker import BuilderInfo, EngineInfo
from multibuild.errors import UsageError
from multibuild.host.probe import Probed
from multibuild.platforms import Platform
from multibuild.qemu import binfmt

LONGEST = 24 * 3600.0
"""Seconds after which a probe is run again whatever the marks say."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def mark_of(info: EngineInfo, found: BuilderInfo) -> str:
    """Name everything that decides what runs on a local builder."""
    boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
    nodes = [(node.endpoint, node.status, node.version) for node in found.nodes]
    handlers = [(asdict(handler), _file(handler.interpreter)) for handler in binfmt.read_handlers().values()]
    engine = (info.name, info.version, str(info.native))
    whole = [boot, engine, found.name, found.driver, nodes, binfmt.is_enabled(), handlers]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def remembered(
    document: Mapping[str, Any] | None, builder: str, mark: str, platforms: Sequence[Platform]
) -> tuple[Probed, ...] | None:
    """Give the answers of an earlier probe from facts.json; None when anything is different, or did not run then."""
    try:
        seen = (document or {})["probed"][builder]
        runs = {Platform.parse(text) for text in seen["runs"]}
        fresh = seen["mark"] == mark and 0 <= time.time() - seen["time"] < LONGEST
    except (KeyError, TypeError, UsageError):
        return None
    if not fresh or not runs.issuperset(platforms):
        return None
    return tuple(Probed(platform=platform, runs=True) for platform in platforms)


def to_remember(mark: str, answers: Sequence[Probed], before: Mapping[str, Any] | None) -> dict[str, Any]:
    """Give what facts.json keeps of a probe; one that was itself remembered keeps its time."""
    runs = [str(answer.platform) for answer in answers if answer.runs]
    if before is not None and before.get("mark") == mark and set(before.get("runs", ())) >= set(runs):
        return dict(before)
    return {"mark": mark, "time": time.time(), "runs": runs}


def _file(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)
