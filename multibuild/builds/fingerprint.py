"""Fingerprints: the digest of everything that goes into a child, so that a later run can prove that nothing changed.

A remote context, `ADD` from a URL, a base that cannot be resolved or local bases (`pull: false`) leave a platform
without a digest, and it is built anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, field, replace
from pathlib import Path
from typing import Any

from multibuild.builds.sent_trees import SentContent, SentTree, SentTrees
from multibuild.config.referenced_files import is_url
from multibuild.dockerfile.context_digest import (
    IsCancelled,
    stat_digest,
)
from multibuild.dockerfile.parse import Dockerfile, load_text, read_dockerfile
from multibuild.dockerfile.stages import needed_images
from multibuild.errors import MultibuildError
from multibuild.frozen import frozen
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.spec import IMAGE_OF_FILE, BuildSpec
from multibuild.platforms import Platform

IMAGE = "docker-image://"
OTHER_SCHEMES = (IMAGE, IMAGE_OF_FILE, "oci-layout://", "target:", "input:")
"""Named contexts that are no local directory."""

EPOCH = "SOURCE_DATE_EPOCH"
"""buildx hands this variable of its environment on as a build argument."""

GIT_LABELS = "BUILDX_GIT_LABELS"
"""With this variable buildx adds labels of the checkout to the image, which no fingerprint knows."""

Resolve = Callable[[Iterable[str]], Mapping[str, str | None]]
"""Returns the current digests of image references at their registries; None for one that cannot be read."""


@frozen
class Fingerprint:
    """What goes into one platform: each part's digest or text. `unknown` lists the parts without one."""

    parts: Mapping[str, str]
    unknown: str = ""

    @property
    def digest(self) -> str | None:
        """The SHA-256 of all parts in hex; None where one is unknown."""
        return None if self.unknown else _digest(dict(self.parts))


@frozen
class PlanFingerprints:
    """The fingerprints of a plan's platforms, and what the walk through the context showed besides.

    `context_bytes` is by Dockerfile, as the ignore file may differ; `mtime_stamp` changes with every write to a file.
    """

    platforms: Mapping[Platform, Fingerprint]
    context_bytes: Mapping[str, int] = field(default_factory=dict)
    mtime_stamp: str = ""


def fingerprint_platforms(
    project: Path,
    specs: Mapping[Platform, BuildSpec],
    resolve: Resolve,
    is_cancelled: IsCancelled = lambda: False,
    sent: SentTrees | None = None,
) -> PlanFingerprints:
    """Fingerprint platforms: read contexts and Dockerfiles, and meanwhile `resolve` all base images at once.

    When `is_cancelled` becomes true it ends soon, with fingerprints that have no digest. Directories that are `sent`
    for other images too are read once.
    """
    dockerfiles = {
        platform: read_dockerfile(_text(project, spec) or "", spec.args) for platform, spec in specs.items()
    }
    trees = _trees(project, specs, sent or SentTrees())
    stamp = mtime_stamp(project, specs, trees)
    images = {
        image: None
        for platform, spec in specs.items()
        if spec.pull
        for image in _images(spec, dockerfiles[platform])
    }
    with ThreadPoolExecutor(max_workers=1) as pool:
        resolution = pool.submit(resolve, images)
        contents = {key: tree.content(is_cancelled) for key, tree in trees.items()}
    digests = resolution.result()
    return PlanFingerprints(
        platforms={
            platform: _fingerprint(project, spec, dockerfiles[platform], contents, digests)
            for platform, spec in specs.items()
        },
        context_bytes={
            dockerfile: tree.bytes for (kind, dockerfile), tree in trees.items() if kind == "context"
        },
        mtime_stamp=stamp,
    )


def mtime_stamp(
    project: Path,
    specs: Mapping[Platform, BuildSpec],
    trees: Mapping[tuple[str, str], SentTree] | None = None,
) -> str:
    """Return the stamp of the files as they are now: that of PlanFingerprints if none was written to since.

    Dockerfiles count too: they may lie outside the context, or be ignored in it.
    """
    trees = _trees(project, specs, SentTrees()) if trees is None else trees
    stamps = {f"{kind} {name}": stat_digest(tree.files or ()) for (kind, name), tree in trees.items()}
    for dockerfile in {spec.dockerfile for spec in specs.values()}:
        stamps[f"Dockerfile {dockerfile}"] = _file_stamp(project / dockerfile)
    return _digest(stamps)


def _file_stamp(path: Path) -> str:
    try:
        info = path.stat()
    except (OSError, ValueError):
        return "None"
    return str((info.st_size, info.st_mtime_ns, info.st_ctime_ns))


