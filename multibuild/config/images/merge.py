"""Merge what an image says over what all share, and remember where each value comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final

from multibuild.config.images.linked_platforms import with_linked_platforms
from multibuild.config.images.names import is_name, is_pattern, matches, nearest, usable_name
from multibuild.config.problems import MAX_QUOTED, Problem
from multibuild.config.yaml_document import Document, KeyPath, dotted
from multibuild.frozen import frozen
from multibuild.terminal import one_line, shorten

MAX_IMAGES: Final = 200
"""More than any file of targets has; each is planned for each of its platforms."""

FILE_KEYS: Final = ("images", "bake")
"""Keys that describe the images, and belong to none."""

RUN_WIDE_KEYS: Final = ("version", "jobs", "fail_fast", "emulators", "registries", *FILE_KEYS)
"""Keys that hold for the whole run, and so stand at the top only."""

RUN_WIDE_INNER: Final = {"publish": ("together",)}
"""The same inside sections."""

FLAG_KEYS: Final = {"tags": "--tag", "builder": "--builder"}
"""Keys with a flag of their own, which wins over what images say."""


class Origin:
    """Where a value of an image stands in the file, and those values inside it that stand elsewhere."""

    __slots__ = ("inner", "key")

    def __init__(self, key: KeyPath) -> None:
        self.key = key
        self.inner: dict[str | int, Origin] = {}

    def source(self, key: KeyPath) -> KeyPath:
        """Return the key of the file that a key of the image comes from."""
        origin = self
        for depth, part in enumerate(key):
            inner = origin.inner.get(part)
            if inner is None:
                return (*origin.key, *key[depth:])
            origin = inner
        return origin.key


@frozen
class ImageValues:
    """The values of one image before interpolation, and the place of each in the file."""

    name: str
    values: dict[str, Any]
    origin: Origin

    def lay(self, layer: Mapping[str, Any], key: KeyPath) -> None:
        """Lay the layer that stands at `key` over the values: scalars and lists replace, mappings merge."""
        _merge(self.values, layer, self.origin, key)


def _merge(target: dict[str, Any], layer: Mapping[str, Any], origin: Origin, key: KeyPath) -> None:
    """Merge into `target`, but not into the mappings inside it: layers share them."""
    for name, value in layer.items():
        below, place = target.get(name), (*key, name)
        if not isinstance(value, dict) or not isinstance(below, dict):
            target[name] = value
            origin.inner[name] = Origin(place)
            continue
        inner = origin.inner.setdefault(name, Origin((*origin.key, name)))
        for part in below:
            if part not in inner.inner:
                inner.inner[part] = Origin((*inner.key, part))
        inner.key = place
        target[name] = dict(below)
        _merge(target[name], value, inner, place)


@frozen
class ImageLayers:
    """The layers that images are made of, from below: the top level, what bake says, each key under `images`, flags."""

    names: tuple[str, ...]
    shared: Mapping[str, Any]
    from_bake: Mapping[str, Mapping[str, Any]]
    entries: Mapping[str, Mapping[str, Any]]
    flags: Mapping[str, Any]

    def image(self, name: str) -> ImageValues:
        """Return the values of one image: of the keys that are its name or a pattern of it, later ones win."""
        image = ImageValues(name=name, values=dict(self.shared), origin=Origin(()))
        image.lay(self.from_bake.get(name, {}), ("bake", name))
        for key, entry in self.entries.items():
            if matches(key, name):
                image.lay(entry, ("images", key))
        image.lay(self.flags, ())
        return image


def image_layers(
    document: Document, from_bake: Mapping[str, Mapping[str, Any]], linked: Collection[str] = ()
) -> tuple[ImageLayers, list[Problem]]:
    """Return the layers of a file, and the problems with names, patterns and keys that belong elsewhere.

    Images whose names cannot be used are among the problems only. `linked` are the targets of bake that only others
    are built from.
    """
    keys = document.values.get("images")
    entries: dict[str, Any] = keys if isinstance(keys, dict) else {}
    names = list(dict.fromkeys([*from_bake, *(name for name in entries if not is_pattern(name))]))
    problem = _no_mapping(keys) or _wrong_number(names, document)
    problems = [problem] if problem else [*_wrong_names(names, from_bake), *_wrong_entries(entries, names)]
    shared = {name: value for name, value in document.values.items() if name not in FILE_KEYS}
    own = {key: _own(entry) for key, entry in entries.items()}
    layers_of = {
        name: [shared, keys, *(entry for key, entry in own.items() if matches(key, name))]
        for name, keys in from_bake.items()
    }
    layers = ImageLayers(
        names=() if problem else tuple(filter(is_name, names)),
        shared=shared,
        from_bake=with_linked_platforms(from_bake, linked, layers_of),
        entries=own,
        flags={
            key: document.values[key]
            for key, flag in FLAG_KEYS.items()
            if document.locations.get((key,)) == flag
        },
    )
    return layers, problems


def _no_mapping(keys: Any) -> Problem | None:
    if keys is None or isinstance(keys, dict):
        return None
    return _problem("images", message="must be a mapping of names", hint=_EXAMPLE)


_EXAMPLE = "like images: {app: {target: app}}"


def _wrong_number(names: Sequence[str], document: Document) -> Problem | None:
    key = "images" if "images" in document.values else "bake"
    if not names and key == "bake":
        hint = (
            "name targets that are built: bake: {targets: [app]}; of a compose file the services with `build`"
        )
        return _problem(key, message="gives no image", hint=hint)
    if not names:
        return _problem(key, message="names no image", hint=_EXAMPLE)
    if len(names) > MAX_IMAGES:
        return _problem(key, message=f"more than {MAX_IMAGES} images", hint="write several files")
    return None


def _wrong_names(names: Sequence[str], from_bake: Mapping[str, Any]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for name in names:
        if is_name(name):
            if (other := seen.setdefault(name.lower(), name)) != name:
                yield _problem(
                    *(("bake",) if name in from_bake else ("images", name)),
                    message=f"{other} and {name} differ in capitals alone, which not every disk tells apart",
                    hint="rename one of them",
                )
            continue
        shown = shorten(one_line(name), MAX_QUOTED)
        message = (
            f"'{shown}' is no name of an image: letters, digits, '_' and '-', with '.' between, no '-' first"
        )
        near = usable_name(name)
        hint = f"like {near}" if near else "like app"
        if name in from_bake:
            yield _problem("bake", message=message, hint=f"rename the target: {hint}")
        else:
            yield _problem("images", name, message=message, hint=hint)


def _wrong_entries(entries: Mapping[str, Any], names: Sequence[str]) -> Iterator[Problem]:
    for key, entry in entries.items():
        if is_pattern(key) and not any(matches(key, name) for name in names):
            yield _problem("images", key, message="no image has a name like it", hint=nearest(key, names))
        if entry is not None and not isinstance(entry, dict):
            yield _problem("images", key, message="must be a mapping of keys", hint=_EXAMPLE)
        yield from _run_wide(key, entry)


def _run_wide(key: str, entry: Any) -> Iterator[Problem]:
    if not isinstance(entry, dict):
        return
    for path in [(name,) for name in RUN_WIDE_KEYS] + [
        (section, name) for section, names in RUN_WIDE_INNER.items() for name in names
    ]:
        inner: Any = entry
        for part in path:
            inner = inner.get(part, _ABSENT) if isinstance(inner, dict) else _ABSENT
        if inner is not _ABSENT:
            yield _problem(
                "images",
                key,
                *path,
                message="holds for the whole run, not for one image",
                hint=f"write {dotted(path)} at the top of the file",
            )


_ABSENT = object()


def _own(entry: Any) -> dict[str, Any]:
    """Return the keys of an image without those that hold for the whole run."""
    if not isinstance(entry, dict):
        return {}
    own = {name: value for name, value in entry.items() if name not in RUN_WIDE_KEYS}
    for section, inner in RUN_WIDE_INNER.items():
        if isinstance(own.get(section), dict):
            own[section] = {name: value for name, value in own[section].items() if name not in inner}
    return own


def _problem(*key: str, message: str, hint: str) -> Problem:
    return Problem(key=key, message=message, hint=hint)
