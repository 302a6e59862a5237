"""What flags change of a config, before it is validated."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Overrides:
    """Flags of `build`, `all` and `plan`. `sets` are `key.path=value`, the value read as YAML."""

    platforms: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    builder: str | None = None
    jobs: str | None = None
    fail_fast: bool | None = None
