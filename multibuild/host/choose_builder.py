"""Which buildx builder is used, and making it: the ladder of `builder: auto`, profiles, builders by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from multibuild.engine.docker import BuilderInfo, Engine, EngineInfo, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.builder_drift import Drift, drift_of
from multibuild.host.buildkitd import CONFIGURABLE, with_registries
from multibuild.host.own_builders import OwnBuilders
from multibuild.host.pull_images import PULL_WAIT
from multibuild.platforms import Platform

if TYPE_CHECKING:
    from multibuild.config.profile_models import Node, Profile

BUILDKIT_IMAGE = "moby/buildkit:v0.32.2"
OWN_NAME = "multibuild"

THREE_WAYS = (
    "three ways out: make docker-container work (`docker pull "
    + BUILDKIT_IMAGE
    + "`, or bring it with `docker load`, or name your own registry's in a profile), turn on the containerd image "
    'store ({"features": {"containerd-snapshotter": true}} in daemon.json), or name a builder (`builder: NAME`)'
)


@frozen
class Choice:
    """The builders a run will use, by name, and what must be created for that.

    `drifted` are builders of ours that are not as the profile wants them. `why` says in a few words how it was
    chosen; `pull` is an image to pull first; `known` has the builders there were, by name; `profile` names the one
    that builders are made from; `meant` has the platforms a profile means each builder for.
    """

    names: tuple[str, ...]
    create: tuple[NewBuilder, ...] = ()
    drifted: tuple[Drift, ...] = ()
    pull: str | None = None
    why: str = ""
    known: Mapping[str, BuilderInfo] = field(default_factory=dict)
    profile: str = ""
    meant: Mapping[str, tuple[Platform, ...]] = field(default_factory=dict)


@frozen
class Terms:
    """What else decides: the builders we made, the registries that BuildKit must know of, and what may be pulled.

    `may_pull(image)` says whether pulling is worth a try (it failed a moment ago, say). `patience` is how many
    seconds pass before a pull or a start that failed is tried again, the first time.
    """

    made: OwnBuilders
    registries: Mapping[str, Mapping[str, object]]
    may_pull: Callable[[str], bool]
    patience: float = PULL_WAIT


def choose(wanted: str, profile: Profile | None, engine: Engine, info: EngineInfo, terms: Terms) -> Choice:
    """Choose by `builder:` — a profile, an existing builder's name, or auto.

    Raises EnvironmentFault with the ways out when there is nothing to build with.
    """
    existing = {builder.name: builder for builder in engine.builders()}
    if profile is not None:
        choice = _from_profile(profile, existing, engine, terms)
    elif wanted in {"auto", "local"}:
        choice = _auto(existing, engine, info, terms)
    else:
        choice = _by_name(wanted, existing)
    return replace(choice, known=existing)


def _auto(existing: Mapping[str, BuilderInfo], engine: Engine, info: EngineInfo, terms: Terms) -> Choice:
    own = existing.get(OWN_NAME)
    ours = terms.made.get(OWN_NAME) is not None
    if own is not None and own.driver == "docker-container" and not own.error:
        if not ours:
            return Choice(names=(OWN_NAME,), why="there is a docker-container builder of that name")
        kept = _from_profile(_container_profile(), existing, engine, terms)
        return replace(kept, why="the docker-container builder made by an earlier setup")
    if own is None and engine.has_image(BUILDKIT_IMAGE):
        made = _from_profile(_container_profile(), existing, engine, terms)
        return replace(made, why=f"{BUILDKIT_IMAGE} is in the engine")
    if own is None and terms.may_pull(BUILDKIT_IMAGE):
        made = _from_profile(_container_profile(), existing, engine, terms)
        return replace(made, pull=BUILDKIT_IMAGE, why=f"{BUILDKIT_IMAGE} was pulled")
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


def _container_profile() -> Profile:
    """Give the shipped profile that auto makes: one name, one definition."""
    from multibuild.config.profiles import load_profile

    profile = load_profile("container", Path())
    assert profile is not None
    return profile


def engines_own(builders: Iterable[BuilderInfo], info: EngineInfo) -> BuilderInfo | None:
    """Find the engine's own builder (driver docker) of the current docker context."""
    own = [builder for builder in builders if builder.driver == "docker"]
    named = [builder for builder in own if builder.name == info.context]
    found = named or [builder for builder in own if builder.name == "default"]
    return found[0] if found else None


def _by_name(wanted: str, existing: Mapping[str, BuilderInfo]) -> Choice:
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


def _from_profile(
    profile: Profile, existing: Mapping[str, BuilderInfo], engine: Engine, terms: Terms
) -> Choice:
    """Compare what the profile says with what there is; a name that somebody else took is an error."""
    if profile.driver == "docker":
        return _by_name(profile.name or "default", existing)
    from multibuild.config.profile_models import Node

    create: list[NewBuilder] = []
    drifted: list[Drift] = []
    asked = profile.nodes or (Node(),)
    wanted = [_wanted(profile, place, node, terms) for place, node in enumerate(asked)]
    for new in wanted:
        found, made = existing.get(new.name), terms.made.get(new.name)
        if new.driver == "docker":
            _by_name(new.name, existing)
        elif found is None:
            create.append(new)
        elif (drift := drift_of(new, found, made)) is not None:
            if made is None or made.driver != found.driver:
                raise _taken(drift)
            drifted.append(drift)
    here = [new for new in (*create, *(drift.wanted for drift in drifted)) if new.endpoint is None]
    images = [new.image for new in here if new.image and new.driver == "docker-container"]
    return Choice(
        names=tuple(new.name for new in wanted),
        create=tuple(create),
        drifted=tuple(drifted),
        pull=next((image for image in images if not engine.has_image(image)), None),
        why="the profile",
        profile=profile.name,
        meant={new.name: node.platforms for new, node in zip(wanted, asked, strict=True)},
    )


def _wanted(profile: Profile, place: int, node: Node, terms: Terms) -> NewBuilder:
    """Say what a node's builder must be; what the profile says for all is for nodes of its own driver."""
    driver = node.driver or profile.driver
    if driver == "docker":
        return NewBuilder(name=node.name or "default", driver=driver)
    name = node.name or (profile.name if place == 0 else f"{profile.name}-{place}")
    text = ""
    if driver in CONFIGURABLE:
        made = terms.made.get(name)
        own = profile.buildkitd.read_text(encoding="utf-8") if profile.buildkitd is not None else ""
        text = with_registries(own, {**(made.registries if made else {}), **terms.registries})
    common = profile.driver_opts if driver == profile.driver else {}
    return NewBuilder(
        name=name,
        driver=driver,
        endpoint=node.endpoint,
        image=profile.image if driver == "docker-container" else None,
        buildkitd=text,
        driver_opts={**common, **node.driver_opts},
    )


def _taken(drift: Drift) -> EnvironmentFault:
    name = drift.wanted.name
    return EnvironmentFault(
        f"the builder name '{name}' is taken by a builder that multibuild did not make: {'; '.join(drift.differences)}",
        hint=f"choose another `name:` in the profile, use it as it is (`builder: {name}` without the profile)"
        # The engine's own builder cannot be removed.
        + (f", or remove it and its cache: `docker buildx rm {name}`" if name != "default" else ""),
    )
