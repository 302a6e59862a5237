"""Names everything that goes into a child, so that a later run can prove that nothing changed.

A name is given only where everything can be known: a remote context, `ADD` from a URL, a base that cannot be
resolved or local bases (`pull: false`) leave a platform without one, and it is built anew.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from multibuild.config.referenced_files import is_url
from multibuild.dockerfile.context import ContextFile, IsCancelled, content_digest, context_files, stat_digest
from multibuild.dockerfile.ignore import Ignore, read_ignore
from multibuild.dockerfile.parse import Dockerfile, read_dockerfile
from multibuild.errors import MultibuildError
from multibuild.frozen import frozen
from multibuild.oci.reference import Reference
from multibuild.oci.registries import RegistrySession
from multibuild.plan.spec import BuildSpec
from multibuild.platforms import Platform

IMAGE = "docker-image://"
LATE_SOURCES = (IMAGE, "oci-layout://", "target:", "input:")
"""Named contexts that are no directory here."""

EPOCH = "SOURCE_DATE_EPOCH"
"""buildx hands this variable of its environment on as a build argument."""

Resolve = Callable[[Iterable[str]], Mapping[str, str | None]]
"""Gives the digests that image references have at their registries now; None for what cannot be had."""


@frozen
class Fingerprint:
    """What goes into one platform: each part's name or digest. `unknown` says what cannot be known, if anything."""

    parts: Mapping[str, str]
    unknown: str = ""

    @property
    def name(self) -> str | None:
        """Name the whole: a SHA-256 in hex; None where not all of it is known."""
        if self.unknown:
            return None
        return _digest(dict(self.parts))


@frozen
class PlanFingerprints:
    """The inputs of a plan's platforms, and what the walk through the context showed besides.

    `context_bytes` is by Dockerfile, as the ignore file may differ; `stamp` changes when any file is written to.
    """

    platforms: Mapping[Platform, Fingerprint]
    context_bytes: Mapping[str, int] = field(default_factory=dict)
    stamp: str = ""


@dataclass(frozen=True, slots=True)
class _Tree:
    """A directory that is sent: None for `files` where it cannot be read."""

    root: Path
    files: tuple[ContextFile, ...] | None

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files or ())

    def digest(self, unwanted: IsCancelled) -> str | None:
        try:
            return None if self.files is None else content_digest(self.root, self.files, unwanted)
        except OSError:
            return None


def fingerprint_platforms(
    project: Path,
    specs: Mapping[Platform, BuildSpec],
    resolve: Resolve,
    unwanted: IsCancelled = lambda: False,
) -> PlanFingerprints:
    """Read contexts and Dockerfiles, ask registries for base digests (all at once), and name what was found.

    When it becomes `unwanted` it ends soon, and what it gives names nothing.
    """
    described = {platform: _described(project, spec) for platform, spec in specs.items()}
    trees = _trees(project, specs)
    stamp = _stamp(project, specs, trees)
    images = {
        image: None
        for platform, spec in specs.items()
        if spec.pull
        for image in _images(spec, described[platform])
    }
    with ThreadPoolExecutor(max_workers=1) as pool:
        asking = pool.submit(resolve, images)
        contents = {key: tree.digest(unwanted) for key, tree in trees.items()}
    digests = asking.result()
    return PlanFingerprints(
        platforms={
            platform: _inputs(project, spec, described[platform], (contents, digests))
            for platform, spec in specs.items()
        },
        context_bytes={
            dockerfile: tree.bytes for (kind, dockerfile), tree in trees.items() if kind == "context"
        },
        stamp=stamp,
    )


def current_stamp(project: Path, specs: Mapping[Platform, BuildSpec]) -> str:
    """Take the stamp again: the same as in PlanFingerprints when nothing was written to since."""
    return _stamp(project, specs, _trees(project, specs))


