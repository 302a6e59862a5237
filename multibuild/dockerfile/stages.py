"""The stages of a Dockerfile that a target needs: which are in the image, and on which platform each runs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from multibuild.dockerfile.parse import Dockerfile, Stage
from multibuild.errors import ConfigError
from multibuild.frozen import frozen

_BUILD_PLATFORM = re.compile(r"\$(?:BUILDPLATFORM|\{BUILDPLATFORM(?::?-[^}$]*)?\})")

Role = Literal["image", "builder"]
RunsOn = Literal["target", "build", "fixed"]


@frozen
class UsedStage:
    """A stage that the target needs.

    `chain` is the stage, followed by those it is FROM; `role` is "image" for one the target is FROM, "builder" for one
    it only copies files from. `runs_on`: the target platform, the builder's own (`--platform=$BUILDPLATFORM`), or a
    fixed one written in the file. `images` are those it copies or mounts from.
    """

    chain: tuple[Stage, ...]
    role: Role
    runs_on: RunsOn
    images: tuple[str, ...]

    @property
    def stage(self) -> Stage:
        """The stage itself."""
        return self.chain[0]

    @property
    def root(self) -> Stage:
        """The stage that is FROM an image: it decides the platform of all that are FROM it."""
        return self.chain[-1]

    @property
    def label(self) -> str:
        """The name for messages: the stage's name, else its image."""
        return f"stage {self.stage.name}" if self.stage.name else f"FROM {self.stage.base}"

    @property
    def args(self) -> frozenset[str]:
        """The names that it declares with ARG, or inherits."""
        return frozenset(name for stage in self.chain for name in stage.args)


def used_stages(stages: Sequence[Stage], target: str | None) -> tuple[UsedStage, ...]:
    """Return the stages that `target` (default the last stage) needs, in the order of the file.

    Raises ConfigError when there is no such stage, or none at all.
    """
    earlier = tuple(_earlier(stages))
    roles: dict[int, Role] = {}
    pending: list[tuple[int, Role]] = [(_target_index(earlier[-1], target), "image")]
    while pending:
        index, role = pending.pop()
        if roles.get(index) in {"image", role}:
            continue
        roles[index] = role
        parent = earlier[index].find(stages[index].base)
        if parent is not None:
            pending.append((parent, role))
        sources = map(earlier[index].find_or_count, stages[index].copies_from)
        pending += [(source, "builder") for source in sources if source is not None]
    return tuple(
        UsedStage(
            chain=chain,
            role=roles[index],
            runs_on=_runs_on(chain[-1].platform),
            images=tuple(
                name
                for name in stages[index].copies_from
                if not name.isdigit() and earlier[index].find(name) is None
            ),
        )
        for index in sorted(roles)
        for chain in (_chain(stages, earlier, index),)
    )


def needed_images(dockerfile: Dockerfile, target: str | None) -> tuple[str, ...]:
    """Return the images that a build of `target` (default the last stage) pulls: BuildKit skips unused stages.

    All of the file's where it is not clear which are used: no such target, or a variable unknown here in a name.
    """
    try:
        used = used_stages(dockerfile.stages, target)
    except ConfigError:
        return dockerfile.images
    names = {name for stage in used for name in (stage.root.base, *stage.images)}
    if any("$" in name for name in names):
        return dockerfile.images
    return tuple(image for image in dockerfile.images if image in names)


@frozen
class _Earlier:
    """The stages before a place in the file: how many, and the index of the latest of each name."""

    count: int
    names: Mapping[str, int]

    def find(self, name: str) -> int | None:
        """Return the index of a stage by name, as in FROM."""
        return self.names.get(name.lower())

    def find_or_count(self, name: str) -> int | None:
        """Return the index of a stage by name or number, as in `--from=`; `²` and the like are no numbers."""
        if not name.isdigit():
            return self.find(name)
        number = int(name) if name.isascii() and len(name) < 10 else self.count
        return number if number < self.count else None


def _earlier(stages: Sequence[Stage]) -> Iterator[_Earlier]:
    """Yield what is before each stage, and at last what is before the end of the file."""
    names: dict[str, int] = {}
    for index, stage in enumerate(stages):
        yield _Earlier(count=index, names=dict(names))
        names |= {stage.name: index} if stage.name else {}
    yield _Earlier(count=len(stages), names=names)


def _target_index(stages: _Earlier, target: str | None) -> int:
    if not stages.count:
        raise ConfigError("the Dockerfile has no FROM line", hint="its first instruction is FROM an image")
    if target is None:
        return stages.count - 1
    index = stages.find_or_count(target)
    if index is None:
        names = ", ".join(stages.names)
        raise ConfigError(
            f"the Dockerfile has no stage '{target}'",
            hint=f"its stages are {names}" if names else "its stages have no names: write FROM … AS name",
        )
    return index


def _chain(stages: Sequence[Stage], earlier: Sequence[_Earlier], index: int) -> tuple[Stage, ...]:
    chain = [stages[index]]
    while (parent := earlier[index].find(chain[-1].base)) is not None:
        chain.append(stages[parent])
        index = parent
    return tuple(chain)


def _runs_on(platform: str) -> RunsOn:
    if _BUILD_PLATFORM.fullmatch(platform):
        return "build"
    return "fixed" if platform and "$" not in platform else "target"
