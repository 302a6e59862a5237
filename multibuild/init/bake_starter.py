"""The text of a first config for a project that has a bake or compose file. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from multibuild.frozen import frozen
from multibuild.init.starter import ImageName, comma_separated, yaml_scalar
from multibuild.platforms import Platform

MAX_LISTED = 20
"""Images that a comment names."""


@frozen
class BakeStarter:
    """The values of a first config that takes its images from `files`, by name: what bake says of each.

    `image` is for those that bake gives no tag, `platforms` for those that it gives none. Of several with the same tag
    (services of a compose file that run one image) the first is built.
    """

    files: tuple[str, ...]
    images: Mapping[str, Mapping[str, Any]]
    image: ImageName
    platforms: tuple[Platform, ...]
    linked: frozenset[str] = frozenset()
    """Images that only others are built from: they come along unasked."""

    @property
    def untagged(self) -> tuple[str, ...]:
        """Return the images that need a name of this file."""
        return tuple(name for name, keys in self.images.items() if "image" not in keys)

    @property
    def needs_platforms(self) -> bool:
        """Whether bake leaves an image without platforms."""
        return any("platforms" not in keys for keys in self.images.values())

    @property
    def duplicates(self) -> Mapping[str, str]:
        """Return the images that would have a tag of another one: name → the other."""
        owners: dict[str, str] = {}
        duplicates: dict[str, str] = {}
        for name, keys in self.images.items():
            references = [
                f"{repository}:{tag}"
                for repository in (keys.get("image"), *keys.get("destinations", ()))
                for tag in keys.get("tags", ())
            ]
            owner = next((owners[reference] for reference in references if reference in owners), None)
            if owner is not None:
                duplicates[name] = owner
            else:
                owners |= dict.fromkeys(references, name)
        return duplicates

    @property
    def built(self) -> tuple[str, ...]:
        """Return the images that the config builds."""
        return tuple(name for name in self.images if name not in self.duplicates)

    def text(self) -> str:
        """Return the text of the file."""
        return "\n".join(self._lines()) + "\n"

    def _lines(self) -> Iterator[str]:
        yield "# What is built, for which platforms, and where it goes. `multibuild schema` knows every key."
        yield "version: 1"
        if self.untagged:
            yield f"# For {_listed(self.untagged)}, which the definition gives no tag:"
            yield f"image: {self.image.name}/{{name}}" + (
                f"  # {self.image.guess}" if self.image.guess else ""
            )
        if self.needs_platforms:
            yield "# Of every image that the definition gives none:"
            yield f"platforms: [{comma_separated(self.platforms)}]"
        files = f"files: [{', '.join(map(yaml_scalar, self.files))}]"
        if self.duplicates:
            pairs = [f"{name} ({owner})" for name, owner in self.duplicates.items()]
            yield f"# Left out, as another one has the tag already: {_listed(pairs)}."
            targets = (name for name in self.built if name not in self.linked)
            files = f"{files}, targets: [{', '.join(map(yaml_scalar, targets))}]"
        yield f"# The images are the targets of these files: {_listed(self.built)}."
        yield f"bake: {{{files}}}"
        yield "# What goes on top, by name or pattern; a test must succeed in every image before any tag moves:"
        yield '# images: {"*": {test: {run: ["app", "--version"]}}}'


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more
