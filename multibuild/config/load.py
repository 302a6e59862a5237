"""Load the config from the file, the flags, the environment and git."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from multibuild.config.cli_overrides import Overrides, apply_overrides
from multibuild.config.config import Config, ConfigFile
from multibuild.config.gates.checks import platform_problems
from multibuild.config.git import GitFacts
from multibuild.config.images.dependencies import foreign_context_problems, image_contexts
from multibuild.config.interpolate import Interpolator
from multibuild.config.problems import Problem, config_error, problems_of
from multibuild.config.texts import Expansions, Texts
from multibuild.config.yaml_document import Document, KeyPath, Place, read_document
from multibuild.frozen import frozen

RUNTIME_ONLY_KEYS: Final = {
    *(
        "jobs",
        "fail_fast",
        "retry",
        "timeout",
        "stall_timeout",
        "crash_timeout",
        "builder",
        "emulators",
        "lint",
    )
}
"""Settings that affect how or where a run builds, never its result; left out of the canonical form."""

_RUNTIME_ONLY_PLATFORM_KEYS: Final = {"timeout", "builder", "runner", "memory", "cpus"}
"""The same for a platform."""

_RUNTIME_ONLY_PUBLISH_KEYS: Final = {"together"}
"""The same for how it is published."""

_ABSENT_WHEN_EMPTY: Final = ("gates", "sign")
"""Keys that the canonical form has only where a file uses them: it was made before they existed."""


@frozen
class LoadedConfig:
    """A validated config and its file.

    `project` is the directory that `context`, `dockerfile` and every other path of the config is relative to.
    `canonical` is the config as canonical JSON: the same for the same result, and without secrets (a config only
    refers to them). `name` is the key under `images`, "" in a file without; `dependencies` are the build contexts that
    are another image of the file: context → name of the image. They are not in `config.contexts`. `place` tells where a
    key of the config stands.
    """

    config: Config
    path: Path
    project: Path
    git: GitFacts
    canonical: str
    place: Callable[[KeyPath], Place]
    name: str = ""
    dependencies: Mapping[str, str] = field(default_factory=dict)


def load_config(
    path: Path, *, environ: Mapping[str, str], overrides: Overrides, now: datetime
) -> LoadedConfig:
    """Read, override, interpolate and validate. Raises ConfigError that lists every problem with its location."""
    document = read_document(path)
    apply_overrides(document, overrides)
    refuse_images(document)
    return load_one(document, path=path, environ=environ, now=now)


def load_one(document: Document, *, path: Path, environ: Mapping[str, str], now: datetime) -> LoadedConfig:
    """Interpolate and validate a document without `images`. Raises ConfigError."""
    project = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would follow links
    git = GitFacts(project)
    texts = Texts(Expansions(document, Interpolator(environ=environ, git=git, now=now)))
    values = texts.interpolated(document.values, ())
    config = _validate(values, document, texts.problems)
    return LoadedConfig(
        config=with_absolute_tls_files(config, project),
        path=path,
        project=project,
        git=git,
        canonical=canonical_json(config),
        place=lambda key: document.place_of(key, path),
    )


def canonical_json(config: Config, dependencies: Mapping[str, str] | None = None) -> str:
    """Return the settings that determine the result, with sorted keys: another spelling gives the same text."""
    # Without `remember` it is as if the key did not exist: what older versions wrote still holds.
    exclude = RUNTIME_ONLY_KEYS | (set() if config.remember else {"remember"})
    settings = config.model_dump(mode="json", by_alias=True, exclude=exclude)
    for key in _RUNTIME_ONLY_PUBLISH_KEYS:
        settings["publish"].pop(key)
    for entry in settings["platforms"]:
        for key in _RUNTIME_ONLY_PLATFORM_KEYS:
            entry.pop(key)
    for key in _ABSENT_WHEN_EMPTY:
        if not settings[key]:
            del settings[key]
    if config.sign is not None:
        del settings["sign"]["timeout"]
    if dependencies:
        settings["dependencies"] = dict(dependencies)
    return json.dumps(settings, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _validate(values: Any, document: Document, problems: list[Problem]) -> Config:
    """Validate even after a failed interpolation, to report all problems at once."""
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        reported = {problem.key for problem in problems}
        others = [p for p in problems_of(error, ConfigFile, document) if p.key not in reported]
        raise config_error(document, [*problems, *others]) from None
    problems = [
        *problems,
        *_image_contexts(config),
        *_gate_platforms(config),
    ]
    if problems:
        raise config_error(document, problems)
    return config


def _image_contexts(config: Config) -> Iterator[Problem]:
    for context in image_contexts(config):
        yield Problem(
            key=("contexts", context),
            message="image:NAME is another image of this file, and the file has no `images`",
            hint=_OTHER_SOURCES,
        )
    for problem in foreign_context_problems(config):
        yield replace(problem, hint=_OTHER_SOURCES)


_OTHER_SOURCES = "write docker-image://NAME for an image of a registry, ./image:NAME for a folder"


def _gate_platforms(config: Config) -> Iterator[Problem]:
    platforms = [entry.name for entry in config.platforms]
    yield from platform_problems({"": (config.gates, platforms)}, lambda _name, key: key)


def refuse_images(document: Document) -> None:
    """Raise ConfigError for a file of several images."""
    message = "this works on one image, and the file describes several"
    several = [key for key in ("images", "bake") if key in document.values]
    if several:
        problem = Problem(key=(several[0],), message=message, hint="use a file of one image")
        raise config_error(document, [problem])


def with_absolute_tls_files(config: Config, project: Path) -> Config:
    """Make the paths of certificates and keys absolute: they are read by code that does not know the project."""
    registries = {
        host: options.model_copy(update={name: str(project / path) for name, path in options.files})
        for host, options in config.registries.items()
    }
    return config.model_copy(update={"registries": registries}) if registries else config
