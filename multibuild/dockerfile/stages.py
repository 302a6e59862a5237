"""Which stages of a Dockerfile end up in the image, which only build for it, and on what platform each runs. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from multibuild.dockerfile.parse import Stage
from multibuild.errors import ConfigError
from multibuild.frozen import frozen

_BUILD = re.compile(r"\$(?:BUILDPLATFORM|\{BUILDPLATFORM(?::?-[^}$]*)?\})")

Role = Literal["image", "builder"]
Where = Literal["target", "build", "fixed"]


@frozen
class UsedStage:
    """A stage that the target needs.

    `chain` is the stage and those it is FROM, itself first; `role` is "image" for one the target is FROM, "builder"
    for one it only takes files of. `where` it runs: on the platform built for, on the builder's own
    (`--platform=$BUILDPLATFORM`), or on the one written there. `images` are those it copies or mounts from.
    """

    chain: tuple[Stage, ...]
    role: Role
    where: Where
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
        """How to name it to people: its name, else its image."""
        return f"stage {self.stage.name}" if self.stage.name else f"FROM {self.stage.base}"

    @property
    def args(self) -> frozenset[str]:
        """What it declares with ARG, or inherits."""
        return frozenset(name for stage in self.chain for name in stage.args)


def used_stages(stages: Sequence[Stage], target: str | None) -> tuple[UsedStage, ...]:
    """Give what `target` (default the last stage) needs, in the order of the file.

    Raises ConfigError when there is no such stage, or none at all.
    """
    last = _place_of_target(stages, target)
    roles: dict[int, Role] = {}
    waiting: list[tuple[int, Role]] = [(last, "image")]
    while waiting:
        place, role = waiting.pop()
        if roles.get(place) == "image" or roles.get(place) == role:
            continue
        roles[place] = role
        parent = _find(stages[:place], stages[place].base)
        if parent is not None:
            waiting.append((parent, role))
        sources = (_find(stages[:place], name, by_number=True) for name in stages[place].takes)
        waiting += [(source, "builder") for source in sources if source is not None]
    return tuple(
        UsedStage(
            chain=chain,
            role=roles[place],
            where=_where(chain[-1].platform),
            images=tuple(
                name
                for name in stages[place].takes
                if not name.isdigit() and _find(stages[:place], name) is None
            ),
        )
        for place in sorted(roles)
        for chain in (_chain(stages, place),)
    )


def _find(earlier: Sequence[Stage], name: str, *, by_number: bool = False) -> int | None:
    """Find an earlier stage by name, the latest first, or, in `--from=`, by number."""
    if by_number and name.isdigit():
        return int(name) if int(name) < len(earlier) else None
    places = [place for place, stage in enumerate(earlier) if stage.name and stage.name == name.lower()]
    return places[-1] if places else None


def _place_of_target(stages: Sequence[Stage], target: str | None) -> int:
    if not stages:
        raise ConfigError("the Dockerfile has no FROM line", hint="its first instruction is FROM an image")
    if target is None:
        return len(stages) - 1
    place = _find(stages, target, by_number=True)
    if place is None:
        names = ", ".join(stage.name for stage in stages if stage.name)
        raise ConfigError(
            f"the Dockerfile has no stage '{target}'",
            hint=f"its stages are {names}" if names else "its stages have no names: write FROM … AS name",
        )
    return place


def _chain(stages: Sequence[Stage], place: int) -> tuple[Stage, ...]:
    chain = [stages[place]]
    while (parent := _find(stages[:place], chain[-1].base)) is not None:
        chain.append(stages[parent])
        place = parent
    return tuple(chain)


def _where(platform: str) -> Where:
    if _BUILD.fullmatch(platform):
        return "build"
    return "fixed" if platform and "$" not in platform else "target"
