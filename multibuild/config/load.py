"""From the file and the flags to one settled config."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from multibuild.config.document import Document, Key, read_document
from multibuild.config.faults import Fault, config_error, faults_of
from multibuild.config.git import GitFacts
from multibuild.config.interpolate import Interpolation, InterpolationError
from multibuild.config.models import Config, RegistryOptions
from multibuild.config.overrides import Overrides, apply_overrides
from multibuild.frozen import frozen

HOW_NOT_WHAT: Final = {"jobs", "fail_fast", "retry", "timeout", "stall_timeout", "builder", "emulators"}
"""Settings that change how or where a run goes and never what comes out, so they are not in the canonical form."""

_OF_PLATFORM: Final = {"timeout", "builder", "runner"}
"""The same of a platform."""


@frozen
class LoadedConfig:
    """A settled config and where it is from.

    `project` is the directory that `context`, `dockerfile` and every other path of the config is relative to.
    `canonical` is the settled config as canonical JSON: the same for the same result, and without secrets (the
    config names them, it does not hold them).
    """

    config: Config
    path: Path
    project: Path
    git: GitFacts
    canonical: str


def load_config(
    path: Path, *, environ: Mapping[str, str], overrides: Overrides, now: datetime
) -> LoadedConfig:
    """Read, override, fill in and validate. Raises ConfigError that lists every fault with its place."""
    document = read_document(path)
    apply_overrides(document, overrides)
    project = Path(os.path.abspath(path)).parent  # noqa: PTH100 - resolve() would leave the directory of a link
    git = GitFacts(project)
    faults: list[Fault] = []
    filler = _Filler(Interpolation(environ=environ, git=git, now=now), faults)
    values = filler.fill(document.values, ())
    config = _validated(values, document, faults)
    return LoadedConfig(
        config=_with_paths(config, project),
        path=path,
        project=project,
        git=git,
        canonical=canonical_json(config),
    )


def canonical_json(config: Config) -> str:
    """Write what decides the result, with sorted keys: the same config in another spelling is the same text."""
    settled = config.model_dump(mode="json", by_alias=True, exclude=HOW_NOT_WHAT)
    for entry in settled["platforms"]:
        for key in _OF_PLATFORM:
            entry.pop(key)
    return json.dumps(settled, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


def _validated(values: Any, document: Document, faults: list[Fault]) -> Config:
    """Validate even after a failed interpolation: whoever mends a file wants to see all of it."""
    try:
        config = Config.settled(values)
    except ValidationError as error:
        unfilled = {item.key for item in faults}
        found = faults_of(error, Config, document)
        raise config_error(document, [*faults, *(f for f in found if f.key not in unfilled)]) from None
    if faults:
        raise config_error(document, faults)
    return config


class _Filler:
    """Walks the values and fills in every text."""

    def __init__(self, interpolation: Interpolation, faults: list[Fault]) -> None:
        self._interpolation = interpolation
        self._faults = faults

    def fill(self, value: Any, key: Key) -> Any:
        if isinstance(value, dict):
            return {name: self.fill(item, (*key, name)) for name, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item, (*key, place)) for place, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        try:
            return self._interpolation.fill(value)
        except InterpolationError as error:
            self._faults.append(Fault(key=key, message=error.message, hint=error.hint))
            return value


def _with_paths(config: Config, project: Path) -> Config:
    """Make CA files absolute: they are read by code that does not know the project."""
    registries = {
        host: options.model_copy(update={"ca": str(project / options.ca)}) if options.ca else options
        for host, options in config.registries.items()
    }
    typed: dict[str, RegistryOptions] = registries
    return config.model_copy(update={"registries": typed}) if registries else config
