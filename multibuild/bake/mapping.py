"""From what `docker buildx bake --print` prints to the images of multibuild. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final

from multibuild.bake.keys import BAKE_KEYS
from multibuild.bake.target import BakeTarget, Unsupported
from multibuild.frozen import frozen
from multibuild.json_types import has_shape

DEFAULT_GROUP = "default"
"""The group that `--print` writes what was asked for into."""


_UNSET: Final[tuple[Any, ...]] = (None, "", [], {})
"""What a key that is not set may be printed as."""


@frozen
class BakeImage:
    """An image of a bake definition.

    `keys` is what could stand under `images: NAME:`, in JSON's types, after interpolation: a `${` in it is literal.
    A linked image was not asked for: another one has it in its `contexts`.
    """

    name: str
    keys: Mapping[str, Any]
    description: str = ""
    linked: bool = False


@frozen
class Refusal:
    """A key of a target that cannot be honoured: why, and what to use instead.

    `replaced_by` are keys of a config, as `publish.to`: an image that has one of them needs this key no more.
    """

    target: str
    key: str
    why: str
    use_instead: str
    replaced_by: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"target {self.target}: {self.key} {self.why}"


@frozen
class BakeMapping:
    """The images of a definition, and what of it cannot be honoured."""

    images: tuple[BakeImage, ...]
    refusals: tuple[Refusal, ...]


def map_definition(document: Mapping[str, Any], project: PurePosixPath) -> BakeMapping:
    """Return the images of a printed definition, by name; after them those that are only used as contexts.

    Not in the order of groups: buildx prints that of a matrix with two axes another way each time.
    `project` is the absolute working directory of bake, to which paths become relative.
    """
    targets = document.get("target") or {}
    wanted = _wanted(document.get("group") or {}, targets)
    order = (*sorted(wanted), *sorted(targets.keys() - wanted))
    mapped = [_map_target(name, targets[name], project, linked=name not in wanted) for name in order]
    return BakeMapping(
        images=tuple(image for image, _ in mapped),
        refusals=tuple(refusal for _, refusals in mapped for refusal in refusals),
    )


def _map_target(
    name: str, fields: Mapping[str, Any], project: PurePosixPath, *, linked: bool
) -> tuple[BakeImage, list[Refusal]]:
    fields = {key: value for key, value in fields.items() if value not in _UNSET}
    known = {key: value for key, value in fields.items() if _problem(key, value) is None}
    target = BakeTarget(name=name, fields=known, project=project, linked=linked)
    keys: dict[str, Any] = {}
    refusals = []
    for key, value in fields.items():
        try:
            keys = _merged(keys, _converted(key, value, target))
        except Unsupported as error:
            refusals.append(_refusal(name, key, error))
    description = known.get("description") or ""
    return BakeImage(name=name, keys=keys, description=description, linked=linked), refusals


def _refusal(target: str, key: str, error: Unsupported) -> Refusal:
    row = BAKE_KEYS.get(key)
    replaced_by = row.replaced_by or row.becomes if row else ()
    return Refusal(
        target=target, key=key, why=error.why, use_instead=error.use_instead, replaced_by=replaced_by
    )


def _wanted(groups: Mapping[str, Any], targets: Mapping[str, Any]) -> set[str]:
    """Return the targets that were asked for: groups of groups and matrices are followed."""
    found: set[str] = set()
    visited: set[str] = set()
    waiting = [DEFAULT_GROUP]
    while waiting:
        name = waiting.pop()
        if name in groups and name not in visited:
            visited.add(name)
            waiting += groups[name].get("targets") or ()
        elif name in targets:
            found.add(name)
    return found


def _converted(key: str, value: Any, target: BakeTarget) -> Mapping[str, Any]:
    if problem := _problem(key, value):
        raise problem
    return BAKE_KEYS[key].convert(value, target)


def _problem(key: str, value: Any) -> Unsupported | None:
    """Return what is wrong with a key or the form of its value, whatever else the target has."""
    row = BAKE_KEYS.get(key)
    if row is None:
        use_instead = "a further file of bake.files that does without it"
        return Unsupported("is no key that multibuild knows", use_instead=use_instead)
    if not has_shape(value, row.shape):
        use_instead = "the form that docs/reference/bake.md shows"
        return Unsupported("has a form that multibuild does not know", use_instead=use_instead)
    return None


def _merged(keys: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Join lists and mappings of the same key: several keys of bake become build_flags and cache."""
    merged = dict(keys)
    for key, value in more.items():
        previous = merged.get(key)
        if isinstance(previous, list) and isinstance(value, list):
            merged[key] = [*previous, *value]
        elif isinstance(previous, dict) and isinstance(value, dict):
            merged[key] = {**previous, **value}
        else:
            merged[key] = value
    return merged
