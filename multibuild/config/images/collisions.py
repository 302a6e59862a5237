"""Refuse images that are too many, or would overwrite each other: one tag, one cache or one file for two of them."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping

from multibuild.buildx.cache_targets import place_of
from multibuild.config.images.dependencies import Image
from multibuild.config.problems import MAX_QUOTED, Problem
from multibuild.config.yaml_document import KeyPath
from multibuild.errors import UsageError
from multibuild.oci.reference import Reference
from multibuild.terminal import shorten

MAX_BUILDS = 5000
"""Platforms of all images together: twice 200 images for twelve, of which each is planned and has a log."""

MAX_LISTED = 200
"""Characters of a list of images in a message."""


def collision_problems(images: Mapping[str, Image], *, flags: Container[str] = ()) -> Iterator[Problem]:
    """Yield one problem for each group of images that share a tag, a cache or a file, and for too many builds.

    `flags` are the keys that flags set.
    """
    yield from _too_many(images)
    yield from _same_tags(images, flags)
    yield from _same_caches(images)
    yield from _same_outputs(images)


def _too_many(images: Mapping[str, Image]) -> Iterator[Problem]:
    builds = sum(len(image.config.platforms) for image in images.values())
    if builds > MAX_BUILDS:
        message = f"{len(images)} images have {builds} platforms together, more than {MAX_BUILDS}"
        yield Problem(key=("images",), message=message, hint="write several files")


def _same_tags(images: Mapping[str, Image], flags: Container[str]) -> Iterator[Problem]:
    for repository, keys in _shared_repositories(images).items():
        tags: dict[str, list[str]] = defaultdict(list)
        for name in keys:
            for tag in images[name].config.tags:
                tags[tag].append(name)
        place = shorten(repository, MAX_QUOTED)
        groups = {tuple(names): tag for tag, names in reversed(tags.items()) if len(names) > 1}
        for names, tag in groups.items():
            last = images[names[-1]]
            yield Problem(
                key=last.source(keys[names[-1]]),
                message=f"{_listed(names)} would {'both' if len(names) == 2 else 'all'} be {place}:{tag}",
                hint=_other_tag(last, keys[names[-1]], by_flag="tags" in flags),
            )


def _shared_repositories(images: Mapping[str, Image]) -> dict[str, dict[str, KeyPath]]:
    """Return the repositories of more than one image: repository → image → its key.

    Of repositories with the same images only the first is returned: their tags are the same too.
    """
    repositories: dict[str, dict[str, KeyPath]] = defaultdict(dict)
    for image in images.values():
        keys: list[KeyPath] = [
            ("image",),
            *(("destinations", n) for n in range(len(image.config.destinations))),
        ]
        for key, text in zip(keys, (image.config.image, *image.config.destinations), strict=True):
            repositories[_normal(text)].setdefault(image.name, key)
    groups: dict[tuple[str, ...], str] = {}
    for repository, names in repositories.items():
        if len(names) > 1:
            groups.setdefault(tuple(names), repository)
    return {repository: repositories[repository] for repository in groups.values()}


def _normal(repository: str) -> str:
    """Return a repository with Docker Hub's short forms written out; one that no client takes as it is."""
    try:
        return Reference.parse(repository).name
    except UsageError:
        return repository


def _other_tag(image: Image, key: KeyPath, *, by_flag: bool) -> str:
    if by_flag:
        return f"--tag is for all images: write --set images.{image.name}.tags=[…] instead, for one"
    if image.source(key)[0] == "bake":
        return (
            f"name one of them alone in bake.targets, or give {image.name} other tags:"
            f" images: {{{image.name}: {{tags: [{image.name}]}}}}"
        )
    if image.source(key)[0] != "images":
        return "write {name} in it, which is the image, or give each image its own tags"
    return f"give {image.name} another repository or other tags"


def _same_caches(images: Mapping[str, Image]) -> Iterator[Problem]:
    places: dict[tuple[str, ...], dict[str, KeyPath]] = defaultdict(dict)
    for image in images.values():
        for index, entry in enumerate(image.config.cache.to):
            if place := place_of(entry):
                places[place].setdefault(image.name, ("cache", "to", index))
    yield from _overwritten(images, places, "cache")


def _same_outputs(images: Mapping[str, Image]) -> Iterator[Problem]:
    places: dict[tuple[str, ...], dict[str, KeyPath]] = defaultdict(dict)
    for image in images.values():
        if path := image.config.publish.output.path:
            places[(os.path.normpath(path),)][image.name] = ("publish", "to")
    yield from _overwritten(images, places, "result")


def _overwritten(
    images: Mapping[str, Image], places: Mapping[tuple[str, ...], Mapping[str, KeyPath]], what: str
) -> Iterator[Problem]:
    for keys in places.values():
        if len(keys) > 1:
            *_, last = keys
            yield Problem(
                key=images[last].source(keys[last]),
                message=f"{_listed(tuple(keys))} would overwrite each other's {what}",
                hint="write {name} in it, which is the image",
            )


def _listed(names: tuple[str, ...]) -> str:
    return shorten(f"{', '.join(names[:-1])} and {names[-1]}", MAX_LISTED)
