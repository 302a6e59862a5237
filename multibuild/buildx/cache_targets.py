"""Where `cache.to` writes: one place for each platform, as every build replaces the cache that it finds there."""

from __future__ import annotations

import csv
import io
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
    place = _shared_place(entry)
    if place is None:
        return None
    if not place:
        return f"put {SLUG} into it, which is the platform"
    return f"write {place}={_with_slug(place, _place_value(entry, place))} in it: {SLUG} is the platform"


def with_slug(entry: str) -> str:
    """Return a cache target, or where it is read again, with the slug of the platform in its place.

    Unchanged where it has one or is in the image, and for a type that is not in the table.
    """
    place = _shared_place(entry)
    if not place:
        return entry
    fields = _fields(entry)
    if place not in fields and "src" in fields:
        place = "src"
    return as_csv({**fields, place: _with_slug(place, _place_value(entry, place))})


def source_place(entry: str) -> tuple[str, ...]:
    """Return the place that a cache is read from, as `place_of` names the one it is written to."""
    fields = _fields(entry)
    return place_of(as_csv({"dest" if key == "src" else key: value for key, value in fields.items()}))


def as_csv(fields: Mapping[str, str]) -> str:
    """Return attributes as the CSV record that buildx parses."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(f"{key}={value}" for key, value in fields.items())
    return line.getvalue()


def _shared_place(entry: str) -> str | None:
    """Return the attribute that all platforms share; empty for an unknown type, None where none is shared."""
    fields = _fields(entry)
    kind = _kind(fields)
    places = _PLACES.get(kind, tuple(fields))
    if kind == "inline" or any(SLUG in fields.get(place, "") for place in places):
        return None
    return places[0] if kind in _PLACES else ""


def _kind(fields: Mapping[str, str]) -> str:
    return fields.get("type", "registry" if "ref" in fields else "")


def _place_value(entry: str, place: str) -> str:
    return _fields(entry).get(place) or _DEFAULTS.get(place, "")


def place_of(entry: str) -> tuple[str, ...]:
    """Return what two cache targets have in common that overwrite each other; () for one in the image itself."""
    fields = _fields(entry)
    kind = _kind(fields)
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
