"""Finds builds that run nothing of their own: every RUN is in a stage that is the same for all platforms. Pure.

That is how one cross-compiles, or packs what needs no compiling for a platform (Java, JavaScript, a site): a stage of
the machine that builds, `FROM --platform=$BUILDPLATFORM`, does the work once, and each platform copies from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from multibuild.build.dockerfile import Dockerfile, Stage
from multibuild.build.spec import BuildSpec

_DIFFERS = "TARGET"
"""The arguments by which a step may differ from platform to platform begin like this."""

_SAME_PLATFORM = re.compile(r"\$BUILDPLATFORM|\$\{BUILDPLATFORM\}|[\w/.-]+")
"""What `--platform` says of a stage that is not built for the target."""

_FRONTEND = "docker/dockerfile"
"""The frontend whose rules are known; another one may run whatever it likes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SharedWork:
    """The stages whose RUN lines several platforms share, and what else they depend on; equal where they do share."""

    dockerfile: str
    context: str
    stages: tuple[Stage, ...]
    args: tuple[tuple[str, str], ...]


def shared_work(file: Dockerfile, spec: BuildSpec) -> SharedWork | None:
    """Give the work that a platform's build shares with others; None where some of it is its own, or may be.

    A base image's `ONBUILD RUN` cannot be seen from here.
    """
    named = {stage.name for stage in file.stages if stage.name}
    if (
        (file.syntax is not None and _FRONTEND not in file.syntax)
        or named & set(spec.contexts)
        or spec.no_cache
    ):
        return None
    target = _find(spec.target, file.stages) if spec.target else (file.stages or (None,))[-1]
    if target is None:
        return None
    reached = _reached(target, file.stages)
    running = [stage for stage in reached if stage.runs]
    if any("$" in name for stage in reached for name in (stage.base, *stage.takes)):
        return None  # `FROM build-$TARGETARCH`: which stages that reaches is not known
    if not all(_is_shared(stage, file.stages) for stage in running):
        return None
    return SharedWork(
        dockerfile=spec.dockerfile,
        context=spec.context,
        stages=tuple(running),
        args=tuple(sorted(spec.args.items())),
    )


def _is_shared(stage: Stage, stages: tuple[Stage, ...]) -> bool:
    """Whether a stage comes out the same whatever platform is built for.

    One that is based on another stage has that one's platform, as in BuildKit (dockerfile2llb).
    """
    if any(name.startswith(_DIFFERS) for name in stage.args):
        return False
    base, *others = (_find(name, _before(stage, stages)) for name in (stage.base, *stage.takes))
    if base is None and not _SAME_PLATFORM.fullmatch(stage.platform):
        return False
    return all(_is_shared(other, stages) for other in (base, *others) if other is not None)


def _reached(stage: Stage, stages: tuple[Stage, ...]) -> list[Stage]:
    """Give a stage and all that it is made from, each once."""
    found = [stage]
    for one in found:
        earlier = _before(one, stages)
        for name in (one.base, *one.takes):
            other = _find(name, earlier)
            if other is not None and other not in found:
                found.append(other)
    return found


def _before(stage: Stage, stages: tuple[Stage, ...]) -> tuple[Stage, ...]:
    return tuple(other for other in stages if other.line < stage.line)


def _find(name: str, stages: tuple[Stage, ...]) -> Stage | None:
    """Find a stage by name or number; the last of a name counts, as in BuildKit."""
    if name.isdigit():
        return stages[int(name)] if int(name) < len(stages) else None
    return next((stage for stage in reversed(stages) if stage.name == name.lower()), None)
