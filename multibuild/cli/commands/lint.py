"""`lint`: mistakes in Dockerfiles that put the wrong architecture into an image."""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from multibuild.cli import completion
from multibuild.cli.request import Platforms, Request, Sets, chosen_platforms, has_config, load_project
from multibuild.cli.streams import live, print_json
from multibuild.errors import ConfigError, EnvironmentFault, UsageError
from multibuild.frozen import frozen
from multibuild.regular_file import is_file

if TYPE_CHECKING:
    from multibuild.lint.finding import Finding
    from multibuild.lint.linted_file import LintedFile

# A registry on this machine answers at once, or not at all.
_LOCAL = re.compile(r"(?:localhost|127\.0\.0\.1):\d{1,5}/\S")
_LOCAL_TIMEOUT_S = 1.0

FORMATS = ("text", "json", "sarif", "github")


@frozen
class LintRequest(Request):
    """The flags of `lint`."""

    dockerfiles: Annotated[
        tuple[Path, ...],
        Argument(metavar="DOCKERFILE", help="Dockerfiles; default those of the config, else ./Dockerfile."),
    ] = ()
    fix: Annotated[bool, Option("--fix", help="Rewrite what can be proven, and show a diff.")] = False
    format: Annotated[
        str,
        Option(
            "--format",
            help="text, json, sarif (2.1.0) or github (annotations).",
            autocompletion=completion.fixed(*FORMATS),
        ),
    ] = "text"
    target: Annotated[
        str | None, Option("--target", help="The build stage; default the config's, else the last.")
    ] = None
    online: Annotated[bool, Option("--online", help="Ask registries what the bases have.")] = False
    platforms: Platforms = ()
    sets: Sets = ()


def lint(request: LintRequest) -> int:
    """Find mistakes that put the wrong architecture into an image.

    Needs no config and no engine; with a config it knows platforms, target and arguments. `# multibuild: ignore=RULE`
    above a line, or `lint.ignore` in the config, leaves a finding out.
    """
    from multibuild.lint.lint import fails

    if request.format not in FORMATS:
        raise UsageError(f"--format {request.format}: no such format", hint=f"there are {', '.join(FORMATS)}")
    fail, files = _files(request)
    findings: list[Finding] = []
    for file in files:
        text = _read(file)
        found = _online(request, file, text)
        if request.fix:
            text = _fix(request, file, text, found)
        findings += found(text)
    _print(request, findings)
    return ConfigError.exit_code if fails(findings, fail) else 0


def _files(request: LintRequest) -> tuple[str, tuple[LintedFile, ...]]:
    """Return the level that fails, and the files with what they are built with."""
    from multibuild.lint.linted_file import LintedFile, assumed_platforms
    from multibuild.lint.view import LintInput

    only = chosen_platforms(request)
    if has_config(request.file):
        from multibuild.workflow.lint import configured_files, strictest

        images = load_project(request).images
        own = configured_files(images, only)
        by_path = {os.path.realpath(file.path): file for file in own}
        fail = strictest(images)
        ignore = tuple(dict.fromkeys(entry for loaded in images for entry in loaded.config.lint.ignore))
        listed = dict.fromkeys(entry.name for loaded in images for entry in loaded.config.platforms)
        platforms = only or tuple(listed)
        is_explicit = True
    else:
        own, by_path, fail, ignore = (), {}, "error", ()
        platforms, is_explicit = only or (), only is not None
    if not request.dockerfiles and own and request.target is None:
        return fail, own
    paths = request.dockerfiles or tuple(file.path for file in own) or (_only_dockerfile(),)
    files = []
    for path in paths:
        known = by_path.get(os.path.realpath(path))
        given = LintInput(
            platforms=platforms or assumed_platforms(path), target=request.target, explicit=is_explicit
        )
        other = LintedFile(path=path, name=str(path), inputs=(given,), ignore=ignore)
        files.append(known if known is not None and request.target is None else other)
    return fail, tuple(files)


