"""What a target can use of a Dockerfile: its stages, global ARGs, and the paths of the context that these name.

Left out is what BuildKit skips for certain (frontend/dockerfile):

- stages that the target is not FROM and takes nothing from (dockerfile2llb, allReachableStages), and global ARGs whose
  name is nowhere in the others;
- comments and blank lines between instructions, which the parser drops. Within an instruction every byte counts, also
  of comments there;
- files of the context that no COPY, ADD or bind mount of the stages may name (it does not even ask for them: ctxPaths).

A file that might be read otherwise than here is not taken apart at all, and counts as it is: another frontend, another
escape character, ONBUILD, flags and instructions of later versions, variables where a stage is named, quotes around
them. Triggers of a base image are instructions of the stage, too, and may name any stage and file: see `Reach.bases`.
"""

from __future__ import annotations

from collections.abc import Sequence

from multibuild.dockerfile.context_paths import ContextPath
from multibuild.frozen import frozen

_NOTHING = "scratch"


class NotCertain(ValueError):
    """The frontend might read the file otherwise than it is read here."""


@frozen
class Base:
    """An image that a stage is FROM. `for_target`: it is the one for the target platform, else for any."""

    image: str
    for_target: bool


@frozen
class Reach:
    """What a build can use. `text` is the same for two Dockerfiles from which the same is built.

    `paths` are those of the context that it may read; None: any. `images` are those of its stages and of `--from`;
    of these `bases` must have no ONBUILD triggers.
    """

    text: tuple[object, ...]
    paths: tuple[ContextPath, ...] | None
    bases: tuple[Base, ...]
    images: tuple[str, ...]
    adds_urls: bool


@frozen
class DockerfileStage:
    """A stage with the numbers of those that it names: `base` of the one it is FROM, None for an image."""

    text: tuple[str, ...]
    image: str
    name: str
    platform: str
    base: int | None
    sources: tuple[int | str, ...] = ()
    paths: tuple[ContextPath, ...] | None = ()
    adds_urls: bool = False
    words: str = ""


@frozen
class GlobalArgument:
    """A global ARG instruction."""

    names: tuple[str, ...]
    text: str
    words: str


@frozen
class StagedDockerfile:
    """A Dockerfile taken apart."""

    stages: tuple[DockerfileStage, ...]
    arguments: tuple[GlobalArgument, ...] = ()
    directives: tuple[str, ...] = ()

    def whole(self) -> Reach:
        """Return the reach of everything in it, and in the context."""
        return self._reach(range(len(self.stages)), self.arguments, None)

    def reach(self, target: str | None) -> Reach:
        """Return what a target (default the last stage) can use; raises NotCertain where it is not clear."""
        pending, reached = [self._target(target)], set[int]()
        while pending:
            index = pending.pop()
            if index not in reached:
                reached.add(index)
                stage = self.stages[index]
                pending += [one for one in (stage.base, *stage.sources) if isinstance(one, int)]
        indexes = sorted(reached)
        paths: list[ContextPath] = []
        for index in indexes:
            own = self.stages[index].paths
            if own is None:
                return self._reach(indexes, self._used(indexes), None)
            paths += own
        return self._reach(indexes, self._used(indexes), tuple(dict.fromkeys(paths)))

    def _target(self, target: str | None) -> int:
        if target is None:
            return len(self.stages) - 1
        found = [index for index, stage in enumerate(self.stages) if stage.name == target.lower()]
        if not found:
            raise NotCertain("no stage has the target's name")
        return found[0]

    def _used(self, indexes: Sequence[int]) -> tuple[GlobalArgument, ...]:
        """Return the global ARGs of which a name is in the text of stages, or of an ARG that is used."""
        text = "\n".join(self.stages[index].words for index in indexes)
        used: set[int] = set()
        while True:
            more = {
                number
                for number, argument in enumerate(self.arguments)
                if number not in used and any(name in text for name in argument.names)
            }
            if not more:
                return tuple(self.arguments[number] for number in sorted(used))
            used |= more
            text = "\n".join(self.arguments[number].words for number in more)

    def _reach(
        self,
        indexes: Sequence[int],
        arguments: Sequence[GlobalArgument],
        paths: tuple[ContextPath, ...] | None,
    ) -> Reach:
        positions = {index: position for position, index in enumerate(indexes)}

        def named(one: int | str | None) -> int | str | None:
            return positions[one] if isinstance(one, int) else one

        stages = [self.stages[index] for index in indexes]
        bases = [
            Base(image=stage.image, for_target=not stage.platform)
            for stage in stages
            if stage.base is None and stage.image != _NOTHING
        ]
        copied = [
            source
            for stage in stages
            for source in stage.sources
            if isinstance(source, str) and source != _NOTHING
        ]
        return Reach(
            text=(
                self.directives,
                [argument.text for argument in arguments],
                [
                    [stage.text, named(stage.base), [named(source) for source in stage.sources]]
                    for stage in stages
                ],
            ),
            paths=paths,
            bases=tuple(dict.fromkeys(bases)),
            images=tuple(dict.fromkeys([*(base.image for base in bases), *copied])),
            adds_urls=any(stage.adds_urls for stage in stages),
        )
