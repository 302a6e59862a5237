"""The exact `buildx build` arguments of one platform. Pure."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from multibuild.plan.planned_platform import PlannedPlatform, StepLimits
    from multibuild.plan.spec import BuildSpec


CPU_PERIOD_US = 100_000
"""Microseconds over which a processor's time is shared out (sched-bwc.rst)."""


def build_arguments(planned: PlannedPlatform, folder: Path | None = None) -> tuple[str, ...]:
    """Return the arguments after `docker buildx`, without progress and metadata file (they differ per attempt).

    The working directory is the project directory. `folder` is for the layout of a child that is not pushed; it
    differs per attempt too, and without it the command has a path that every user can write to.
    """
    spec = planned.spec
    return (
        "build",
        *("--builder", planned.node.builder),
        *("--platform", str(spec.platform)),
        *("--file", spec.dockerfile),
        *(("--target", spec.target) if spec.target else ()),
        *_pairs("--build-arg", build_args(spec)),
        *_pairs("--build-context", spec.contexts),
        *_pairs("--label", spec.labels),
        *_each("--annotation", manifest_annotations(spec)),
        *_each("--secret", spec.secrets),
        *_each("--ssh", spec.ssh),
        *_each("--cache-from", spec.cache_from),
        *_each("--cache-to", cache_exports(spec)),
        *(("--network", spec.network) if spec.network != "default" else ()),
        *(("--pull",) if spec.pull else ()),
        *(("--no-cache",) if spec.no_cache else ()),
        *_pairs("--resource", resources(planned.limits)),
        *spec.build_flags,
        f"--provenance={'false' if spec.provenance is False else provenance_of(spec)}",
        f"--sbom={'true' if spec.sbom else 'false'}",
        *("--output", output_of(planned, folder)),
        spec.context,
    )


def resources(limits: StepLimits) -> dict[str, str]:
    """Return the limits of each RUN as buildx names them (`--resource`, since 0.35): memory in bytes.

    Processors are a share of a period, as docker's `--cpus` is.
    """
    memory = {} if limits.memory is None else {"memory": str(limits.memory)}
    if limits.cpus is None:
        return memory
    return {**memory, "cpu-period": str(CPU_PERIOD_US), "cpu-quota": str(round(limits.cpus * CPU_PERIOD_US))}


def build_environ(*, all_local: bool) -> dict[str, str]:
    """Return the environment of a build; `all_local` is whether only this machine builds.

    Only a digest is read of the metadata file, so no provenance need be in it. Of two processors buildx leaves one to
    the engine: with both it took 1.6 s of processor time to send 300 MB, of which 0.3 s were Go's own. Of more, Go
    itself knows best how many it may use (affinity, limits of a cgroup).
    """
    limit = {"GOMAXPROCS": "1"} if all_local and os.cpu_count() == 2 else {}
    return {**limit, **os.environ, "BUILDX_METADATA_PROVENANCE": "disabled"}


def output_of(planned: PlannedPlatform, folder: Path | None = None) -> str:
    """Return the value of `--output`: an image to push, or a layout in `folder`.

    `oci-mediatypes` is always in it: the default differs between drivers and BuildKit versions.
    """
    spec, staging = planned.spec, planned.staging
    media_types = f"oci-mediatypes={'true' if spec.media_type == 'oci' else 'false'}"
    rewrite = () if spec.source_date_epoch is None else ("rewrite-timestamp=true",)
    if staging.kind == "layout":
        dest = folder or Path("/tmp/multibuild") / spec.platform.slug  # noqa: S108 - only for display
        return _csv(["type=oci", f"dest={dest}", "tar=false", media_types, *rewrite])
    fields = ["type=image", f"name={staging.reference}", "push=true"]
    if staging.kind == "digest":
        fields += ["push-by-digest=true", "name-canonical=true"]
    fields.append(media_types)
    # Staged children stay out of the image list of the engine, or of containerd behind a BuildKit (one without any
    # ignores it). There two platforms that are exported at once under one name fail: `image "…": already exists`.
    fields.append("store=false")
    fields += rewrite
    if rewrite and planned.node.driver == "docker":
        # With the image store, unpacking and rewriting timestamps exclude each other.
        fields.append("unpack=false")
    if staging.insecure:
        fields.append("registry.insecure=true")
    return _csv(fields)


def provenance_of(spec: BuildSpec) -> str:
    """Return the provenance attestation as `--attest` spells it."""
    return "disabled=true" if spec.provenance is False else f"mode={spec.provenance}"


def build_args(spec: BuildSpec) -> dict[str, str]:
    """Return the build arguments, with SOURCE_DATE_EPOCH for a reproducible build."""
    epoch = {} if spec.source_date_epoch is None else {"SOURCE_DATE_EPOCH": str(spec.source_date_epoch)}
    return {**spec.args, **epoch}


def manifest_annotations(spec: BuildSpec) -> tuple[str, ...]:
    """Return the annotations of the image's manifest as buildx spells them: its own default type differs by command."""
    return tuple(f"manifest:{key}={value}" for key, value in spec.annotations.items())


def cache_exports(spec: BuildSpec) -> tuple[str, ...]:
    """Return the caches to write, none of which can fail the build."""
    return tuple(map(_with_ignored_errors, spec.cache_to))


def _with_ignored_errors(cache: str) -> str:
    """Add `ignore-error`: a cache that cannot be written must not fail a build that has succeeded."""
    if "=" not in cache:  # buildx's short form of a registry's
        return f"type=registry,ref={cache},ignore-error=true"
    plain = cache.startswith("type=inline") or "ignore-error=" in cache or "type=" not in cache
    return cache if plain else f"{cache},ignore-error=true"


def _pairs(flag: str, values: Mapping[str, str]) -> Iterator[str]:
    for key, value in values.items():
        yield from (flag, f"{key}={value}")


def _each(flag: str, values: tuple[str, ...]) -> Iterator[str]:
    for value in values:
        yield from (flag, value)


def _csv(fields: list[str]) -> str:
    """Return one CSV record, as buildx parses it."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(fields)
    return line.getvalue()
