"""Names everything that goes into a child, so that a later run can prove that nothing changed.

A name is given only where everything can be known: a remote context, `ADD` from a URL, a base that cannot be
resolved or local bases (`pull: false`) leave a platform without one, and it is built anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.build.dockerfile import Dockerfile, read_dockerfile
from multibuild.build.spec import BuildSpec
from multibuild.config.files import is_remote
from multibuild.errors import MultibuildError

if TYPE_CHECKING:
    from multibuild.plan import Plan
    from multibuild.platforms import Platform

CHUNK = 1024 * 1024
LATE_SOURCES = ("oci-layout://", "target:", "input:")
"""Named contexts that only BuildKit can resolve."""

ResolveBase = Callable[[str], str | None]
"""Gives the digest that an image reference has at its registry now; None when it cannot be had."""


def inputs_of(plan: Plan, resolve: ResolveBase) -> dict[Platform, str | None]:
    """Name the inputs of every platform of a plan: a SHA-256 in hex, or None where they cannot be known.

    Reads the context (once per Dockerfile, as its ignore file may differ) and asks registries for base digests.
    """
    contexts: dict[str, str | None] = {}
    bases: dict[str, str | None] = {}

    def base(image: str) -> str | None:
        if image not in bases:
            bases[image] = resolve(image)
        return bases[image]

    found = {}
    for item in plan.platforms:
        key = item.spec.dockerfile
        if key not in contexts:
            contexts[key] = _context(plan.loaded.project, item.spec)
        found[item.platform] = _name(plan.loaded.project, item.spec, contexts[key], base)
    return found


def _name(project: Path, spec: BuildSpec, context: str | None, resolve: ResolveBase) -> str | None:
    if context is None or not spec.pull:
        return None
    text = (project / spec.dockerfile).read_text(encoding="utf-8", errors="replace")
    described = read_dockerfile(text, spec.args)
    digests = _digests(described, spec.contexts, resolve)
    named = _named_contexts(project, spec.contexts, resolve)
    if described.fetches or digests is None or named is None:
        return None
    # Where cache is read and written does not change what comes out.
    told = asdict(replace(spec, cache_from=(), cache_to=()))
    whole = json.dumps([told, text, context, digests, named], sort_keys=True)
    return hashlib.sha256(whole.encode()).hexdigest()


def _digests(
    described: Dockerfile, contexts: Mapping[str, str], resolve: ResolveBase
) -> list[list[str]] | None:
    """Resolve every image of a Dockerfile that is not replaced by a named context."""
    images = [image for image in described.images if image not in contexts]
    images += [described.syntax] if described.syntax else []
    found = []
    for image in images:
        digest = None if "$" in image else resolve(image)
        if digest is None:
            return None
        found.append([image, digest])
    return found


def _named_contexts(
    project: Path, contexts: Mapping[str, str], resolve: ResolveBase
) -> dict[str, str] | None:
    found = {}
    for name, source in contexts.items():
        if source.startswith("docker-image://"):
            value = resolve(source.removeprefix("docker-image://"))
        elif is_remote(source) or source.startswith(LATE_SOURCES):
            value = None
        else:
            value = tree_digest(project / source, ())
        if value is None:
            return None
        found[name] = value
    return found


def _context(project: Path, spec: BuildSpec) -> str | None:
    """Hash the context as its ignore file leaves it: `<Dockerfile>.dockerignore`, else `.dockerignore`."""
    if is_remote(spec.context):
        return None
    context = project / spec.context
    own, common = project / f"{spec.dockerfile}.dockerignore", context / ".dockerignore"
    ignore = own if own.is_file() else common
    patterns = ignore.read_text(encoding="utf-8", errors="replace").splitlines() if ignore.is_file() else []
    return tree_digest(
        context, [line.strip() for line in patterns if line.strip() and not line.startswith("#")]
    )


def tree_digest(root: Path, ignored: list[str] | tuple[()]) -> str | None:
    """Hash names, kinds, permissions, link targets and contents below `root`; None when something cannot be read.

    Times are left out: BuildKit leaves them out of its cache keys too. `ignored` are .dockerignore patterns.
    """
    from docker.utils import exclude_paths

    whole = hashlib.sha256()
    try:
        names = sorted(exclude_paths(str(root), list(ignored)))
        for name in names:
            _add(whole, root / name, name)
    except OSError:
        return None
    return whole.hexdigest()


def _add(whole: hashlib._Hash, path: Path, name: str) -> None:
    info = path.lstat()
    kind = stat.S_IFMT(info.st_mode)
    whole.update(
        f"{name}\0{info.st_mode:o}\0{info.st_size if kind == stat.S_IFREG else 0}\0".encode(
            "utf-8", "surrogateescape"
        )
    )
    if kind == stat.S_IFLNK:
        whole.update(os.fsencode(path.readlink()))
    elif kind == stat.S_IFREG:
        with path.open("rb") as file:
            while chunk := file.read(CHUNK):
                whole.update(chunk)


def resolver(plan: Plan, say: Callable[[str], None]) -> ResolveBase:
    """Make the function that asks registries, with the credentials and settings of the plan's config."""
    from multibuild.publish.reference import Reference
    from multibuild.publish.session import RegistrySession

    def resolve(image: str) -> str | None:
        with RegistrySession(plan.config, say=say) as registries:
            try:
                reference = Reference.parse(image)
                if reference.digest:
                    return reference.digest
                found = registries.of(reference.host).head(reference)
            except MultibuildError:
                return None
        return found.digest if found else None

    return resolve
