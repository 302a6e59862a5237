"""Where `cache.to` writes: one place for each platform, as every build replaces the cache that it finds there."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence

SLUG = "{slug}"

_PLACES: Mapping[str, tuple[str, ...]] = {
    "registry": ("ref",),
    "local": ("dest", "tag"),
    "gha": ("scope",),
    "s3": ("name", "prefix", "manifests_prefix", "bucket"),
    "azblob": ("name", "prefix", "manifests_prefix", "container"),
}
"""Attributes that say where a cache is, by type (BuildKit's cache/remotecache); the first is the one to change."""

_DEFAULTS = {"scope": "buildkit", "name": "buildkit"}
"""BuildKit's values of those that may be missing."""


def missing_slug(entry: str) -> str | None:
    """Return how to write a cache target so that it differs by platform; None where it does, or is in the image."""
    fields = _fields(entry)
    kind = fields.get("type", "registry" if "ref" in fields else "")
    places = _PLACES.get(kind, tuple(fields))
    if kind == "inline" or any(SLUG in fields.get(place, "") for place in places):
        return None
    if kind not in _PLACES:
        return f"put {SLUG} into it, which is the platform"
    place = places[0]
    value = fields.get(place) or _DEFAULTS.get(place, "")
    return f"write {place}={_with_slug(place, value)} in it: {SLUG} is the platform"


def place_of(entry: str) -> tuple[str, ...]:
    """Return what two cache targets have in common that overwrite each other; () for one in the image itself."""
    fields = _fields(entry)
    kind = fields.get("type", "registry" if "ref" in fields else "")
    if kind == "inline":
        return ()
    ignored = {
        "mode",
        "compression",
        "compression-level",
        "force-compression",
        "ignore-error",
        "oci-mediatypes",
    }
    names = _PLACES.get(kind) or tuple(sorted(fields.keys() - ignored))
    return (kind, *(fields.get(name, _DEFAULTS.get(name, "")) for name in names))


def _with_slug(place: str, value: str) -> str:
    if not value:
        return f"…{SLUG}"
    has_tag = place == "ref" and ":" in value.rpartition("/")[2]
    return f"{value}:{SLUG}" if place == "ref" and not has_tag else f"{value}-{SLUG}"


def _fields(entry: str) -> dict[str, str]:
    """Parse a CSV record of attributes; one without any is a registry's reference (buildx, util/buildflags)."""
    parts = _csv(entry)
    if not any("=" in part for part in parts):
        return {"type": "registry", "ref": entry}
    pairs = (part.partition("=") for part in parts)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _csv(entry: str) -> Sequence[str]:
    try:
        return next(csv.reader([entry]), [])
    except csv.Error:  # a newline in it, which buildx refuses
        return [entry]
