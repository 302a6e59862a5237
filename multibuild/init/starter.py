"""The text of a first config: image, platforms and keys that differ from their defaults, with comments. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from multibuild.frozen import frozen
from multibuild.init.proposal import Proposal
from multibuild.platforms import Platform
from multibuild.redact import redacted
from multibuild.terminal import one_line, printable

HOSTS = {"github.com": "ghcr.io", "gitlab.com": "registry.gitlab.com"}
"""The registries of code hosts (docs.github.com/packages, docs.gitlab.com/user/packages)."""

_REMOTE = re.compile(r"(?:[a-z+]+://(?:[^@/]*@)?|(?:[^@/]*@))([^/:]+)(?::\d+)?[:/]++(.+?)(?:\.git)?/?\Z")


@frozen
class ImageName:
    """An image's name; `guess` is a comment on the origin of a guess, empty for a name that the user chose."""

    name: str
    guess: str = ""


def guess_image(remote: str, folder: str) -> ImageName:
    """Guess an image's name from the URL of git's origin, or from the directory's name if there is none."""
    match = _REMOTE.match(remote)
    if match and match[1].lower() in HOSTS:
        path = "/".join(part for part in map(_component, match[2].split("/")) if part)
        return ImageName(
            name=f"{HOSTS[match[1].lower()]}/{path}", guess="a guess from git's origin: check it"
        )
    last = match[2].rpartition("/")[2] if match else folder
    return ImageName(
        name=f"registry.example.org/{_component(last) or 'app'}",
        guess="a placeholder: put your registry here",
    )


def _component(text: str) -> str:
    """Return a repository's path component (distribution/reference): lower case, with single, inner separators."""
    return re.sub(r"[^a-z0-9]+", lambda run: run[0][0] if run[0][0] in "._-" else "-", text.lower()).strip(
        "._-"
    )


@frozen
class StarterConfig:
    """The values of a first config."""

    image: ImageName
    proposal: Proposal
    dockerfile: str = "Dockerfile"
    context: str = "."
    target: str | None = None

    def text(self) -> str:
        """Return the text of the file."""
        return "\n".join([*self._header(), *self._platforms(), *self._footer()]) + "\n"

    def _header(self) -> Iterator[str]:
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
        proposal = self.proposal
        for image, reason in proposal.unknown.items():
            yield from _comment(f"What {image} has is not known: {reason}")
        yield "platforms:"
        yield from (f"  - {platform}" for platform in proposal.chosen)
        more = [platform for platform in proposal.possible if platform not in proposal.chosen]
        if more:
            yield "  # Possible too; each costs a build:"
            yield from (f"  # - {platform}" for platform in more)
        if proposal.impossible:
            yield "  # Not possible:"
            yield from (f"  #   {one_line(redacted(line))}" for line in reasons_by_image(proposal.impossible))

    def _footer(self) -> Iterator[str]:
        yield "# A command that must succeed in every image before any tag moves:"
        yield '# test: {run: ["app", "--version"]}'
        yield "# Let `all --if-changed` build only what changed, also on a CI runner that starts empty:"
        yield "# remember: true"


def reasons_by_image(impossible: Mapping[Platform, str]) -> tuple[str, ...]:
    """Return why platforms are not possible, one line for all with the same image and reason."""
    grouped: dict[str, list[str]] = {}
    for platform, reason in impossible.items():
        image, _, line = reason.partition(f" has no {platform} ")
        grouped.setdefault(f"{image} {line}", []).append(str(platform))
    return tuple(f"{', '.join(names)}: not in {reason}" for reason, names in grouped.items())


def comma_separated(platforms: Iterable[Platform]) -> str:
    """Return platforms as comma-separated text."""
    return ", ".join(map(str, platforms))


def yaml_scalar(text: str) -> str:
    """Return a text as YAML scalar, in quotes if it needs them: `on`, `0x10` and `1_000` are no strings without."""
    import yaml

    plain = re.fullmatch(r"[A-Za-z0-9./][A-Za-z0-9._/-]*", text) and not re.fullmatch(r"[-+.0-9eE]+", text)
    return text if plain and yaml.safe_load(text) == text else "'" + text.replace("'", "''") + "'"


def _comment(text: str) -> Iterator[str]:
    yield from (f"# {line}" for line in printable(redacted(text)).splitlines())
