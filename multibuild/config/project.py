"""Load a config file with all of its images."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from multibuild.config.cli_overrides import Overrides, apply_overrides
from multibuild.config.config import Config, ConfigFile
from multibuild.config.gates.checks import platform_problems
from multibuild.config.git import GitFacts
from multibuild.config.images.bake_section import BakeSection, bake_section
from multibuild.config.images.collisions import collision_problems
from multibuild.config.images.dependencies import (
    Image,
    dependency_problems,
    image_contexts,
    without_image_contexts,
)
from multibuild.config.images.merge import ImageValues, image_layers
from multibuild.config.images.names import choose
from multibuild.config.images.problems import ImageProblems
from multibuild.config.interpolate import Interpolator
from multibuild.config.load import LoadedConfig, canonical_json, load_one, with_absolute_tls_files
from multibuild.config.problems import Problem, config_error, error_details, key_of, problem_of
from multibuild.config.texts import Expansions, Texts
from multibuild.config.yaml_document import Document, read_document
from multibuild.errors import UsageError
from multibuild.frozen import frozen


@frozen
class LoadedProject:
    """A config file with its images, in the order of the file; one with the name "" in a file without `images`.

    `together` is whether the tags of all images move together. `several` is whether the file has `images` or `bake`.
    `chosen` are the images named on the command line, without those that they are built from; none: all.
    """

    path: Path
    project: Path
    git: GitFacts
    together: Literal["all", "image"]
    images: tuple[LoadedConfig, ...]
    chosen: tuple[str, ...] = ()

    @property
    def several(self) -> bool:
        """Whether the file has `images` or `bake`, also with one entry."""
        return any(image.name for image in self.images)


def load_project(
    path: Path,
    *,
    environ: Mapping[str, str],
    overrides: Overrides,
    now: datetime,
    names: Sequence[str] = (),
    from_bake: Mapping[str, Mapping[str, Any]] | None = None,
    linked: Collection[str] = (),
) -> LoadedProject:
    """Read, override, interpolate and validate all images of a file.

    `names` chooses images; those that they are built from come along. `from_bake` is what bake says of each of its
    targets, as keys of this format: it lies over the top level and under `images`. `linked` are those targets that only
    others are built from. Raises ConfigError with every
    problem of every image, UsageError for a name that does not exist.
    """
    document = read_document(path)
    apply_overrides(document, overrides)
    if not _has_images(document):
        if names:
            raise UsageError(
                f"'{names[0]}': the file has one image, without a name", hint="leave the name out"
            )
        loaded = load_one(document, path=path, environ=environ, now=now)
        return _project(loaded.path, loaded.project, loaded.git, [loaded])
    project = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would follow links
    git = GitFacts(project)
    expansions = Expansions(document, Interpolator(environ=environ, git=git, now=now))
    images = _images(document, expansions, from_bake or {}, linked)
    needed = {image.name: image.dependencies.values() for image in images}
    chosen = choose(names, list(needed), needed)
    several = [_loaded(i, document, path, git) for i in images if i.name in chosen]
    return replace(_project(path, project, git, several), chosen=tuple(names))


def read_bake(
    path: Path, *, environ: Mapping[str, str], overrides: Overrides, now: datetime
) -> BakeSection | None:
    """Return the `bake` section of a file; None without one. Raises ConfigError."""
    document = read_document(path)
    apply_overrides(document, overrides)
    if "bake" not in document.values:
        return None
    git = GitFacts(Path(os.path.abspath(path)).parent)  # noqa: PTH100 - resolve() would follow links
    expansions = Expansions(document, Interpolator(environ=environ, git=git, now=now))
    bake, problems = bake_section(document, expansions)
    if bake is None or problems:
        raise config_error(document, problems)
    return BakeSection(bake=bake, document=document)


def _has_images(document: Document) -> bool:
    return "images" in document.values or "bake" in document.values


def _project(path: Path, project: Path, git: GitFacts, images: Sequence[LoadedConfig]) -> LoadedProject:
    together = images[0].config.publish.together
    return LoadedProject(path=path, project=project, git=git, together=together, images=tuple(images))


def _loaded(image: Image, document: Document, path: Path, git: GitFacts) -> LoadedConfig:
    project = git.directory
    config = without_image_contexts(image.config)
    return LoadedConfig(
        config=with_absolute_tls_files(config, project),
        path=path,
        project=project,
        git=git,
        canonical=canonical_json(config, image.dependencies),
        place=lambda key: document.place_of(image.source(key), path),
        name=image.name,
        dependencies=image.dependencies,
    )


def _images(
    document: Document,
    expansions: Expansions,
    from_bake: Mapping[str, Mapping[str, Any]],
    linked: Collection[str],
) -> tuple[Image, ...]:
    """Return the validated images; ConfigError with the problems of all."""
    layers, wrong = image_layers(document, from_bake, linked)
    problems = ImageProblems(names=layers.names)
    problems.add(wrong)
    problems.add(bake_section(document, expansions)[1])
    images: dict[str, Image] = {}
    for name in layers.names:
        if problems.are_many:
            break
        values = layers.image(name)
        config = _validated(values, document, expansions, problems)
        if config is not None:
            images[name] = _image(values, config)
    if not problems:
        problems.add(dependency_problems(images))
        problems.add(collision_problems(images, flags=layers.flags))
        problems.add(_gate_platforms(images))
    if problems:
        raise config_error(_with_bake(document, from_bake), problems.reported())
    return tuple(images.values())


def _gate_platforms(images: Mapping[str, Image]) -> Iterator[Problem]:
    used = {
        name: (image.config.gates, [entry.name for entry in image.config.platforms])
        for name, image in images.items()
    }
    return platform_problems(used, lambda name, key: images[name].source(key))


def _with_bake(document: Document, from_bake: Mapping[str, Mapping[str, Any]]) -> Document:
    """Return a document in which a problem finds the values of bake, to see whether they are secret."""
    if not from_bake:
        return document
    return replace(document, values={**document.values, "bake": from_bake})


def _image(values: ImageValues, config: Config) -> Image:
    return Image(
        name=values.name, config=config, dependencies=image_contexts(config), source=values.origin.source
    )


def _validated(
    image: ImageValues, document: Document, expansions: Expansions, problems: ImageProblems
) -> Config | None:
    texts = Texts(expansions, name=image.name, source=image.origin.source)
    values = texts.interpolated(image.values, ())
    problems.add([problem for problem in texts.problems if not problems.has(problem.key)])
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        problems.add_invalid(_in_image(error, image, document, problems), image)
        return None
    return config if not texts.problems else None


def _in_image(
    error: ValidationError, image: ImageValues, document: Document, problems: ImageProblems
) -> Iterator[Problem]:
    """Yield the problems of an image by its own keys, with the texts of the file; none that another image has too."""
    for details in error_details(error):
        key = key_of(details)
        source = image.origin.source(key)
        if not problems.has(source):
            texts = {key: document.texts[source]} if source in document.texts else {}
            own = Document(values=image.values, locations={}, texts=texts)
            yield problem_of(details, ConfigFile, own)
