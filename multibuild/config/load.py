"""Reads the config file: YAML with positions, variables, flags on top, validated once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from multibuild.config.document import Document, read_document
from multibuild.config.git import GitFacts
from multibuild.config.interpolate import interpolate
from multibuild.config.models import Config
from multibuild.config.overrides import Overrides
from multibuild.config.validate import validate
from multibuild.errors import ConfigError, UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class LoadedConfig:
    """A config with where it came from. `project` is its directory: every path in it is relative to that.

    `canonical` is the settled config as JSON with sorted keys: what the fingerprint names.
    """

    config: Config
    path: Path
    project: Path
    git: GitFacts
    canonical: str


def load_config(
    path: Path, *, environ: Mapping[str, str], overrides: Overrides, now: datetime
) -> LoadedConfig:
    """Read, merge, interpolate and validate. ConfigError at FILE:LINE:COLUMN; UsageError for a bad flag."""
    project = path.resolve().parent
    git = GitFacts(project)
    text = read_text(path, hint="`multibuild init` writes one; -f names another")
    document = read_document(str(path), text, lambda value: interpolate(value, environ, git, now))
    config = validate(Config, _overridden(document, overrides))
    canonical = json.dumps(config.model_dump(mode="json", by_alias=True), sort_keys=True)
    return LoadedConfig(config=config, path=path, project=project, git=git, canonical=canonical)


def read_text(path: Path, *, hint: str) -> str:
    """Read a file that a person wrote; ConfigError when it is not there or no text."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file", hint=hint) from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: it is a directory", hint=f"-f {path}/multibuild.yaml") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: it is not UTF-8 text", hint="save it as UTF-8") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="check its permissions") from None


def _overridden(document: Document, overrides: Overrides) -> Document:
    if not isinstance(document.data, dict):
        return document
    data = dict(document.data)
    if overrides.tags:
        data["tags"] = list(overrides.tags)
    if overrides.builder is not None:
        data["builder"] = overrides.builder
    if overrides.jobs is not None:
        data["jobs"] = int(overrides.jobs) if overrides.jobs.isdigit() else overrides.jobs
    if overrides.fail_fast is not None:
        data["fail_fast"] = overrides.fail_fast
    for text in overrides.sets:
        _set(data, text)
    return Document(name=document.name, data=data, marks=document.marks, raw=document.raw)


def _set(data: dict[str, Any], text: str) -> None:
    """Apply one `--set key.path=value`; a number is an index into a list that is there."""
    path, equals, value = text.partition("=")
    if not equals or not path:
        raise UsageError(f"--set {text}: key.path=value is wanted", hint="like --set args.VERSION=2")
    try:
        parsed = yaml.safe_load(value)
    except yaml.YAMLError:
        raise UsageError(f"--set {path}: the value is not YAML", hint="quote it") from None
    *heads, last = path.split(".")
    current: Any = data
    for head in heads:
        if isinstance(current, list) and head.isdigit() and int(head) < len(current):
            if isinstance(current[int(head)], str):
                current[int(head)] = {"name": current[int(head)]}
            current = current[int(head)]
        elif isinstance(current, dict):
            current[head] = current.get(head) if isinstance(current.get(head), dict | list) else {}
            current = current[head]
        else:
            raise UsageError(
                f"--set {path}: there is no {head} to go into", hint="`multibuild schema` shows the keys"
            )
    if isinstance(current, dict):
        current[last] = str(value) if heads and heads[-1] in {"args", "labels", "annotations"} else parsed
    else:
        raise UsageError(f"--set {path}: a list takes no key '{last}'", hint="set the whole list: key=[a, b]")
