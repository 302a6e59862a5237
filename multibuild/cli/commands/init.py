"""`init`: write a first config for a Dockerfile."""

from __future__ import annotations

import os
import platform as machine
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Option

from multibuild.cli import completion
from multibuild.cli.request import Request, comma_list
from multibuild.cli.streams import print_json
from multibuild.errors import ConfigError, MultibuildError, UsageError
from multibuild.frozen import frozen
from multibuild.platforms import Platform
from multibuild.regular_file import is_file, is_there

if TYPE_CHECKING:
    from multibuild.init.bake_starter import BakeStarter
    from multibuild.init.proposal import Proposal
    from multibuild.init.starter import ImageName, StarterConfig


@frozen
class InitRequest(Request):
    """The flags of `init`."""

    image: Annotated[str | None, Option("--image", help="Where to publish, without tag; else a guess.")] = (
        None
    )
    dockerfile: Annotated[Path | None, Option("--dockerfile", help="Which one, if there are several.")] = None
    target: Annotated[str | None, Option("--target", help="The build stage; default the last.")] = None
    platforms: Annotated[
        tuple[str, ...],
        Option(
            "--platform",
            help="Which platforms; `all` are all possible ones.",
            autocompletion=completion.platforms,
        ),
    ] = ()


def init(request: InitRequest) -> int:
    """Write a first config for a Dockerfile or a bake file.

    It proposes the platforms that the base images really have, says why not others, and never overwrites.
    """
    from multibuild.init.starter import ImageName, StarterConfig

    # Path.is_symlink raises for a name that is too long.
    if is_there(request.file) or os.path.islink(request.file):  # noqa: PTH114
        raise UsageError(
            f"{request.file}: exists already, and init never overwrites",
            hint="edit it, remove it, or name another with --file",
        )
    project = Path(os.path.abspath(request.file)).parent  # noqa: PTH100 - a link's own directory, as `load_config`
    image = ImageName(name=_image(request.image)) if request.image is not None else _guess(project)
    if request.dockerfile is None and request.target is None:
        bake = _bake(project, image, request.platforms)
        if bake is not None:
            _write(request.file, bake.text())
            _show_bake(request, bake)
            return 0
    dockerfile = _dockerfile(request, project)
    proposal = _choose(_propose(dockerfile, request.target), request.platforms)
    starter = StarterConfig(
        image=image, proposal=proposal, dockerfile=os.path.relpath(dockerfile, project), target=request.target
    )
    _write(request.file, starter.text())
    _show(request, starter)
    return 0


def _bake(project: Path, image: ImageName, platforms: tuple[str, ...]) -> BakeStarter | None:
    """Return a config of a project's bake or compose file; None where there is none that builds something."""
    from multibuild.bake.definition import find_bake_files, read_bake
    from multibuild.engine.docker import run_docker
    from multibuild.init.bake_starter import BakeStarter
    from multibuild.init.proposal import FALLBACK_PLATFORMS

    files = tuple(path.name for path in find_bake_files(project))
    if not files:
        return None
    try:
        images = read_bake(run_docker, project=project, environ=os.environ, files=files)
    except MultibuildError as error:
        _warn(f"{', '.join(files)}: {error.message}", "the config is for the Dockerfile alone")
        return None
    if not images:
        return None
    words = comma_list(platforms)
    chosen = tuple(map(Platform.parse, words)) if words and words != ("all",) else ()
    return BakeStarter(
        files=files,
        images={one.name: one.keys for one in images},
        linked=frozenset(one.name for one in images if one.linked),
        image=image,
        platforms=chosen or _platforms_of(project, [one.keys for one in images]) or FALLBACK_PLATFORMS,
    )


def _platforms_of(project: Path, images: Sequence[Mapping[str, Any]]) -> tuple[Platform, ...]:
    """Return the platforms that are proposed for every image whose Dockerfile can be read.

    What is built from another image has that one's.
    """
    chosen: list[tuple[Platform, ...]] = []
    for keys in images:
        with suppress(ConfigError):
            if not keys.get("contexts"):
                path = project / str(keys.get("dockerfile", "Dockerfile"))
                chosen.append(_propose(path, keys.get("target")).chosen)
    return tuple(
        platform for platform in (chosen[0] if chosen else ()) if all(platform in one for one in chosen)
    )


def _show_bake(request: InitRequest, starter: BakeStarter) -> None:
    if request.json:
        print_json(
            {
                "file": str(request.file),
                "bake": list(starter.files),
                "images": list(starter.built),
                "platforms": [str(platform) for platform in starter.platforms],
            }
        )
    elif not request.quiet:
        option = f" -f {request.file}" if str(request.file) != "multibuild.yaml" else ""
        for name, owner in starter.duplicates.items():
            _warn(f"{name} would have a tag of {owner}, and is left out", "give it a tag of its own")
        print(f"wrote {request.file} for the targets of {', '.join(starter.files)}")
        print("\n".join(_wrapped("images", ", ".join(starter.built))))
        print("\n".join(_wrapped("next", f"`multibuild plan{option}`, and `multibuild all{option}`")))


def _dockerfile(request: InitRequest, project: Path) -> Path:
    """Return the only Dockerfile; ConfigError for several or none."""
    from multibuild.config.referenced_files import find_dockerfiles

    if request.dockerfile is not None:
        if not is_file(request.dockerfile):
            raise ConfigError(
                f"there is no Dockerfile {request.dockerfile}", hint="name it with --dockerfile"
            )
        return request.dockerfile.absolute()
    if is_file(project / "Dockerfile"):
        return project / "Dockerfile"
    files = find_dockerfiles(project, project)
    if len(files) == 1:
        return files[0]
    listed = ", ".join(str(path.relative_to(project)) for path in files[:5])
    raise ConfigError(
        f"{project}: there is no Dockerfile" + (", but several that could be meant" if files else ""),
        hint=f"name one with --dockerfile: {listed}"
        if files
        else "go to a project, or name it with --dockerfile",
    )


