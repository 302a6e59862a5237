"""Which buildx builder is used, and making it: the ladder of `builder: auto`, profiles, builders by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from multibuild.engine import BuilderInfo, Engine, EngineInfo, NewBuilder
from multibuild.errors import EnvironmentFault

if TYPE_CHECKING:
    from multibuild.config.profiles import Profile

BUILDKIT_IMAGE = "moby/buildkit:v0.32.2"
OWN_NAME = "multibuild"

THREE_WAYS = (
    "three ways out: make docker-container work (`docker pull "
    + BUILDKIT_IMAGE
    + "`), turn on the containerd image "
    'store ({"features": {"containerd-snapshotter": true}} in daemon.json), or name a builder (`builder: NAME`)'
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """The builders a run will use, by name, and what must be created for that.

    `why` says in a few words how it was chosen; `pull` is an image to pull first;
    `known` has the builders there were, by name.
    """

    names: tuple[str, ...]
    create: tuple[NewBuilder, ...] = ()
    pull: str | None = None
    why: str = ""
    known: Mapping[str, BuilderInfo] = field(default_factory=dict)


def choose(
    wanted: str, profile: Profile | None, engine: Engine, info: EngineInfo, *, may_pull: Callable[[str], bool]
) -> Choice:
    """Choose by `builder:` — a profile, an existing builder's name, or auto.

    `may_pull(image)` says whether pulling is worth a try (it failed a moment ago, say). Raises EnvironmentFault
    with the ways out when there is nothing to build with.
    """
    existing = {builder.name: builder for builder in engine.builders()}
    return replace(_choice(wanted, profile, existing, engine, info, may_pull=may_pull), known=existing)


def _choice(
    wanted: str,
    profile: Profile | None,
    existing: dict[str, BuilderInfo],
    engine: Engine,
    info: EngineInfo,
    *,
    may_pull: Callable[[str], bool],
) -> Choice:
    if profile is not None and (profile.driver, profile.name) != ("docker", "auto"):
        return _from_profile(profile, existing, engine)
    if wanted not in {"auto", "local"}:
        return _by_name(wanted, existing)
    return _auto(existing, engine, info, may_pull)


def _auto(
    existing: dict[str, BuilderInfo], engine: Engine, info: EngineInfo, may_pull: Callable[[str], bool]
) -> Choice:
    own = existing.get(OWN_NAME)
    if own is not None and own.driver == "docker-container" and not own.error:
        return Choice(names=(OWN_NAME,), why="the docker-container builder made by an earlier setup")
    new = NewBuilder(name=OWN_NAME, driver="docker-container", image=BUILDKIT_IMAGE)
    if own is None and engine.has_image(BUILDKIT_IMAGE):
        return Choice(names=(OWN_NAME,), create=(new,), why=f"{BUILDKIT_IMAGE} is in the engine")
    if own is None and may_pull(BUILDKIT_IMAGE):
        return Choice(
            names=(OWN_NAME,), create=(new,), pull=BUILDKIT_IMAGE, why=f"{BUILDKIT_IMAGE} was pulled"
        )
    default = engines_own(existing.values(), info)
    if default is not None and info.containerd_store:
        return Choice(names=(default.name,), why="the engine's own builder, with the containerd image store")
    if own is not None and own.error:
        raise EnvironmentFault(
            f"the builder {OWN_NAME} does not answer: {own.error.splitlines()[0]}",
            hint=f"`docker buildx inspect {OWN_NAME} --bootstrap`, or `docker buildx rm {OWN_NAME}` (loses its cache)",
        )
    raise EnvironmentFault(
        f"no builder for several platforms: {BUILDKIT_IMAGE} is not in the engine and cannot be pulled, and the "
        "engine's own builder builds one platform only",
        hint=THREE_WAYS,
    )


def engines_own(builders: Iterable[BuilderInfo], info: EngineInfo) -> BuilderInfo | None:
    """Find the engine's own builder (driver docker) of the current docker context."""
    own = [builder for builder in builders if builder.driver == "docker"]
    named = [builder for builder in own if builder.name == info.context]
    found = named or [builder for builder in own if builder.name == "default"]
    return found[0] if found else None


def _by_name(wanted: str, existing: dict[str, BuilderInfo]) -> Choice:
    builder = existing.get(wanted)
    if builder is None:
        raise EnvironmentFault(
            f"builder: there is no profile and no buildx builder named '{wanted}'",
            hint=f"`docker buildx ls` shows {', '.join(sorted(existing))}; `builder: auto` chooses",
        )
    if builder.error:
        raise EnvironmentFault(
            f"builder {wanted} does not answer: {builder.error.splitlines()[0]}",
            hint=f"`docker buildx inspect {wanted} --bootstrap`",
        )
    return Choice(names=(wanted,), why="named in the config")


def _from_profile(profile: Profile, existing: dict[str, BuilderInfo], engine: Engine) -> Choice:
    """Make what the profile says; a name taken by another driver is an error, never replaced."""
    if profile.driver == "docker":
        return _by_name(profile.name or "default", existing)
    create = []
    names = []
    for place, node in enumerate(profile.nodes or (None,)):
        own = node.name if node is not None and node.name else None
        name = own or (profile.name if place == 0 else f"{profile.name}-{place}")
        names.append(name)
        builder = existing.get(name)
        if builder is None:
            create.append(
                NewBuilder(
                    name=name,
                    driver=profile.driver,
                    endpoint=node.endpoint if node is not None else None,
                    image=profile.image,
                    buildkitd=profile.buildkitd,
                    driver_opts={**profile.driver_opts, **(node.driver_opts if node is not None else {})},
                )
            )
        elif builder.driver != profile.driver:
            raise EnvironmentFault(
                f"the builder name '{name}' is taken by a builder of driver {builder.driver}",
                hint=f"choose another `name:` in the profile, or `docker buildx rm {name}`",
            )
    pull = None
    if (
        create
        and profile.driver == "docker-container"
        and profile.image
        and not engine.has_image(profile.image)
    ):
        pull = profile.image
    return Choice(names=tuple(names), create=tuple(create), pull=pull, why="the profile")
