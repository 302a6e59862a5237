"""The bake file of several platforms: what `plan/build_command.py` says in flags, as one document. Pure.

Fields: docs.docker.com/build/bake/reference. Secrets and SSH agents are named as in the config, never by value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from multibuild.plan.build_command import build_args, cache_exports, output_of, provenance_of
from multibuild.plan.plan import PlannedPlatform


def target_name(planned: PlannedPlatform) -> str:
    """Name a platform's target: letters, digits, dashes and underscores are all that bake takes."""
    return planned.slug.replace(".", "_")


def bake_document(
    items: Sequence[PlannedPlatform],
    project: Path,
    folders: Mapping[str, Path | None] = MappingProxyType({}),
) -> dict[str, Any]:
    """Compose the bake file of platforms that one node builds; `project` is what its paths count from.

    `folders` by target take the layouts of children that are not pushed.
    """
    targets = {
        target_name(planned): _target(planned, project, folders.get(target_name(planned)))
        for planned in items
    }
    return {"group": {"default": {"targets": list(targets)}}, "target": targets}


def bake_arguments(items: Sequence[PlannedPlatform], file: str) -> tuple[str, ...]:
    """Give the arguments after `docker buildx`, without progress and metadata file.

    The config names every file that is read, so bake need not ask whether it may.
    """
    return ("bake", "--builder", items[0].node.builder, "--allow", "fs=*", "--allow", "ssh", "--file", file)


def _target(planned: PlannedPlatform, project: Path, folder: Path | None) -> dict[str, Any]:
    spec = planned.spec
    told: dict[str, Any] = {
        "context": spec.context,
        # From the context is where bake would look for a relative one; every other path counts from where it runs.
        "dockerfile": str(project.absolute() / spec.dockerfile),
        "target": spec.target,
        "platforms": [str(spec.platform)],
        "args": build_args(spec),
        "contexts": spec.contexts,
        "labels": spec.labels,
        "secret": spec.secrets,
        "ssh": spec.ssh,
        "cache-from": spec.cache_from,
        "cache-to": cache_exports(spec),
        "network": None if spec.network == "default" else spec.network,
        "pull": spec.pull,
        "no-cache": spec.no_cache,
        "attest": [
            f"type=provenance,{provenance_of(spec)}",
            f"type=sbom,disabled={'false' if spec.sbom else 'true'}",
        ],
        "output": [output_of(planned, folder)],
    }
    return {key: _literal(value) for key, value in told.items() if value not in (None, (), {}, False)}


def _literal(value: Any) -> Any:
    """Keep bake from filling in `${…}` and `%{…}`: in its JSON every text is an HCL template."""
    if isinstance(value, str):
        return value.replace("${", "$${").replace("%{", "%%{")
    if isinstance(value, Mapping):
        return {_literal(key): _literal(planned) for key, planned in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(planned) for planned in value]
    return value
