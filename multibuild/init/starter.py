"""The text of a first config: only what is worth seeing, each with its reason. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from multibuild.frozen import frozen
from multibuild.init.proposal import Proposal
from multibuild.platforms import Platform

HOSTS = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
"""Where code hosts keep the images of their repositories (docs.github.com/packages, docs.gitlab.com/user/packages)."""

_REMOTE = re.compile(r"(?:[a-z+]+://(?:[^@/]*@)?|(?:[^@/]*@))([^/:]+)(?::\d+)?[:/]+(.+?)(?:\.git)?/?\Z")


@frozen
class ImageName:
    """The image's name; `guess` says where it was guessed from, empty when it was given."""

    name: str
    guess: str = ""


def guess_image(remote: str, folder: str) -> ImageName:
    """Guess an image's name from git's origin (its URL, or empty), else from the directory's name."""
    found = _REMOTE.match(remote)
    if found and found[1].lower() in HOSTS:
        path = "/".join(part for part in map(_component, found[2].split("/")) if part)
        return ImageName(
            name=f"{HOSTS[found[1].lower()]}/{path}", guess="a guess from git's origin: check it"
        )
    last = found[2].rpartition("/")[2] if found else folder
    return ImageName(
        name=f"registry.example.org/{_component(last) or 'app'}",
        guess="a placeholder: put your registry here",
    )


def _component(text: str) -> str:
    """Make a path component of a repository (distribution/reference): lower case, separators single and inside."""
    return re.sub(r"[^a-z0-9]+", lambda run: run[0][0] if run[0][0] in "._-" else "-", text.lower()).strip(
        "._-"
    )


@frozen
class StarterConfig:
    """What a first config says."""

    image: ImageName
    proposal: Proposal
    dockerfile: str = "Dockerfile"
    context: str = "."
    target: str | None = None

    def text(self) -> str:
        """Give the file."""
        return "\n".join([*self._head(), *self._platforms(), *self._tail()]) + "\n"

    def _head(self) -> Iterator[str]:
        yield "# What is built, for which platforms, and where it goes. `multibuild schema` knows every key."
        yield "version: 1"
        yield f"image: {self.image.name}" + (f"  # {self.image.guess}" if self.image.guess else "")
        yield "# A commit with the git tag v1.2.3 gives the tag 1.2.3; without one it is dropped."
        yield 'tags: ["${git.semver}", latest]'
        if self.context != ".":
            yield f"context: {yaml_scalar(self.context)}"
        if self.dockerfile != "Dockerfile":
            yield f"dockerfile: {yaml_scalar(self.dockerfile)}"
        if self.target is not None:
            yield f"target: {yaml_scalar(self.target)}"

    def _platforms(self) -> Iterator[str]:
        found = self.proposal
        for image, why in found.unknown.items():
            yield from _comment(f"What {image} has is not known: {why}")
        yield "platforms:"
        yield from (f"  - {platform}" for platform in found.chosen)
        more = [platform for platform in found.possible if platform not in found.chosen]
        if more:
            yield "  # Possible too; each costs a build:"
            yield from (f"  # - {platform}" for platform in more)
        if found.impossible:
            yield "  # Not possible:"
            yield from (f"  #   {line}" for line in reasons_by_image(found.impossible))

    def _tail(self) -> Iterator[str]:
        yield "# A command that must succeed in every image before any tag moves:"
        yield '# test: {run: ["app", "--version"]}'


def reasons_by_image(impossible: Mapping[Platform, str]) -> tuple[str, ...]:
    """Say why platforms are not possible, those with the same reason together."""
    grouped: dict[str, list[str]] = {}
    for platform, reason in impossible.items():
        image, _, line = reason.partition(f" has no {platform} ")
        grouped.setdefault(f"{image} {line}", []).append(str(platform))
    return tuple(f"{', '.join(names)}: not in {reason}" for reason, names in grouped.items())


def names(platforms: Iterable[Platform]) -> str:
    """List platforms in a line."""
    return ", ".join(map(str, platforms))


def yaml_scalar(text: str) -> str:
    """Write a text as YAML, in quotes where it needs them: `on`, `0x10` and `1_000` are no texts without."""
    import yaml

    plain = re.fullmatch(r"[A-Za-z0-9./][A-Za-z0-9._/-]*", text) and not re.fullmatch(r"[-+.0-9eE]+", text)
    return text if plain and yaml.safe_load(text) == text else "'" + text.replace("'", "''") + "'"


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in text.splitlines())
