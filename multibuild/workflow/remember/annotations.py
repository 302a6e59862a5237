"""What `remember` writes into an index: digests of everything that goes into it and its entries."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from multibuild import __version__
from multibuild.json_types import as_json
from multibuild.oci.manifests.inputs_annotation import (
    NO_INPUTS,
    EntryInputs,
    InputsAnnotations,
    index_text,
)
from multibuild.platforms import Platform
from multibuild.redact import is_secret_name, redacted
from multibuild.regular_file import read_regular

if TYPE_CHECKING:
    from pathlib import Path

    from multibuild.config.load import LoadedConfig
    from multibuild.plan.plan import Plan
    from multibuild.plan.planned_platform import PlannedPlatform

SHORT = 16
"""Hexadecimal digits of a digest that is only compared with one of the same repository."""

_OTHER_SETTINGS = {
    "version",
    *("image", "tags", "destinations", "registries", "publish", "remember"),
    *("context", "dockerfile", "contexts", "cache"),
}
"""Keys that say where an index goes, and those whose content is in the fingerprints of its entries, not their path."""


def inputs_annotations(
    loaded: LoadedConfig, plan: Plan, fingerprints: Mapping[Platform, str | None]
) -> InputsAnnotations:
    """Return the annotations for what has these `fingerprints`; none without `remember`.

    A platform whose fingerprint is unknown has none, and then the index has none either.
    """
    if not loaded.config.remember:
        return NO_INPUTS
    builders = _Builders(loaded)
    entries = {
        planned.platform: entry_inputs(plan, planned, digest, builders.digest(planned.platform)).text
        for planned in plan.platforms
        if (digest := fingerprints.get(planned.platform))
    }
    is_complete = entries.keys() == plan.specs.keys()
    return InputsAnnotations(entries=entries, index=_index(loaded, entries) if is_complete else "")


def entry_inputs(plan: Plan, planned: PlannedPlatform, fingerprint: str, builder: str) -> EntryInputs:
    """Return what the entry of a platform says of its child."""
    verify = plan.verify
    return EntryInputs(
        inputs=fingerprint,
        builder=builder,
        content=verify.content,
        ignore=_short(list(verify.ignore)),
        test=_short(as_json(planned.test)) if planned.test is not None else "-",
    )


class _Builders:
    """The digests of the builders of a config, each profile read once."""

    def __init__(self, loaded: LoadedConfig) -> None:
        self._loaded = loaded
        self._names = {
            entry.name: entry.builder or loaded.config.builder for entry in loaded.config.platforms
        }
        self._digests: dict[str, str] = {}

    def digest(self, platform: Platform) -> str:
        """Return the digest of how a platform is built: the builder's settings, and multibuild's version."""
        name = self._names[platform]
        if name not in self._digests:
            self._digests[name] = _short([__version__, builder_settings(name, self._loaded.project)])
        return self._digests[name]


def builder_settings(name: str, project: Path) -> dict[str, Any]:
    """Return the settings of a `builder:` as JSON types, the same on every machine: of a profile, else its name.

    Without secrets of its options: a digest is published with which passwords could be tried. ConfigError for a
    profile that is none.
    """
    from multibuild.config.profiles import MAX_BUILDKITD_BYTES, load_profile

    profile = load_profile(name, project)
    if profile is None:
        return {"name": name}
    settings: dict[str, Any] = profile.model_dump(mode="json")
    for place in (settings, *settings["nodes"]):
        place["driver_opts"] = {
            name: "" if is_secret_name(name) else redacted(value)
            for name, value in place["driver_opts"].items()
        }
    if profile.buildkitd is not None:
        content = read_regular(profile.buildkitd, MAX_BUILDKITD_BYTES)
        settings["buildkitd"] = hashlib.sha256(content).hexdigest()
    return settings


def _index(loaded: LoadedConfig, entries: Mapping[Platform, str]) -> str:
    canonical: dict[str, Any] = json.loads(loaded.canonical)
    document = {
        "version": __version__,
        "settings": {key: value for key, value in canonical.items() if key not in _OTHER_SETTINGS},
        "entries": [[str(platform), text] for platform, text in entries.items()],
    }
    return index_text(_digest(document))


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _short(value: Any) -> str:
    return _digest(value)[:SHORT]
