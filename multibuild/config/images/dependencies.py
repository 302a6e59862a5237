"""Images that are built from other images of the same file: `contexts: {x: image:NAME}`."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from multibuild.config.config import Config
from multibuild.config.images.names import nearest
from multibuild.config.problems import MAX_QUOTED, Problem
from multibuild.config.yaml_document import KeyPath
from multibuild.frozen import frozen
from multibuild.terminal import shorten

SCHEME: Final = "image:"

FOREIGN_SCHEMES: Final[Mapping[str, str]] = MappingProxyType({"target": "bake", "service": "compose"})
"""What other formats write before the name of another image."""


@frozen
class Image:
    """A validated image. `dependencies`: context → name of another image; `source`: its key → that of the file."""

    name: str
    config: Config
    dependencies: Mapping[str, str]
    source: Callable[[KeyPath], KeyPath]


def image_contexts(config: Config) -> dict[str, str]:
    """Return the contexts that are images of the file: context → name of the image."""
    return {
        context: value.removeprefix(SCHEME)
        for context, value in config.contexts.items()
        if value.startswith(SCHEME)
    }


def without_image_contexts(config: Config) -> Config:
    """Return a config with the contexts alone that docker knows."""
    images = image_contexts(config)
    rest = {context: value for context, value in config.contexts.items() if context not in images}
    return config.model_copy(update={"contexts": rest}) if images else config


def foreign_context_problems(config: Config) -> Iterator[Problem]:
    """Yield contexts that name another image as bake or compose do: docker would take them for folders."""
    for context, value in config.contexts.items():
        scheme, _, name = value.partition(":")
        if scheme in FOREIGN_SCHEMES:
            what = FOREIGN_SCHEMES[scheme]
            message = f"'{shorten(value, MAX_QUOTED)}' names another image as {what} does"
            yield Problem(key=("contexts", context), message=message, hint=f"write {SCHEME}{name}")


def dependency_problems(images: Mapping[str, Image]) -> Iterator[Problem]:
    """Yield images that do not exist, lack a platform, or need themselves, directly or through others."""
    for image in images.values():
        for problem in foreign_context_problems(image.config):
            yield replace(problem, key=image.source(problem.key))
        for context, name in image.dependencies.items():
            yield from _problems_of(image, context, name, images)
    yield from _cycles(images)


def _problems_of(image: Image, context: str, name: str, images: Mapping[str, Image]) -> Iterator[Problem]:
    key = image.source(("contexts", context))
    shown = shorten(name, MAX_QUOTED)
    if name == image.name:
        hint = "name another image" if key[0] == "images" else "write it under the images that need it"
        yield Problem(key=key, message=f"{name} would be built from itself", hint=hint)
    elif name not in images:
        yield Problem(
            key=key, message=f"there is no image '{shown}' in this file", hint=nearest(name, images)
        )
    else:
        other = {entry.name for entry in images[name].config.platforms}
        missing = [str(entry.name) for entry in image.config.platforms if entry.name not in other]
        if missing:
            listed = shorten(", ".join(missing), MAX_QUOTED)
            yield Problem(
                key=key,
                message=f"{image.name} is built for {listed}, and {name} is not",
                hint=f"add it to the platforms of {name}, or remove it from those of {image.name}",
            )


def _cycles(images: Mapping[str, Image]) -> Iterator[Problem]:
    """Yield one problem for each cycle, at the first image of the file that is in it."""
    finished: set[str] = set()
    for start in images:
        path: list[str] = []
        # One frame per image on the path: the contexts that are not followed yet.
        frames: list[Iterator[tuple[str, str]]] = []
        for name in _entered(start, images, finished):
            path.append(name)
            frames.append(iter(images[name].dependencies.items()))
        while frames:
            step = next(frames[-1], None)
            if step is None:
                frames.pop()
                finished.add(path.pop())
                continue
            context, name = step
            if name in path:
                if name != path[-1]:
                    yield _cycle(
                        [*path[path.index(name) :], name], images[path[-1]].source(("contexts", context))
                    )
                continue
            for entered in _entered(name, images, finished):
                path.append(entered)
                frames.append(iter(images[entered].dependencies.items()))


def _entered(name: str, images: Mapping[str, Image], finished: set[str]) -> tuple[str, ...]:
    return (name,) if name in images and name not in finished else ()


def _cycle(names: list[str], key: KeyPath) -> Problem:
    return Problem(
        key=key,
        message=f"the images need each other: {' → '.join(names)}",
        hint="one of them must start from something else",
    )
