"""The origins of the foreign files in a child that was just built: its Dockerfile is read here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.config.referenced_files import is_url
from multibuild.dockerfile.parse import load_text
from multibuild.errors import ConfigError, MultibuildError
from multibuild.oci.image import read_child
from multibuild.oci.manifest import as_mapping
from multibuild.oci.reference import Reference
from multibuild.oci.registry_session import RegistrySession
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.plan.children import PlatformChild
    from multibuild.plan.spec import BuildSpec
    from multibuild.prove.content.proof import ContentProof
    from multibuild.prove.origin.content_origin import ContentOrigin
    from multibuild.prove.origin.trace import BuiltFrom

Origins = Mapping[Platform, tuple["ContentOrigin", ...]]

MAX_LINES = 8
"""Origins in the error of a run; the report has more."""

_IGNORE_HINT = "legitimate foreign files can be named in `verify.ignore`"


def origins_of(
    proof: ContentProof, child: PlatformChild, project: Path | None, registries: RegistrySession
) -> tuple[ContentOrigin, ...]:
    """Return where the foreign files of a failed proof come from.

    `project` is what the Dockerfile's path begins at, None where the child was not built from it; `registries` are
    asked for the ONBUILD instructions of its base images.
    """
    if proof.status != "failed" or not proof.foreign:
        return ()
    # Imported with the first failure: it needs the rules of lint.
    from multibuild.prove.origin.trace import trace

    built_from = _built_from(child.planned.spec, project) if project is not None else None
    triggers = _Triggers(registries, child.planned.platform)
    return trace(
        proof.foreign, child.child.config.raw, len(child.child.layers), built_from, triggers.layers_below
    )


class _Triggers:
    """The base images of one platform that have ONBUILD instructions, each read once."""

    def __init__(self, registries: RegistrySession, platform: Platform) -> None:
        self._registries = registries
        self._platform = platform
        self._known: dict[str, int | None] = {}

    def layers_below(self, image: str) -> int | None:
        """Return how many layers an image has that has some; None for another, or one that cannot be read."""
        if image not in self._known:
            self._known[image] = self._read(image)
        return self._known[image]

    def _read(self, image: str) -> int | None:
        try:
            reference = Reference.parse(image)
            base = read_child(reference, self._registries.of(reference.host).impatient, self._platform)
        except MultibuildError:
            return None
        has_some = bool(as_mapping(base.config.raw.get("config")).get("OnBuild"))
        return len(base.layers) if has_some else None


def _built_from(spec: BuildSpec, project: Path) -> BuiltFrom | None:
    """Return the Dockerfile of a build; None for one that is not on this disk, or no longer."""
    from multibuild.prove.origin.trace import BuiltFrom

    if is_url(spec.context) or is_url(spec.dockerfile):
        return None
    try:
        text = load_text(project / spec.dockerfile)
    except (OSError, ConfigError):
        return None
    return BuiltFrom(
        text=text,
        file=spec.dockerfile,
        platform=spec.platform,
        target=spec.target,
        args=spec.args,
        contexts=frozenset(spec.contexts),
    )


def origin_lines(origins: Origins) -> list[str]:
    """Return the origins of several platforms as indented lines: what platforms have in common in one."""
    platforms: dict[str, list[str]] = {}
    for platform, traced in origins.items():
        for one in traced:
            platforms.setdefault(one.text, []).append(str(platform))
    lines = [f"  {', '.join(names)}: {text}" for text, names in platforms.items()]
    return [*lines[:MAX_LINES], *([f"  and {len(lines) - MAX_LINES} more"] if len(lines) > MAX_LINES else [])]


def origin_hint(origins: Origins) -> str:
    """Return the next step: what explains the rules that were named, and how a file is let pass."""
    rules = {one.cause.rule: None for traced in origins.values() for one in traced if one.cause}
    return f"`multibuild lint` explains {', '.join(rules)}; {_IGNORE_HINT}" if rules else _IGNORE_HINT
