"""Values as JSON types."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from multibuild.json_types import as_json
from multibuild.platforms import Platform


@dataclass(frozen=True, kw_only=True, slots=True)
class Inner:
    platform: Platform
    where: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    inner: tuple[Inner, ...]
    names: frozenset[str]
    at: datetime
    raw: bytes


def test_values_become_json():
    value = Outer(
        inner=(Inner(platform=Platform.parse("armhf"), where=Path("/x")),),
        names=frozenset({"b", "a"}),
        at=datetime(2026, 11, 24, tzinfo=UTC),
        raw=b"\xffok",
    )
    document = as_json({Platform.parse("amd64"): value, "none": None, "yes": True, "n": 1.5})
    assert json.loads(json.dumps(document)) == {
        "linux/amd64": {
            "inner": [{"platform": "linux/arm/v7", "where": "/x"}],
            "names": ["a", "b"],
            "at": "2026-11-24T00:00:00+00:00",
            "raw": "\ufffdok",
        },
        "none": None,
        "yes": True,
        "n": 1.5,
    }