def _trees(project: Path, specs: Mapping[Platform, BuildSpec]) -> dict[tuple[str, str], _Tree]:
    """Walk every directory that is sent, once: by ("context", Dockerfile) and ("named", source)."""
    found: dict[tuple[str, str], _Tree] = {}
    for spec in specs.values():
        key = ("context", spec.dockerfile)
        if key not in found and not is_url(spec.context):
            root = project / spec.context
            found[key] = _walked(root, read_ignore(root, project / spec.dockerfile))
        for source in spec.contexts.values():
            if ("named", source) not in found and not is_url(source) and not source.startswith(LATE_SOURCES):
                found["named", source] = _walked(project / source, read_ignore(project / source, None))
    return found


def _walked(root: Path, ignore: Ignore) -> _Tree:
    try:
        return _Tree(root, context_files(root, ignore))
    except OSError:
        return _Tree(root, None)


def _stamp(project: Path, specs: Mapping[Platform, BuildSpec], trees: Mapping[tuple[str, str], _Tree]) -> str:
    """Dockerfiles count too: they may lie outside the context, or be ignored in it."""
    marks = {f"{kind} {name}": stat_digest(tree.files or ()) for (kind, name), tree in trees.items()}
    for dockerfile in {spec.dockerfile for spec in specs.values()}:
        path = project / dockerfile
        info = path.stat() if path.exists() else None
        marks[f"Dockerfile {dockerfile}"] = str(info and (info.st_size, info.st_mtime_ns, info.st_ctime_ns))
    return _digest(marks)


def _inputs(
    project: Path,
    spec: BuildSpec,
    described: Dockerfile,
    known: tuple[Mapping[tuple[str, str], str | None], Mapping[str, str | None]],
) -> Fingerprint:
    contents, digests = known
    # Where cache is read and written does not change what comes out.
    told = asdict(replace(spec, cache_from=(), cache_to=()))
    text = _text(project, spec)
    parts = {"settings": _digest(told), "Dockerfile": "" if text is None else _digest(text)}
    if os.environ.get(EPOCH):
        parts[EPOCH] = os.environ[EPOCH]
    doubts = [] if spec.pull else ["local base images (pull: false)"]
    doubts += ["what ADD fetches"] if described.adds_urls else []
    directories = {"context": ("context", spec.dockerfile)}
    directories |= {
        f"context {name}": ("named", source)
        for name, source in spec.contexts.items()
        if not source.startswith(IMAGE)
    }
    for part, key in directories.items():
        parts[part] = contents.get(key) or ""
    for image in _images(spec, described):
        parts[f"base {image}"] = digests.get(image) or ""
    doubts += [part for part, value in parts.items() if not value]
    return Fingerprint(parts=parts, unknown=", ".join(doubts))


def _text(project: Path, spec: BuildSpec) -> str | None:
    """Read the Dockerfile; None for one that is fetched or cannot be read."""
    try:
        return (project / spec.dockerfile).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None


def _described(project: Path, spec: BuildSpec) -> Dockerfile:
    return read_dockerfile(_text(project, spec) or "", spec.args)


def _images(spec: BuildSpec, described: Dockerfile) -> list[str]:
    """Name every image of a Dockerfile that no named context replaces, and the contexts that are images."""
    images = [image for image in described.images if image not in spec.contexts]
    images += [described.syntax] if described.syntax else []
    return images + [s.removeprefix(IMAGE) for s in spec.contexts.values() if s.startswith(IMAGE)]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def base_digest(registries: RegistrySession, image: str) -> str | None:
    """Ask for the digest a base image has now; one that is named by digest need not be asked for."""
    if "$" in image:
        return None
    try:
        return Reference.parse(image).digest or held_digest(registries, image)
    except MultibuildError:
        return None


def held_digest(registries: RegistrySession, name: str) -> str | None:
    """Ask for the digest that a tag or digest of a registry leads to; None when it is not there or cannot be had."""
    try:
        reference = Reference.parse(name)
        found = registries.of(reference.host).head(reference)
    except MultibuildError:
        return None
    return found.digest if found else None


def resolver(registries: RegistrySession) -> Resolve:
    """Make the function that asks registries, all at once."""

    def resolve(images: Iterable[str]) -> dict[str, str | None]:
        asked = list(images)
        answers = registries.map(lambda image: base_digest(registries, image), asked)
        return dict(zip(asked, answers, strict=True))

    return resolve
