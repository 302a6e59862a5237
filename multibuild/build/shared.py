"""Finds builds that run nothing of their own: every RUN is in a stage that is the same for all platforms. Pure.

That is how one packs what needs no compiling for a platform (Java, JavaScript, a site): a stage of the machine that
builds, `FROM --platform=$BUILDPLATFORM`, does the work once, and each platform copies from it.
"""

from __future__ import annotations

from collections.abc import Mapping

from multibuild.dockerfile.parse import Dockerfile, Stage
from multibuild.dockerfile.stages import UsedStage, used_stages
from multibuild.errors import ConfigError
from multibuild.frozen import frozen
from multibuild.plan.spec import BuildSpec

_FRONTEND = "docker/dockerfile"
"""The frontend whose rules are known; another one may run whatever it likes."""


@frozen
class SharedWork:
    """The stages whose RUN lines several platforms share, and what else they depend on; equal where they do share."""

    dockerfile: str
    context: str
    stages: tuple[Stage, ...]
    args: tuple[tuple[str, str], ...]


def shared_work(file: Dockerfile, spec: BuildSpec) -> SharedWork | None:
    """Give the work that a platform's build shares with others; None where some of it is its own, or may be.

    The `ONBUILD RUN` of a base image cannot be seen from here.
    """
    known = file.syntax is None or _FRONTEND in file.syntax
    replaced = {stage.name for stage in file.stages if stage.name} & set(spec.contexts)
    # A scanner runs for each platform, too.
    if not known or replaced or spec.no_cache or spec.sbom:
        return None
    try:
        used = used_stages(file.stages, spec.target)
    except ConfigError:
        return None
    if any("$" in name for one in used for name in (one.stage.base, *one.stage.copies_from)):
        return None  # `FROM build-$TARGETARCH`: which stages that reaches is not known
    if any(stage.onbuild for one in used for stage in one.chain[1:]):
        return None
    running = [one for one in used if one.stage.runs]
    found = {one.stage: one for one in used}
    if not all(_is_shared(one, found) for one in running):
        return None
    return SharedWork(
        dockerfile=spec.dockerfile,
        context=spec.context,
        stages=tuple(one.stage for one in running),
        args=tuple(sorted(spec.args.items())),
    )


def _is_shared(one: UsedStage, used: Mapping[Stage, UsedStage]) -> bool:
    """Whether a stage comes out the same whatever platform is built for.

    What it takes must, too: an image in `COPY --from=` is the target platform's (BuildKit, dockerfile2llb).
    """
    if one.runs_on == "target" or any(stage.varies for stage in one.chain):
        return False
    sources = [source for stage in one.chain for source in used[stage].sources]
    return all(source is not None and _is_shared(used[source], used) for source in sources)
