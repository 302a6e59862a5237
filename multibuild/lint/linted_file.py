"""A Dockerfile on this disk, and all that it is built with."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from multibuild.dockerfile.parse import read_dockerfile
from multibuild.frozen import frozen
from multibuild.lint.arch_names import arch_names
from multibuild.lint.finding import Finding
from multibuild.lint.lint import ASSUMED_PLATFORMS, ignored_by_config, lint_text
from multibuild.lint.view import LintInput, automatic_arguments
from multibuild.platforms import Platform

Ask = Callable[[Sequence[str]], Mapping[str, frozenset[Platform] | str]]
"""From images to their platforms, or why those are not known."""


@frozen
class LintedFile:
    """A Dockerfile on this disk, and what it is built with: one entry for each target it is built for."""

    path: Path
    name: str
    inputs: tuple[LintInput, ...]
    ignore: tuple[str, ...] = ()

    def find(self, text: str) -> tuple[Finding, ...]:
        """Return the findings in a text of the file."""
        found = dict.fromkeys(
            finding for given in self.inputs for finding in lint_text(text, self.name, given)
        )
        ordered = sorted(found, key=lambda one: (one.line, one.column, one.rule))
        return ignored_by_config(_once(ordered), self.ignore)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """Keep one of the findings that two targets share."""
    return list({(one.rule, one.line, one.column): one for one in reversed(findings)}.values())[::-1]


def with_bases(file: LintedFile, text: str, ask: Ask, *, hosts: frozenset[str] | None = None) -> LintedFile:
    """Ask which platforms the bases of a file have, and the frontend that `# syntax=` names.

    With `hosts` only the registries of these hosts are asked.
    """
    images: dict[str, None] = {}
    for given in file.inputs:
        for platform in given.platforms:
            args = given.args.get(platform, {})
            parsed = read_dockerfile(text, args, automatic=automatic_arguments(platform))
            images |= dict.fromkeys(image for image in parsed.images if "$" not in image)
            if parsed.syntax and "@sha256:" in parsed.syntax:
                images[parsed.syntax] = None
    chosen = [image for image in images if hosts is None or image.partition("/")[0] in hosts]
    if not chosen:
        return file
    bases = ask(tuple(chosen))
    return replace(file, inputs=tuple(replace(given, bases=bases) for given in file.inputs))


_ONE = re.compile(r"(?:Dockerfile|Containerfile)[.-](.+)|(.+)\.(?:Dockerfile|Containerfile)")


def assumed_platforms(path: Path) -> tuple[Platform, ...]:
    """Return the platforms that a file is most likely for: one that names an architecture is for that alone.

    `Dockerfile.arm64v8`, `armhf.Dockerfile` and `arm32v7/Dockerfile` are files for one platform each.
    """
    match = _ONE.fullmatch(path.name)
    for word in ((match[1] or match[2]) if match else "", path.absolute().parent.name):
        names = [name for name in arch_names(word) if name.text == word]
        if names:
            variant = names[0].variant if names[0].architecture == "arm" else ""
            return (Platform(os="linux", architecture=names[0].architecture, variant=variant).normalised(),)
    return ASSUMED_PLATFORMS
