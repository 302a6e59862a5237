"""Lint the Dockerfiles of a config, as its platforms build them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from multibuild.config.referenced_files import is_url
from multibuild.config.yaml_document import KeyPath
from multibuild.dockerfile.parse import load_text, read_dockerfile
from multibuild.errors import ConfigError
from multibuild.lint.finding import Finding
from multibuild.lint.formats import as_text
from multibuild.lint.lint import fails
from multibuild.lint.linted_file import LintedFile
from multibuild.lint.rules import require_known
from multibuild.lint.view import LintInput
from multibuild.plan.plan import build_specs
from multibuild.platforms import Platform
from multibuild.qemu.explain_probe import Check
from multibuild.resolve.lint_index import lint_platform

if TYPE_CHECKING:
    from multibuild.config.load import LoadedConfig

MAX_SHOWN = 20
"""Findings in the error that stops a run; `lint` shows all."""


def configured_files(
    images: Sequence[LoadedConfig], only: Sequence[Platform] | None = None
) -> tuple[LintedFile, ...]:
    """Return the Dockerfiles that the images of a config are built from, each once.

    What one of its images ignores is ignored in a Dockerfile. ConfigError for a rule in `lint.ignore` that does not
    exist.
    """
    first = images[0]
    inputs: dict[str, list[LintInput]] = {}
    ignored: dict[str, dict[str, None]] = {}
    for loaded in images:
        ignore = loaded.config.lint.ignore
        require_known([entry.partition(":")[0] for entry in ignore], f"{loaded.path}: lint.ignore")
        for dockerfile, found in _inputs(loaded, only):
            inputs.setdefault(dockerfile, []).append(found)
            ignored.setdefault(dockerfile, {}).update(dict.fromkeys(ignore))
    return tuple(
        LintedFile(
            path=first.project / dockerfile,
            name=os.path.relpath(first.project / dockerfile),
            inputs=tuple(found),
            ignore=tuple(ignored[dockerfile]),
        )
        for dockerfile, found in inputs.items()
    )


def _inputs(loaded: LoadedConfig, only: Sequence[Platform] | None) -> Iterator[tuple[str, LintInput]]:
    """Yield the Dockerfiles of an image, with a target of it, and the platforms and arguments that it is built with."""
    groups: dict[tuple[str, str | None], dict[Platform, Mapping[str, str]]] = {}
    for platform, spec in build_specs(loaded, only).items():
        if not is_url(spec.dockerfile) and not is_url(spec.context):
            groups.setdefault((spec.dockerfile, spec.target), {})[platform] = spec.args
    for (dockerfile, target), args in groups.items():
        yield dockerfile, LintInput(platforms=tuple(args), target=target, args=args, explicit=True)


def strictest(images: Sequence[LoadedConfig]) -> Literal["error", "warning", "never"]:
    """Return the level that fails: of several images that of the strictest."""
    levels = {loaded.config.lint.fail for loaded in images}
    return "warning" if "warning" in levels else "error" if "error" in levels else "never"


def lint_project(
    images: Sequence[LoadedConfig], only: Sequence[Platform] | None = None
) -> tuple[Finding, ...]:
    """Return the findings in the Dockerfiles of a config, offline; none in a file for a frontend of its own."""
    findings: list[Finding] = []
    for file in configured_files(images, only):
        try:
            text = load_text(file.path)
        except OSError:
            continue  # the check of files names it
        syntax = read_dockerfile(text, images[0].config.args).syntax
        if syntax is None or "dockerfile" in syntax:
            findings += file.find(text)
    return tuple(findings)


def lint_checks(images: Sequence[LoadedConfig]) -> tuple[Check, ...]:
    """Return the findings as checks of `doctor`: a failure where `all` would stop, hints left out."""
    fail = strictest(images)
    return tuple(
        Check(
            name="lint",
            status="fail" if fails((one,), fail) else "warn",
            detail=f"{one.file}:{one.line}: {one.message} [{one.rule}]",
            hint=one.fix,
        )
        for one in lint_project(images)
        if one.level != "hint"
    )


def say_unreachable(images: Sequence[LoadedConfig], say: Callable[[str], None]) -> None:
    """Show the platforms that no client will look for in the index, as `inspect` does when it is published."""
    lines = [
        f"{loaded.place(key)}: {finding.detail}"
        for loaded in images
        for key, platform in _listed(loaded)
        for finding in lint_platform(platform)
        if finding.kind == "unreachable"  # `unknown` as a variant is asked for, and old hosts look for it
    ]
    for line in dict.fromkeys(lines):
        say(line)


def _listed(loaded: LoadedConfig) -> Iterator[tuple[KeyPath, Platform]]:
    for index, entry in enumerate(loaded.config.platforms):
        yield ("platforms", index, "name"), entry.name
        for number, platform in enumerate(entry.also_as):
            yield ("platforms", index, "also_as", number), platform


def show_findings(
    images: Sequence[LoadedConfig], only: Sequence[Platform] | None, say: Callable[[str], None]
) -> None:
    """Show the findings, and whether `all` would stop before the first build."""
    say_unreachable(images, say)
    fail = strictest(images)
    findings = lint_project(images, only)
    for line in as_text([one for one in findings if one.level != "hint"]):
        say(line)
    if fails(findings, fail):
        say(f"`all` would stop here: lint.fail is {fail}")


def require_clean(
    images: Sequence[LoadedConfig], only: Sequence[Platform] | None, say: Callable[[str], None]
) -> None:
    """Raise ConfigError before anything is built, if the Dockerfile has a finding of the level that fails.

    Others that are worse than a hint are said.
    """
    say_unreachable(images, say)
    if strictest(images) == "never":
        return
    findings = lint_project(images, only)
    if fails(findings, strictest(images)):
        failing = [one for one in findings if fails((one,), strictest(images))]
        lines = [*as_text(failing[:MAX_SHOWN])]
        if len(failing) > MAX_SHOWN:
            lines.append(f"and {len(failing) - MAX_SHOWN} more")
        raise ConfigError(
            "\n".join([f"{images[0].path}: the image would have the wrong architecture:", *lines]),
            hint="`multibuild lint --fix` mends what it can; `lint: {ignore: [RULE]}` or"
            " `# multibuild: ignore=RULE` above the line where it is meant so",
        )
    for line in as_text([one for one in findings if one.level != "hint"]):
        say(line)
