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
from multibuild.config.interpolate import MAX_EXPANDED_CHARS, InterpolationError, Interpolator
from multibuild.config.problems import Problem, config_error, problems_of
from multibuild.config.yaml_document import Document, KeyPath, read_document
from multibuild.frozen import frozen

RUNTIME_ONLY_KEYS: Final = {
    *("jobs", "fail_fast", "retry", "timeout", "stall_timeout", "crash_timeout", "builder", "emulators")
}
"""Settings that affect how or where a run builds, never its result; left out of the canonical form."""

_RUNTIME_ONLY_PLATFORM_KEYS: Final = {"timeout", "builder", "runner"}
"""The same for a platform."""


MAX_CONFIG_CHARS: Final = 4_000_000
"""Characters of all texts, interpolated and with aliases written out: no command line carries half of it."""


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
    interpolator = Interpolator(environ=environ, git=git, now=now)
    texts = _Texts(document, interpolator)
    values = texts.interpolated(document.values, ())
    config = _validate(values, document, texts.problems)
    return LoadedConfig(
        config=_with_absolute_tls_files(config, project),
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


class _Texts:
    """Interpolates every text of a document, and collects the problems."""

    def __init__(self, document: Document, interpolator: Interpolator) -> None:
        self._document = document
        self._interpolator = interpolator
        self._chars = 0
        self.problems: list[Problem] = []

    def interpolated(self, value: Any, key: KeyPath) -> Any:
        """Return a tree of values with its texts interpolated; one with a problem stays as it is."""
        if isinstance(value, dict):
            return {name: self.interpolated(item, (*key, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.interpolated(item, (*key, at)) for at, item in enumerate(value)]
        return self._text(value, key) if isinstance(value, str) else value

    def _text(self, value: str, key: KeyPath) -> str:
        interpolate = self._interpolator.interpolate_tag if _is_tag(key) else self._interpolator.interpolate
        try:
            text = interpolate(value)
        except InterpolationError as error:
            self.problems.append(Problem(key=key, message=error.message, hint=error.hint))
            return value
        if problem := _unusable(text):
            self.problems.append(Problem(key=key, message=problem, hint="use another value"))
            return ""
        self._chars += len(text)
        if self._chars > MAX_CONFIG_CHARS:
            too_long = f"more than {MAX_CONFIG_CHARS} characters, with aliases and variables written out"
            raise config_error(
                self._document, [Problem(key=key, message=too_long, hint="use shorter values")]
            )
        return text


def _unusable(text: str) -> str:
    """Return why no program can be given a text; "" for one that can be."""
    if len(text) > MAX_EXPANDED_CHARS:
        return f"more than {MAX_EXPANDED_CHARS} characters"
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of the environment (PEP 383)
        return "a variable in it is not UTF-8 text"
    return ""


def _is_tag(key: KeyPath) -> bool:
    return key[0] == "tags" or key == ("publish", "carry_from")


def _with_absolute_tls_files(config: Config, project: Path) -> Config:
    """Make the paths of certificates and keys absolute: they are read by code that does not know the project."""
    registries = {
        host: options.model_copy(update={name: str(project / path) for name, path in options.files})
        for host, options in config.registries.items()
    }
    return config.model_copy(update={"registries": registries}) if registries else config
