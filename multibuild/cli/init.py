"""`init`: writes a first config for the Dockerfile it finds."""

from __future__ import annotations

import os
import platform as machine
import sys
from collections.abc import Iterator
from pathlib import Path

from multibuild.cli.output import print_json
from multibuild.errors import ConfigError, UsageError
from multibuild.frozen import frozen
from multibuild.host.base_images import platforms_of
from multibuild.init.proposal import Proposal, Remark, images_to_ask, propose
from multibuild.init.starter import Image, Starter, guess_image, names, reasons
from multibuild.platforms import Platform
from multibuild.terminal import printable


@frozen
class InitFlags:
    """The flags of `init`, as typed."""

    file: Path
    image: str | None = None
    dockerfile: Path | None = None
    target: str | None = None
    platforms: tuple[str, ...] = ()
    json: bool = False
    quiet: bool = False


def init(flags: InitFlags) -> int:
    """Write the config and say what is in it; exit 0 also where no registry could be asked.

    Raises UsageError when there is a config already, ConfigError when there is no Dockerfile or it is wrong.
    """
    if flags.file.exists() or flags.file.is_symlink():
        raise UsageError(
            f"{flags.file}: exists already, and init never overwrites",
            hint="edit it, remove it, or name another with --file",
        )
    project = Path(os.path.abspath(flags.file)).parent  # noqa: PTH100 - a link's own directory, as `load_config`
    dockerfile = _dockerfile(flags, project)
    image = Image(name=_image(flags.image)) if flags.image is not None else _guess(project)
    proposal = _narrowed(_propose(dockerfile, flags.target), flags.platforms)
    starter = Starter(
        image=image,
        proposal=proposal,
        dockerfile=os.path.relpath(dockerfile, project),
        target=flags.target,
    )
    _write(flags.file, starter.text())
    _show(flags, starter)
    return 0


def _dockerfile(flags: InitFlags, project: Path) -> Path:
    """Find the one Dockerfile there is; several, or none, are for a person to decide."""
    from multibuild.config.referenced_files import find_dockerfiles

    if flags.dockerfile is not None:
        if not flags.dockerfile.is_file():
            raise ConfigError(f"there is no Dockerfile {flags.dockerfile}", hint="name it with --dockerfile")
        return flags.dockerfile.absolute()
    if (project / "Dockerfile").is_file():
        return project / "Dockerfile"
    found = find_dockerfiles(project, project)
    if len(found) == 1:
        return found[0]
    listed = ", ".join(str(path.relative_to(project)) for path in found[:5])
    raise ConfigError(
        f"{project}: there is no Dockerfile" + (", but several that could be meant" if found else ""),
        hint=f"name one with --dockerfile: {listed}"
        if found
        else "go to a project, or name it with --dockerfile",
    )


def _image(text: str) -> str:
    from pydantic_core import PydanticCustomError

    from multibuild.config.field_types import check_repository

    try:
        return check_repository(text)
    except PydanticCustomError as error:
        said = error.context or {}
        raise UsageError(f"--image {said.get('message')}", hint=said.get("hint")) from None


def _guess(project: Path) -> Image:
    from multibuild.config.git import GitFacts

    return guess_image(GitFacts(project).url, project.name)


def _propose(dockerfile: Path, target: str | None) -> Proposal:
    text = dockerfile.read_text(encoding="utf-8-sig", errors="replace")
    builder = Platform.parse(machine.machine())
    try:
        answers = platforms_of(images_to_ask(text, target, builder))
        return propose(text, target, answers, builder)
    except ConfigError as error:
        raise ConfigError(f"{dockerfile}: {error.message}", hint=error.hint) from None


def _narrowed(found: Proposal, texts: tuple[str, ...]) -> Proposal:
    """Take the platforms that `--platform` names; `all` are all that are possible."""
    from dataclasses import replace

    said = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    if not said:
        if not found.chosen:
            why = "; ".join(reasons(found.impossible))
            raise ConfigError(f"no platform is possible: {why}", hint="name what you want with --platform")
        return found
    wanted = found.possible if said == ["all"] else tuple(dict.fromkeys(map(Platform.parse, said)))
    bad = [
        found.impossible.get(platform, f"no base image has {platform}")
        for platform in wanted
        if platform not in found.possible and not found.unknown
    ]
    if bad:
        raise UsageError(f"--platform: {'; '.join(bad)}", hint=f"possible: {names(found.possible)}")
    return replace(found, chosen=wanted)


def _write(file: Path, text: str) -> None:
    try:
        with file.open("x", encoding="utf-8") as created:
            created.write(text)
    except OSError as error:
        raise UsageError(
            f"{file}: cannot be written: {error.strerror}", hint="check the directory"
        ) from error


def _show(flags: InitFlags, starter: Starter) -> None:
    found = starter.proposal
    for image, why in found.unknown.items():
        _warn(f"what {image} has is not known: {why}", "the platforms are a guess: check them")
    for remark in found.remarks:
        place = f"{starter.dockerfile}:{remark.line}: " if remark.line else ""
        _warn(f"{place}{remark.message}", remark.hint)
    if flags.json:
        print_json(_document(flags, starter))
    elif not flags.quiet:
        print("\n".join(printable(line) for line in _summary(flags, starter)))


def _warn(message: str, hint: str) -> None:
    print(f"warning: {printable(message)}", file=sys.stderr)
    if hint:
        print(f"hint:    {printable(hint)}", file=sys.stderr)


def _summary(flags: InitFlags, starter: Starter) -> Iterator[str]:
    """Give what is in the file, within 80 columns."""
    found = starter.proposal
    yield f"wrote {flags.file} for {starter.image.name}"
    yield from _wrapped("builds", names(found.chosen))
    more = names([platform for platform in found.possible if platform not in found.chosen])
    yield from _wrapped("possible", more) if more else ()
    for line in reasons(found.impossible):
        yield from _wrapped("not", line)
    first = f"put the image's name into {flags.file}, then " if starter.image.guess else ""
    option = f" -f {flags.file}" if str(flags.file) != "multibuild.yaml" else ""
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


def _document(flags: InitFlags, starter: Starter) -> dict[str, object]:
    found = starter.proposal
    return {
        "file": str(flags.file),
        "image": starter.image.name,
        "image_guessed": bool(starter.image.guess),
        "dockerfile": starter.dockerfile,
        "platforms": [str(one) for one in found.chosen],
        "possible": [str(one) for one in found.possible],
        "impossible": {str(platform): reason for platform, reason in found.impossible.items()},
        "unknown": dict(found.unknown),
        "warnings": [_remark(remark) for remark in found.remarks],
    }


def _remark(remark: Remark) -> dict[str, object]:
    return {"line": remark.line, "message": remark.message, "hint": remark.hint}
