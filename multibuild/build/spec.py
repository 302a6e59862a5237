"""What makes a child what it is, and where it is staged: the input of one build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from multibuild.platforms import Platform


@dataclass(frozen=True, kw_only=True, slots=True)
class BuildSpec:
    """Everything that goes into one platform's child; paths are relative to the project directory.

    `source_date_epoch` (seconds since 1970) is set for reproducible builds. `secrets` and `ssh` are buildx specs:
    ids and where the value is found, never the value.
    """

    platform: Platform
    context: str
    dockerfile: str
    target: str | None
    args: Mapping[str, str]
    contexts: Mapping[str, str]
    labels: Mapping[str, str]
    secrets: tuple[str, ...]
    ssh: tuple[str, ...]
    cache_from: tuple[str, ...]
    cache_to: tuple[str, ...]
    network: str
    pull: bool
    no_cache: bool
    build_flags: tuple[str, ...]
    provenance: Literal["min", "max"] | bool
    sbom: bool
    media_type: Literal["oci", "docker"]
    source_date_epoch: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Staging:
    """Where a child is pushed before any tag moves: by digest into a repository, or under a tag of its own.

    `reference` is `host/repository` for kind "digest" and `host/repository:tag` for kind "tag".
    """

    kind: Literal["digest", "tag"]
    reference: str
    insecure: bool
