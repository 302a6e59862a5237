"""The inputs of one build, and where its child is staged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from multibuild.frozen import frozen
from multibuild.platforms import Platform


@frozen
class BuildSpec:
    """Everything that goes into one platform's child; paths are relative to the project directory.

    `source_date_epoch` (seconds since 1970) is set for reproducible builds. `secrets` and `ssh` are buildx specs:
    an id and the source of the value, never the value. `annotations` are those of the image's manifest.
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
    annotations: Mapping[str, str] = field(default_factory=dict)


IMAGE_OF_FILE = "image:"
"""Prefix of a build context that is another image of the same file, until that one's child is known."""

LAYOUTS = "oci:children/"
"""Prefix of references to layouts in a run's directory; relative, so that the directory can be moved."""


@frozen
class Staging:
    """Where a child is before any tag moves: in a repository, by digest or under a tag of its own, or in a layout.

    `reference` is `host/repository` for kind "digest", `host/repository:tag` for kind "tag", and for kind "layout"
    LAYOUTS with the platform's slug.
    """

    kind: Literal["digest", "tag", "layout"]
    reference: str
    insecure: bool


def repository_of(reference: str) -> str:
    """Return the `host/repository` of a reference that may end in a tag."""
    head, slash, last = reference.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"