def _trees(
    project: Path, specs: Mapping[Platform, BuildSpec], sent: SentTrees
) -> dict[tuple[str, str], SentTree]:
    """Walk every directory that is sent, once: by ("context", Dockerfile) and ("named", source)."""
    trees: dict[tuple[str, str], SentTree] = {}
    for spec in specs.values():
        key = ("context", spec.dockerfile)
        if key not in trees and not is_url(spec.context):
            trees[key] = sent.walk(project / spec.context, project / spec.dockerfile)
        for source in spec.contexts.values():
            if ("named", source) not in trees and not is_url(source) and not source.startswith(OTHER_SCHEMES):
                trees["named", source] = sent.walk(project / source, None)
    return trees


def _fingerprint(
    project: Path,
    spec: BuildSpec,
    dockerfile: Dockerfile,
    contents: Mapping[tuple[str, str], SentContent],
    digests: Mapping[str, str | None],
) -> Fingerprint:
    # Where cache is read and written does not change the result.
    settings = asdict(_without_places(project, spec))
    if not spec.annotations:
        del settings["annotations"]  # as in the journals of versions that had none
    text = _text(project, spec)
    parts = {"settings": _digest(settings), "Dockerfile": "" if text is None else _digest(text)}
    if os.environ.get(EPOCH):
        parts[EPOCH] = os.environ[EPOCH]
    if os.environ.get(GIT_LABELS):
        parts[f"labels of {GIT_LABELS}"] = ""
    unknown = [] if spec.pull else ["local base images (pull: false)"]
    unknown += ["what ADD fetches"] if dockerfile.adds_urls else []
    sent = {"context": contents.get(("context", spec.dockerfile), _FETCHED)}
    for name, source in spec.contexts.items():
        if not source.startswith((IMAGE, IMAGE_OF_FILE)):
            sent[f"context {name}"] = contents.get(("named", source), _FETCHED)
    parts |= {part: content.digest or "" for part, content in sent.items()}
    for image in _images(spec, dockerfile):
        parts[f"base {image}"] = digests.get(image) or ""
    problems = {part: f" ({content.problem})" for part, content in sent.items() if content.problem}
    unknown += [f"{part}{problems.get(part, '')}" for part, value in parts.items() if not value]
    return Fingerprint(parts=parts, unknown=", ".join(unknown))


_FETCHED = SentContent(problem="not a directory of this machine")


def _without_places(project: Path, spec: BuildSpec) -> BuildSpec:
    """Return a spec that is the same on every machine: where caches and directories are does not change the result."""

    def is_local(source: str) -> bool:
        return not is_url(source) and not source.startswith(OTHER_SCHEMES)

    return replace(
        spec,
        cache_from=(),
        cache_to=(),
        context=_relative(project, spec.context) if is_local(spec.context) else spec.context,
        dockerfile=_relative(project, spec.dockerfile) if is_local(spec.dockerfile) else spec.dockerfile,
        contexts={
            name: _relative(project, source) if is_local(source) else source
            for name, source in spec.contexts.items()
        },
    )


def _relative(project: Path, path: str) -> str:
    """Return an absolute path as one from the project; a relative one is kept as it is written."""
    return os.path.relpath(path, project) if os.path.isabs(path) else path  # noqa: PTH117 - a text


def _text(project: Path, spec: BuildSpec) -> str | None:
    """Read the Dockerfile; None for one that is fetched or cannot be read."""
    try:
        return load_text(project / spec.dockerfile, errors="surrogateescape")
    except (OSError, ValueError):
        return None


def _images(spec: BuildSpec, dockerfile: Dockerfile) -> list[str]:
    """Return the images that the target needs and no named context replaces, and the contexts that are images."""
    images = [image for image in needed_images(dockerfile, spec.target) if image not in spec.contexts]
    images += [dockerfile.syntax] if dockerfile.syntax else []
    sources = spec.contexts.values()
    return images + [source.removeprefix(IMAGE) for source in sources if source.startswith(IMAGE)]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def base_digest(registries: RegistrySession, image: str) -> str | None:
    """Return the current digest of a base image, without a request when the reference has it; None if unknown."""
    if "$" in image:
        return None
    try:
        return Reference.parse(image).digest or registry_digest(registries, image)
    except MultibuildError:
        return None


def registry_digest(registries: RegistrySession, name: str) -> str | None:
    """Return the digest that a registry has for a reference; None when it has none or cannot be asked."""
    try:
        reference = Reference.parse(name)
        descriptor = registries.of(reference.host).head(reference)
    except MultibuildError:
        return None
    return descriptor.digest if descriptor else None


def resolve_bases(registries: RegistrySession, images: Iterable[str]) -> dict[str, str | None]:
    """Return the current digests of base images, which registries are asked for all at once."""
    names = list(images)
    digests = registries.map(lambda image: base_digest(registries, image), names)
    return dict(zip(names, digests, strict=True))
