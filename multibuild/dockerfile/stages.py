"""The stages of a Dockerfile that a target needs: which are in the image, and on which platform each runs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from multibuild.dockerfile.parse import Stage
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
    roles: dict[int, Role] = {}
    pending: list[tuple[int, Role]] = [(_target_index(stages, target), "image")]
    while pending:
        index, role = pending.pop()
        if roles.get(index) in {"image", role}:
            continue
        roles[index] = role
        parent = _find(stages[:index], stages[index].base)
        if parent is not None:
            pending.append((parent, role))
        sources = (_find(stages[:index], name, by_number=True) for name in stages[index].copies_from)
        pending += [(source, "builder") for source in sources if source is not None]
    return tuple(
        UsedStage(
            chain=chain,
            role=roles[index],
            runs_on=_runs_on(chain[-1].platform),
            images=tuple(
                name
                for name in stages[index].copies_from
                if not name.isdigit() and _find(stages[:index], name) is None
            ),
        )
        for index in sorted(roles)
        for chain in (_chain(stages, index),)
    )


def _find(earlier: Sequence[Stage], name: str, *, by_number: bool = False) -> int | None:
    """Return the index of an earlier stage by name, the latest first, or, in `--from=`, by number."""
    if by_number and name.isdigit():
        return int(name) if int(name) < len(earlier) else None
    indexes = [index for index, stage in enumerate(earlier) if stage.name and stage.name == name.lower()]
    return indexes[-1] if indexes else None


def _target_index(stages: Sequence[Stage], target: str | None) -> int:
    if not stages:
        raise ConfigError("the Dockerfile has no FROM line", hint="its first instruction is FROM an image")
    if target is None:
        return len(stages) - 1
    index = _find(stages, target, by_number=True)
    if index is None:
        names = ", ".join(stage.name for stage in stages if stage.name)
        raise ConfigError(
            f"the Dockerfile has no stage '{target}'",
            hint=f"its stages are {names}" if names else "its stages have no names: write FROM … AS name",
        )
    return index


def _chain(stages: Sequence[Stage], index: int) -> tuple[Stage, ...]:
    chain = [stages[index]]
    while (parent := _find(stages[:index], chain[-1].base)) is not None:
        chain.append(stages[parent])
        index = parent
    return tuple(chain)


def _runs_on(platform: str) -> RunsOn:
    if _BUILD_PLATFORM.fullmatch(platform):
        return "build"
    return "fixed" if platform and "$" not in platform else "target"
