"""The bake file of several platforms: the flags of `plan/build_command.py` as one document.

Fields: docs.docker.com/build/bake/reference. Secrets and SSH agents are named as in the config, never by value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from multibuild.plan.build_command import (
    build_args,
    cache_exports,
    manifest_annotations,
    output_of,
    provenance_of,
    resources,
)
from multibuild.plan.planned_platform import PlannedPlatform


def target_name(planned: PlannedPlatform) -> str:
    """Return the name of a platform's target: bake takes letters, digits, dashes and underscores."""
    return planned.slug.replace(".", "_")


def bake_document(
    platforms: Mapping[str, PlannedPlatform],
    project: Path,
    folders: Mapping[str, Path | None] = MappingProxyType({}),
) -> dict[str, Any]:
    """Return the bake file of platforms, by target, that one node builds; its paths are relative to `project`.

    Children that are not pushed become layouts in `folders`, by target.
    """
    targets = {name: _target(planned, project, folders.get(name)) for name, planned in platforms.items()}
    return {"group": {"default": {"targets": list(targets)}}, "target": targets}


def bake_arguments(platforms: Sequence[PlannedPlatform], file: str) -> tuple[str, ...]:
    """Return the arguments after `docker buildx`, without progress and metadata file.

    The config names every file that is read, so bake need not ask for permission.
    """
    builder = platforms[0].node.builder
    return ("bake", "--builder", builder, "--allow", "fs=*", "--allow", "ssh", "--file", file)


def _target(planned: PlannedPlatform, project: Path, folder: Path | None) -> dict[str, Any]:
    spec = planned.spec
    fields: dict[str, Any] = {
        "context": spec.context,
        # bake would look for a relative one in the context; every other path is relative to its working directory.
        "dockerfile": str(project.absolute() / spec.dockerfile),
        "target": spec.target,
        "platforms": [str(spec.platform)],
        "args": build_args(spec),
        "contexts": spec.contexts,
        "labels": spec.labels,
        "annotations": manifest_annotations(spec),
        "secret": spec.secrets,
        "ssh": spec.ssh,
        "cache-from": spec.cache_from,
        "cache-to": cache_exports(spec),
        "network": None if spec.network == "default" else spec.network,
        "pull": spec.pull,
        "no-cache": spec.no_cache,
        "resources": {
            key: value if key == "memory" else int(value) for key, value in resources(planned.limits).items()
        },
        "attest": [
            f"type=provenance,{provenance_of(spec)}",
            f"type=sbom,disabled={'false' if spec.sbom else 'true'}",
        ],
        "output": [output_of(planned, folder)],
    }
    return {key: _literal(value) for key, value in fields.items() if value not in (None, (), {}, False)}


def _literal(value: Any) -> Any:
    """Keep bake from filling in `${…}` and `%{…}`: in its JSON every text is an HCL template."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, Mapping):
        return {_literal(key): _literal(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(member) for member in value]
    return value
