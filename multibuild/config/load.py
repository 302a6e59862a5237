"""Load the config from the file, the flags, the environment and git."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from multibuild.config.cli_overrides import Overrides, apply_overrides
from multibuild.config.config import Config
from multibuild.config.git import GitFacts
from multibuild.config.interpolate import InterpolationError, Interpolator
from multibuild.config.problems import Problem, config_error, problems_of
from multibuild.config.yaml_document import Document, KeyPath, read_document
from multibuild.frozen import frozen

RUNTIME_ONLY_KEYS: Final = {"jobs", "fail_fast", "retry", "timeout", "stall_timeout", "builder", "emulators"}
"""Settings that affect how or where a run builds, never its result; left out of the canonical form."""

_RUNTIME_ONLY_PLATFORM_KEYS: Final = {"timeout", "builder", "runner"}
"""The same for a platform."""


@frozen
class LoadedConfig:
    """A validated config and its file.

    `project` is the directory that `context`, `dockerfile` and every other path of the config is relative to.
    `canonical` is the config as canonical JSON: the same for the same result, and without secrets (a config only
    refers to them).
    """

    config: Config
    path: Path
    project: Path
    git: GitFacts
    canonical: str


def load_config(
    path: Path, *, environ: Mapping[str, str], overrides: Overrides, now: datetime
) -> LoadedConfig:
    """Read, override, interpolate and validate. Raises ConfigError that lists every problem with its location."""
    document = read_document(path)
    apply_overrides(document, overrides)
    project = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would follow links
    git = GitFacts(project)
    problems: list[Problem] = []
    interpolator = Interpolator(environ=environ, git=git, now=now)
    values = _interpolate(document.values, (), interpolator, problems)
    config = _validate(values, document, problems)
    return LoadedConfig(
        config=_with_absolute_ca_files(config, project),
        path=path,
        project=project,
        git=git,
        canonical=canonical_json(config),
    )


def canonical_json(config: Config) -> str:
    """Return the settings that determine the result, with sorted keys: another spelling gives the same text."""
    settings = config.model_dump(mode="json", by_alias=True, exclude=RUNTIME_ONLY_KEYS)
    for entry in settings["platforms"]:
        for key in _RUNTIME_ONLY_PLATFORM_KEYS:
            entry.pop(key)
    return json.dumps(settings, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _validate(values: Any, document: Document, problems: list[Problem]) -> Config:
    """Validate even after a failed interpolation, to report all problems at once."""
    try:
        config = Config.parse(values)
    except ValidationError as error:
        reported = {problem.key for problem in problems}
        others = [p for p in problems_of(error, Config, document) if p.key not in reported]
        raise config_error(document, [*problems, *others]) from None
    if problems:
        raise config_error(document, problems)
    return config


def _interpolate(value: Any, key: KeyPath, interpolator: Interpolator, problems: list[Problem]) -> Any:
    """Interpolate every text of a tree of values; append the problems."""
    if isinstance(value, dict):
        return {
            name: _interpolate(item, (*key, name), interpolator, problems) for name, item in value.items()
        }
    if isinstance(value, list):
        return [_interpolate(item, (*key, at), interpolator, problems) for at, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    try:
        return interpolator.interpolate_tag(value) if _is_tag(key) else interpolator.interpolate(value)
    except InterpolationError as error:
        problems.append(Problem(key=key, message=error.message, hint=error.hint))
        return value


def _is_tag(key: KeyPath) -> bool:
    return key[0] == "tags" or key == ("publish", "carry_from")


def _with_absolute_ca_files(config: Config, project: Path) -> Config:
    """Make the paths of CA files absolute: they are read by code that does not know the project."""
    registries = {
        host: options.model_copy(update={"ca": str(project / options.ca)}) if options.ca else options
        for host, options in config.registries.items()
    }
    return config.model_copy(update={"registries": registries}) if registries else config
