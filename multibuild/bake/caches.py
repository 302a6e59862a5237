"""The caches of a bake target. Its builds are one per platform, so each cache has a place per platform."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multibuild.bake.target import BakeTarget, attributes
from multibuild.buildx.cache_targets import as_csv, place_of, source_place, with_slug


def cache_to_keys(value: Sequence[Any], target: BakeTarget) -> Mapping[str, Any]:
    """Return `cache.to`, each with {slug} in its place.

    buildx writes the cache of all platforms at once. Builds of single platforms that wrote to one place would replace
    each other's, and the config refuses that.
    """
    records = [*_records(value, target)]
    return {"cache": {"to": records if _is_single(target) else [*map(with_slug, records)]}}


def cache_from_keys(value: Sequence[Any], target: BakeTarget) -> Mapping[str, Any]:
    """Return `cache.from`: what this target writes is read where it writes it, the rest as it is."""
    exports = target.fields.get("cache-to") or ()
    own = set() if _is_single(target) else {place_of(record) for record in _records(exports, target)}
    records = _records(value, target)
    return {
        "cache": {
            "from": [with_slug(record) if source_place(record) in own else record for record in records]
        }
    }


def _is_single(target: BakeTarget) -> bool:
    return len(target.platforms) == 1


def _records(value: Sequence[Any], target: BakeTarget) -> Iterator[str]:
    """Yield entries as CSV records, the type first, paths relative to the project."""
    for entry in value:
        fields = attributes(entry, bare="ref")
        kind = fields.pop("type", "registry")
        paths = {key: target.path(fields[key]) for key in ("src", "dest") if fields.get(key)}
        yield as_csv({"type": kind, **dict(sorted(fields.items())), **paths})
