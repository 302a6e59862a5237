"""Fingerprints: the digest of everything that goes into a child, so that a later run can prove that nothing changed.

Of the Dockerfile and the context counts what the target can use, if that is certain (multibuild/dockerfile/reach.py).
ONBUILD triggers of a base image could use any of both; so the configs of bases are read where it makes a difference.
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
from multibuild.builds.unit_inputs import IMAGE, OTHER_SCHEMES, Unit, bases_of, images_of, read_unit
from multibuild.config.referenced_files import is_url
from multibuild.dockerfile.context_digest import (
    IsCancelled,
    stat_digest,
)
from multibuild.dockerfile.reach import Reach
from multibuild.dockerfile.take_apart import EPOCH
from multibuild.errors import MultibuildError
from multibuild.frozen import frozen
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.plan.spec import IMAGE_OF_FILE, BuildSpec
from multibuild.platforms import Platform
from multibuild.resolve.base_triggers import BaseImage

GIT_LABELS = "BUILDX_GIT_LABELS"
"""With this variable buildx adds labels of the checkout to the image, which no fingerprint knows."""

Resolve = Callable[[Iterable[str]], Mapping[str, str | None]]
"""Returns the current digests of image references at their registries; None for one that cannot be read."""

FindTriggers = Callable[[Iterable[BaseImage]], frozenset[BaseImage]]
"""Returns the base images that have ONBUILD triggers, or may have."""


IsRecorded = Callable[["Fingerprint"], bool]
"""Whether an earlier run has made this very fingerprint, and recorded it. Asked after `Resolve` has returned."""


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
    `names` are the files of the context that count. `whole` are the fingerprints of everything in Dockerfiles and
    contexts, for platforms that are built from another image of the file, and `whole_names` the files: they hold if
    that one is among the platforms that `may_leave_triggers`.
    """

    platforms: Mapping[Platform, Fingerprint]
    whole: Mapping[Platform, Fingerprint] = field(default_factory=dict)
    whole_names: Mapping[Platform, frozenset[str]] = field(default_factory=dict)
    may_leave_triggers: frozenset[Platform] = frozenset()
    names: Mapping[Platform, frozenset[str]] = field(default_factory=dict)
    context_bytes: Mapping[str, int] = field(default_factory=dict)
    mtime_stamp: str = ""


def fingerprint_platforms(
    project: Path,
    specs: Mapping[Platform, BuildSpec],
    resolve: Resolve,
    is_cancelled: IsCancelled = lambda: False,
    sent: SentTrees | None = None,
    *,
    find_triggers: FindTriggers = frozenset,
    is_recorded: IsRecorded = lambda _fingerprint: False,
) -> PlanFingerprints:
    """Fingerprint platforms: read contexts and Dockerfiles, and meanwhile `resolve` all base images at once.

    When `is_cancelled` becomes true it ends soon, with fingerprints that have no digest. Directories that are `sent`
    for other images too are read once. Without `find_triggers` all bases count as having some.

    A fingerprint that an earlier run has recorded (`is_recorded`) needs no look at the bases: they are in it by their
    digests, and that run has found no triggers in them.
    """
    units = {platform: read_unit(project, spec) for platform, spec in specs.items()}
    trees = _trees(project, specs, sent or SentTrees())
    stamp = mtime_stamp(project, specs, trees)
    images = {image: None for unit in units.values() if unit.spec.pull for image in images_of(unit)}
    with ThreadPoolExecutor(max_workers=1) as pool:
        resolution = pool.submit(resolve, images)
        sent_whole = {p: _sent(unit, trees, is_cancelled, None) for p, unit in units.items()}
        sent_target = {
            p: _sent(unit, trees, is_cancelled, unit.reach.target)
            for p, unit in units.items()
            if unit.reach.target is not None
        }
    digests = resolution.result()
    whole = {p: _fingerprint(project, units[p], units[p].reach.whole, sent_whole[p], digests) for p in units}
    of_target = {
        p: _fingerprint(project, units[p], units[p].reach.target, sent, digests)
        for p, sent in sent_target.items()
    }
    smaller = {p: one for p, one in of_target.items() if one != whole[p] and not is_cancelled()}
    recorded = {p: one for p, one in smaller.items() if is_recorded(one)}
    bases = {p: bases_of(units[p], digests) for p in smaller.keys() - recorded.keys()}
    suspects = find_triggers(base for own in bases.values() for base in own or ())
    free = {p: smaller[p] for p, own in bases.items() if own is not None and suspects.isdisjoint(own)}
    holding = recorded | free
    return PlanFingerprints(
        platforms={**whole, **holding},
        whole={p: whole[p] for p in holding if units[p].is_built_from_image},
        whole_names={p: sent_whole[p]["context"].names for p in holding if units[p].is_built_from_image},
        may_leave_triggers=frozenset(p for p, unit in units.items() if unit.reach.may_leave_triggers),
        names={p: (sent_target if p in holding else sent_whole)[p]["context"].names for p in units},
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


def _sent(
    unit: Unit, trees: Mapping[tuple[str, str], SentTree], is_cancelled: IsCancelled, reach: Reach | None
) -> dict[str, SentContent]:
    """Return what counts of the directories that are sent, by part: of the context what is in reach."""
    context = trees.get(("context", unit.spec.dockerfile))
    paths = reach.paths if reach is not None else None
    sent = {"context": context.content(is_cancelled, paths) if context is not None else _FETCHED}
    for name, source in unit.spec.contexts.items():
        if not source.startswith((IMAGE, IMAGE_OF_FILE)):
            tree = trees.get(("named", source))
            sent[f"context {name}"] = tree.content(is_cancelled) if tree is not None else _FETCHED
    return sent


def _fingerprint(
    project: Path,
    unit: Unit,
    reach: Reach | None,
    sent: Mapping[str, SentContent],
    digests: Mapping[str, str | None],
) -> Fingerprint:
    spec, text = unit.spec, unit.text
    # Where cache is read and written does not change the result.
    settings = asdict(_without_places(project, spec))
    if not spec.annotations:
        del settings["annotations"]  # as in the journals of versions that had none
    dockerfile = "" if text is None else _digest(text if reach is None else reach.text)
    parts = {"settings": _digest(settings), "Dockerfile": dockerfile}
    if os.environ.get(EPOCH):
        parts[EPOCH] = os.environ[EPOCH]
    if os.environ.get(GIT_LABELS):
        parts[f"labels of {GIT_LABELS}"] = ""
    unknown = [] if spec.pull else ["local base images (pull: false)"]
    adds_urls = unit.dockerfile.adds_urls if reach is None else reach.adds_urls
    unknown += ["what ADD fetches"] if adds_urls else []
    parts |= {part: content.digest or "" for part, content in sent.items()}
    for image in images_of(unit):
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
