"""Apply the flags of the command line to the document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from multibuild.errors import ConfigError
from multibuild.frozen import frozen

if TYPE_CHECKING:
    from multibuild.config.yaml_document import Document

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
    from multibuild.config.yaml_document import parse_value

    for number, text in enumerate(overrides.sets, start=1):
        path, separator, value = text.partition("=")
        origin = f"--set {path}"
        if not separator or not path:
            raise ConfigError(
                f"--set, the {number}. of them: is not key.path=value",  # and may be a secret
                hint="like --set publish.on_missing=carry",
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


def _resolve(values: dict[str, Any], path: str) -> tuple[str | int, ...]:
    """Split a dotted path; a platform is selected by name (`platforms.linux/arm64.timeout`) or by index."""
    parts = path.split(".")
    key: tuple[str | int, ...] = ()
    while parts:
        if key and key[-1] in _FREE_FORM_MAPPINGS:
            return (*key, ".".join(parts))
        if key == ("registries",) and len(parts) > 1:
            return (*key, ".".join(parts[:-1]), parts[-1])
        part = parts.pop(0)
        key = (*key, _platform_index(values, part, path) if key == ("platforms",) else part)
    return key


def _platform_index(values: dict[str, Any], part: str, path: str) -> int:
    entries = values.get("platforms")
    entries = entries if isinstance(entries, list) else []
    names = [entry.get("name") if isinstance(entry, dict) else entry for entry in entries]
    if part in names:
        return names.index(part)
    if part.isdecimal() and int(part) < len(entries):
        return int(part)
    raise ConfigError(
        f"--set {path}: platforms has no entry '{part}'",
        hint=f"it has {', '.join(map(str, names)) or 'none'}; count from 0 or write the name",
    )


def _set(document: Document, key: tuple[str | int, ...], value: Any, origin: str) -> None:
    for child in [child for child in document.locations if child[: len(key)] == key]:
        del document.locations[child]
        document.texts.pop(child, None)
    document.locations[key] = origin
    target: Any = document.values
    for depth, part in enumerate(key[:-1]):
        if isinstance(target, list):
            index = int(part)
            if not isinstance(target[index], dict):
                target[index] = {"name": target[index]}
            target = target[index]
            continue
        inner = target.setdefault(part, {})
        if not isinstance(inner, dict | list):
            if inner is not None:
                path = ".".join(map(str, key[: depth + 1]))
                raise ConfigError(f"{origin}: {path} is no mapping, so nothing can be set in it")
            inner = target[part] = {}
        target = inner
    if isinstance(target, list):
        target[int(key[-1])] = value
    else:
        target[str(key[-1])] = value
