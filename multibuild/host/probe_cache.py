"""The cache of probe results in facts.json.

What runs on a local builder is decided by the kernel's binfmt handlers, the engine and the builder. As long as none of
these changes, the same programs run: a digest of them is kept beside the facts. `doctor` always probes.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from multibuild.engine.engine import BuilderInfo, EngineInfo
from multibuild.errors import UsageError
from multibuild.host.probe import ProbeResult
from multibuild.journal.shapes import PROBE
from multibuild.json_types import has_shape
from multibuild.platforms import Platform
from multibuild.qemu import binfmt

MAX_AGE_S = 24 * 3600.0
"""After which a probe is run again whatever the digests say."""

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def environment_digest(info: EngineInfo, builder: BuilderInfo) -> str:
    """Return the digest of everything that decides what runs on a local builder."""
    boot = _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""
    nodes = [(node.endpoint, node.status, node.version) for node in builder.nodes]
    handlers = [
        (asdict(handler), _size_and_mtime(handler.interpreter)) for handler in binfmt.read_handlers().values()
    ]
    engine = (info.name, info.version, str(info.native))
    whole = [boot, engine, builder.name, builder.driver, nodes, binfmt.is_enabled(), handlers]
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def cached_results(
    facts: Mapping[str, Any] | None, builder: str, digest: str, platforms: Sequence[Platform]
) -> tuple[ProbeResult, ...] | None:
    """Return the results of an earlier probe from facts.json; None when anything changed, or did not run then."""
    probed = (facts or {}).get("probed")
    entry = probed.get(builder) if isinstance(probed, dict) else None
    if entry is None or not has_shape(entry, PROBE):
        return None
    try:
        runs = {Platform.parse(text) for text in entry["runs"]}
    except UsageError:
        return None
    fresh = entry["mark"] == digest and 0 <= time.time() - entry["time"] < MAX_AGE_S
    if not fresh or not runs.issuperset(platforms):
        return None
    return tuple(ProbeResult(platform=platform, runs=True) for platform in platforms)


def cache_entry(
    digest: str, results: Sequence[ProbeResult], previous: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what facts.json keeps of a probe; results that came from the cache keep their time."""
    runs = [str(result.platform) for result in results if result.runs]
    is_same = has_shape(previous, PROBE) and (previous or {})["mark"] == digest
    if previous is not None and is_same and set(previous["runs"]) >= set(runs):
        return dict(previous)
    return {"mark": digest, "time": time.time(), "runs": runs}


def _size_and_mtime(path: str) -> tuple[int, int]:
    try:
        status = Path(path).stat()
    except OSError:
        return (0, 0)
    return (status.st_size, status.st_mtime_ns)
