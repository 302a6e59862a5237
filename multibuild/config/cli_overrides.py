"""Apply the flags of the command line to the document."""

from __future__ import annotations

import re
from typing import Any

from multibuild.config.images.names import nearest
from multibuild.config.yaml_document import MAX_DEPTH, MAX_QUOTED, Document, KeyPath, dotted, parse_value
from multibuild.errors import ConfigError, UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform
from multibuild.terminal import shorten

MAX_LISTED = 300
"""Characters of a list in a hint: a few lines."""

_FREE_FORM_MAPPINGS = ("args", "labels", "annotations", "contexts")
"""Mappings with keys of the user's: the rest of a path is one key, dots included (`labels.org.example.a`)."""


@frozen
class Overrides:
    """Flags that override the config. `platforms` restricts the plan; the others replace values of the file.

    `sets` are `key.path=value`, the value read as YAML.
    """

    platforms: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    sets: tuple[str, ...] = ()
    builder: str | None = None
    jobs: str | None = None
    fail_fast: bool | None = None


def apply_overrides(document: Document, overrides: Overrides) -> None:
    """Write the flags into `document`, with the flag as their location.

    Named flags win over `--set`. Raises ConfigError for a `--set` without `=` or with a path that does not exist.
    """
    for number, text in enumerate(overrides.sets, start=1):
        path, separator, value = text.partition("=")
        origin = f"--set {shorten(path, MAX_QUOTED)}"
        if not separator or not path:
            # What was typed is not shown: it may be a secret without its key.
            which = f" number {number}" if len(overrides.sets) > 1 else ""
            raise ConfigError(
                f"--set{which}: is not key.path=value", hint="like --set publish.on_missing=carry"
            )
        key = _resolve(document.values, path)
        parsed, locations, texts = parse_value(value, key, origin)
        _set(document, key, parsed, origin)
        document.locations.update(locations)
        document.texts.update(texts)
    if overrides.tags:
        _set(document, ("tags",), list(overrides.tags), "--tag")
    if overrides.builder is not None:
        _set(document, ("builder",), overrides.builder, "--builder")
    if overrides.jobs is not None:
        _set(document, ("jobs",), overrides.jobs, "--jobs")
    if overrides.fail_fast is not None:
        _set(document, ("fail_fast",), overrides.fail_fast, "--fail-fast")


def _resolve(values: dict[str, Any], path: str) -> KeyPath:
    """Split a dotted path; a platform is selected by name (`platforms.linux/arm64.timeout`) or by index."""
    parts = path.split(".")
    if len(parts) > MAX_DEPTH:
        raise ConfigError(
            f"--set {shorten(path, MAX_QUOTED)}: is nested too deeply", hint="a config has a few levels"
        )
    if parts[0] != "images" or len(parts) == 1:
        return _resolve_keys(values, parts, path)
    name, rest = _image(values, parts[1:], path)
    entry = values["images"][name] if isinstance(values.get("images"), dict) else None
    own = entry if isinstance(entry, dict) else {}
    return ("images", name, *_resolve_keys(own, rest, path, f"images.{shorten(name, MAX_QUOTED)}."))


def _image(values: dict[str, Any], parts: list[str], path: str) -> tuple[str, list[str]]:
    """Return the image or pattern that a path begins with, whose name may have dots, and the rest of the path.

    Beside `bake` it need not be in the file: bake names images too.
    """
    images = values.get("images")
    names = list(images) if isinstance(images, dict) else []
    for length in range(len(parts), 0, -1):
        if ".".join(parts[:length]) in names:
            return ".".join(parts[:length]), parts[length:]
    if "bake" in values:
        return parts[0], parts[1:]
    raise ConfigError(
        f"--set {shorten(path, MAX_QUOTED)}: the file has no image '{shorten(parts[0], MAX_QUOTED)}'",
        hint=nearest(parts[0], names),
    )


def _resolve_keys(values: dict[str, Any], parts: list[str], path: str, place: str = "") -> KeyPath:
    """Return the path inside the top level, or inside an image; `place` is where that is."""
    key: KeyPath = ()
    parts = list(parts)
    while parts:
        if key and key[-1] in _FREE_FORM_MAPPINGS:
            return (*key, ".".join(parts))
        if key == ("registries",) and len(parts) > 1:
            return (*key, ".".join(parts[:-1]), parts[-1])
        part = parts.pop(0)
        key = (*key, _platform_index(values, part, path, place) if key == ("platforms",) else part)
    return key


def _platform_index(values: dict[str, Any], part: str, path: str, place: str) -> int:
    entries = values.get("platforms")
    entries = entries if isinstance(entries, list) else []
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    if part in names:
        return names.index(part)
    platform = _platform(part)
    if platform is not None and platform in (parsed := [_platform(name) for name in names]):
        return parsed.index(platform)
    if (index := _index(part)) is not None and index < len(entries):
        return index
    listed = shorten(", ".join(map(str, names)) or "none", MAX_LISTED)
    hint = f"it has {listed}; count from 0 or write the name"
    if place and not entries:
        hint = f"set {place}platforms as a whole, or the platform at the top, for all images"
    raise ConfigError(
        f"--set {shorten(path, MAX_QUOTED)}: {place}platforms has no entry '{shorten(part, MAX_QUOTED)}'",
        hint=hint,
    )


def _platform(name: Any) -> Platform | None:
    """Return the platform that a name in any spelling means; None for what is none."""
    try:
        return Platform.parse(name) if isinstance(name, str) else None
    except UsageError:
        return None


def _index(part: str | int) -> int | None:
    """Return the index that a part of a path is."""
    return int(part) if re.fullmatch(r"[0-9]{1,6}", str(part)) else None


def _set(document: Document, key: tuple[str | int, ...], value: Any, origin: str) -> None:
    for child in [child for child in document.locations if child[: len(key)] == key]:
        del document.locations[child]
        document.texts.pop(child, None)
    document.locations[key] = origin
    target: Any = document.values
    for depth, part in enumerate(key[:-1]):
        document.locations.setdefault(key[: depth + 1], origin)
        target = _inner(target, part, f"{origin}: {shorten(dotted(key[: depth + 1]), MAX_QUOTED)}")
    if isinstance(target, list):
        target[_index_in(target, key[-1], origin)] = value
    else:
        target[str(key[-1])] = value


def _inner(target: Any, part: str | int, place: str) -> Any:
    """Return the mapping or list at one part of a path; a platform that is a name becomes a mapping."""
    if isinstance(target, list):
        index = _index_in(target, part, place)
        if not isinstance(target[index], dict):
            target[index] = {"name": target[index]}
        return target[index]
    inner = target.setdefault(part, {})
    if inner is None:
        inner = target[part] = {}
    if not isinstance(inner, dict | list):
        raise ConfigError(f"{place} is no mapping, so nothing can be set in it", hint="set it as a whole")
    return inner


def _index_in(target: list[Any], part: str | int, place: str) -> int:
    index = _index(part)
    if index is None or index >= len(target):
        quoted = shorten(str(part), MAX_QUOTED)
        raise ConfigError(
            f"{place}: the list has no entry '{quoted}'", hint="count from 0, or set the whole list"
        )
    return index
