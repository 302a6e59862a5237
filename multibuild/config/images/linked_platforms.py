"""The platforms of targets that others are built from, where a bake definition gives them none."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from multibuild.config.images.dependencies import SCHEME
from multibuild.errors import UsageError
from multibuild.platforms import Platform

Keys = Mapping[str, Any]


def with_linked_platforms(
    from_bake: Mapping[str, Keys], linked: Collection[str], layers_of: Mapping[str, Sequence[Keys]]
) -> dict[str, Keys]:
    """Return what bake says, with platforms for the linked images that neither it nor `images` gives any.

    Such a target is there for those that are built from it: it has the platforms of the top level, and whatever else
    these are built for. A platform that all of them may miss is optional. `layers_of` are the keys of each image, from
    below: the top level, bake, and those under `images`.
    """
    open_names = [name for name in linked if not any("platforms" in keys for keys in layers_of[name][1:])]
    result = dict(from_bake)
    for name in open_names:
        own = _platforms(layers_of[name])
        present = {platform for platform, _ in map(_entry, own)}
        needed: dict[Platform, bool] = {}
        for user in _users(name, from_bake, open_names):
            for platform, required in map(_entry, _platforms(layers_of[user])):
                if platform is not None and platform not in present:
                    needed[platform] = needed.get(platform, False) or required
        if needed:
            more = [
                str(p) if required else {"name": str(p), "required": False} for p, required in needed.items()
            ]
            result[name] = {**from_bake[name], "platforms": [*own, *more]}
    return result


def _users(name: str, from_bake: Mapping[str, Keys], open_names: Collection[str]) -> Iterator[str]:
    """Yield the images that are built from one, also through others that have no platforms of their own."""
    visited, waiting = {name}, [name]
    while waiting:
        source = f"{SCHEME}{waiting.pop()}"
        for user, keys in from_bake.items():
            if user not in visited and source in (keys.get("contexts") or {}).values():
                visited.add(user)
                yield user
                waiting += [user] if user in open_names else []


def _platforms(layers: Sequence[Keys]) -> list[Any]:
    values = [keys["platforms"] for keys in layers if "platforms" in keys]
    return list(values[-1]) if values and isinstance(values[-1], list) else []


def _entry(entry: Any) -> tuple[Platform | None, bool]:
    """Return the platform of an entry, None where it cannot be read yet, and whether it is required."""
    name = entry.get("name") if isinstance(entry, dict) else entry
    required = not (isinstance(entry, dict) and entry.get("required") is False)
    try:
        return (Platform.parse(name) if isinstance(name, str) else None), required
    except UsageError:
        return None, required