def _image(text: str) -> str:
    from pydantic_core import PydanticCustomError

    from multibuild.config.field_types import check_repository
    from multibuild.config.problems import NOT_SHOWN
    from multibuild.redact import redacted

    try:
        return check_repository(text)
    except PydanticCustomError as error:
        context = error.context or {}
        hint = context.get("hint") if redacted(text) == text else NOT_SHOWN
        raise UsageError(f"--image {context.get('message')}", hint=hint) from None


def _guess(project: Path) -> ImageName:
    from multibuild.config.git import GitError, GitFacts
    from multibuild.init.starter import guess_image

    try:
        remote = GitFacts(project).url
    except GitError as error:  # only a guess is missing then
        _warn(f"the image's name is not guessed from git: {error.message}", error.hint or "")
        remote = ""
    return guess_image(remote, project.name)


def _propose(dockerfile: Path, target: str | None) -> Proposal:
    from multibuild.dockerfile.parse import load_text
    from multibuild.host.base_images import platforms_of
    from multibuild.init.proposal import images_to_query, propose_platforms

    try:
        text = load_text(dockerfile)
    except OSError as error:
        raise ConfigError(
            f"{dockerfile}: {error.strerror}", hint="name a Dockerfile that can be read"
        ) from None
    builder = Platform.parse(machine.machine())
    try:
        answers = platforms_of(images_to_query(text, target, builder))
        return propose_platforms(text, target, answers, builder)
    except ConfigError as error:
        raise ConfigError(f"{dockerfile}: {error.message}", hint=error.hint) from None


def _choose(proposal: Proposal, texts: tuple[str, ...]) -> Proposal:
    """Choose the platforms of `--platform`; `all` means all possible ones."""
    from dataclasses import replace

    from multibuild.init.starter import comma_separated, reasons_by_image

    words = comma_list(texts)
    if not words:
        if not proposal.chosen:
            why = "; ".join(reasons_by_image(proposal.impossible))
            raise ConfigError(f"no platform is possible: {why}", hint="name what you want with --platform")
        return proposal
    chosen = proposal.possible if words == ("all",) else tuple(dict.fromkeys(map(Platform.parse, words)))
    bad = [
        proposal.impossible.get(platform, f"no base image has {platform}")
        for platform in chosen
        if platform not in proposal.possible and not proposal.unknown
    ]
    if bad:
        raise UsageError(
            f"--platform: {'; '.join(bad)}", hint=f"possible: {comma_separated(proposal.possible)}"
        )
    return replace(proposal, chosen=chosen)


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as created:
            created.write(text)
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be written: {error.strerror}", hint="check the directory"
        ) from error


def _show(request: InitRequest, starter: StarterConfig) -> None:
    proposal = starter.proposal
    for image, why in proposal.unknown.items():
        _warn(f"what {image} has is not known: {why}", "the platforms are a guess: check them")
    for warning in proposal.warnings:
        location = f"{starter.dockerfile}:{warning.line}: " if warning.line else ""
        _warn(f"{location}{warning.message}", warning.hint)
    if request.json:
        print_json(_document(request, starter))
    elif not request.quiet:
        print("\n".join(_summary(request, starter)))


def _warn(message: str, hint: str) -> None:
    print(f"warning: {message}", file=sys.stderr)
    if hint:
        print(f"hint:    {hint}", file=sys.stderr)


def _summary(request: InitRequest, starter: StarterConfig) -> Iterator[str]:
    """Yield the content of the file, within 80 columns."""
    from multibuild.init.starter import comma_separated, reasons_by_image

    proposal = starter.proposal
    yield f"wrote {request.file} for {starter.image.name}"
    yield from _wrapped("builds", comma_separated(proposal.chosen))
    more = comma_separated([platform for platform in proposal.possible if platform not in proposal.chosen])
    yield from _wrapped("possible", more) if more else ()
    for line in reasons_by_image(proposal.impossible):
        yield from _wrapped("not", line)
    first = f"put the image's name into {request.file}, then " if starter.image.guess else ""
    option = f" -f {request.file}" if str(request.file) != "multibuild.yaml" else ""
    yield from _wrapped("next", f"{first}`multibuild doctor{option}`, and `multibuild all{option}`")


def _wrapped(label: str, text: str) -> list[str]:
    from textwrap import wrap

    return wrap(
        text,
        80,
        initial_indent=f"  {label:<10}",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _document(request: InitRequest, starter: StarterConfig) -> dict[str, object]:
    proposal = starter.proposal
    return {
        "file": str(request.file),
        "image": starter.image.name,
        "image_guessed": bool(starter.image.guess),
        "dockerfile": starter.dockerfile,
        "platforms": [str(platform) for platform in proposal.chosen],
        "possible": [str(platform) for platform in proposal.possible],
        "impossible": {str(platform): reason for platform, reason in proposal.impossible.items()},
        "unknown": dict(proposal.unknown),
        "warnings": [
            {
                "line": warning.line,
                "message": warning.message,
                "hint": warning.hint,
                "rule": warning.rule,
            }
            for warning in proposal.warnings
        ],
    }