def _only_dockerfile() -> Path:
    """Return ./Dockerfile; ConfigError without one."""
    for name in ("Dockerfile", "Containerfile"):
        if is_file(Path(name)):
            return Path(name)
    from multibuild.config.referenced_files import find_dockerfiles

    near = ", ".join(os.path.relpath(path) for path in find_dockerfiles(Path.cwd(), Path.cwd())[:5])
    raise ConfigError(
        "there is no Dockerfile here", hint=f"name one: multibuild lint {near}" if near else "name one"
    )


def _read(file: LintedFile) -> str:
    """Return the text of a file, so that it can be written again byte for byte."""
    from multibuild.dockerfile.parse import load_text

    try:
        return load_text(file.path, errors="surrogateescape")
    except OSError as error:
        raise ConfigError(
            f"{file.name}: {error.strerror}", hint="name a Dockerfile that can be read"
        ) from None


def _online(request: LintRequest, file: LintedFile, text: str) -> Callable[[str], Sequence[Finding]]:
    """Return the function from a text to findings; errors name the file."""

    def find(text: str) -> Sequence[Finding]:
        try:
            return known.find(text)
        except ConfigError as error:
            raise ConfigError(f"{file.name}: {error.message}", hint=error.hint) from None

    known = file if not request.online and not _LOCAL.search(text) else _with_bases(request, file, text)
    return find


def _with_bases(request: LintRequest, file: LintedFile, text: str) -> LintedFile:
    """Ask registries what the bases have: all of them with --online, otherwise those of this machine."""
    from multibuild.host.base_images import platforms_of
    from multibuild.lint.linted_file import with_bases

    if request.online:
        return with_bases(file, text, platforms_of)
    hosts = frozenset(match[0].partition("/")[0] for match in _LOCAL.finditer(text))
    return with_bases(file, text, lambda images: platforms_of(images, _LOCAL_TIMEOUT_S), hosts=hosts)


def _fix(request: LintRequest, file: LintedFile, text: str, find: Callable[[str], Sequence[Finding]]) -> str:
    """Rewrite a file and print what changed; return its text."""
    from multibuild.files import write_atomic
    from multibuild.lint.fix import diff, fixed_text

    kept = {entry.partition(":")[0] for entry in file.ignore if ":" in entry}
    fixed = fixed_text(text, lambda new: [one for one in find(new) if new == text or one.rule not in kept])
    if fixed == text:
        return text
    try:
        path = Path(os.path.realpath(file.path))
        write_atomic(path, fixed.encode("utf-8", "surrogateescape"), mode=stat.S_IMODE(path.stat().st_mode))
    except OSError as error:
        raise EnvironmentFault(
            f"{file.name}: cannot be written: {error.strerror}", hint="nothing changed"
        ) from None
    stream = sys.stdout if request.format == "text" and not request.json else sys.stderr
    for line in diff(text, fixed, file.name):
        print(line, file=stream)
    return fixed


def _print(request: LintRequest, findings: Sequence[Finding]) -> None:
    from multibuild.lint.formats import as_json, as_sarif, as_text

    if request.format == "json" or (request.json and request.format == "text"):
        print_json(as_json(findings))
    elif request.format == "sarif":
        print_json(as_sarif(findings))
    elif request.format == "github":
        _print_all(live(sys.stdout), _annotations(findings))
    else:
        shown = [one for one in findings if not request.quiet or one.level == "error"]
        _print_all(sys.stdout, as_text(shown))


def _print_all(stream: object, lines: Iterable[str]) -> None:
    for line in lines:
        print(line, file=stream)  # type: ignore[call-overload]


def _annotations(findings: Sequence[Finding]) -> Iterator[str]:
    from multibuild.cli.github import annotation

    levels = {"error": "error", "warning": "warning", "hint": "notice"}
    for one in findings:
        properties = {"file": one.file, "line": str(one.line), "col": str(one.column), "title": one.rule}
        yield annotation(levels[one.level], properties, f"{one.message}. {one.fix}")
