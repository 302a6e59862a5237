"""Makes the builders that were chosen: creates, starts and mends them, and says which do not answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from multibuild.engine.docker import BuilderInfo, Engine, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.builder_drift import Drift
from multibuild.host.buildkitd import CONFIGURABLE
from multibuild.host.choose_builder import Choice, Terms
from multibuild.host.own_builders import OwnBuilder
from multibuild.host.pull_images import fetch, pull_backoff
from multibuild.journal.recorder import Say
from multibuild.retrying import retry

WITHOUT_BUILDKIT_IMAGE = (
    "without that image: name your own registry's in a profile (`image:`), bring it with `docker load`, or build with "
    "the engine itself (`builder: default`, with the containerd image store)"
)


@frozen
class CreatedBuilders:
    """The builders there are now. `changes` is what was done, `would` what was left to do, both in words.

    `dead` has the chosen builders that do not answer, and what they said.
    """

    known: Mapping[str, BuilderInfo]
    changes: tuple[str, ...] = ()
    would: tuple[str, ...] = ()
    dead: Mapping[str, str] = field(default_factory=dict)


def provide(
    choice: Choice, engine: Engine, terms: Terms, say: Say, *, change: bool, recreate: bool = False
) -> CreatedBuilders:
    """Create what is missing, mend what drifted where no cache is lost (or `recreate` allows it).

    A builder that does not start is an error only when it is the only one: others may do its platforms. Raises
    EnvironmentFault when nobody is left.
    """
    mendable = [drift for drift in choice.drifted if recreate or not drift.loses_cache]
    if not change:
        return CreatedBuilders(
            known=choice.known, would=_would(choice, mendable), dead=_dead(choice, choice.known, {})
        )
    failed = _pull(choice, engine, terms, say)
    done: list[str] = []
    for drift in choice.drifted:
        say(f"drift: {drift}")
        if drift not in mendable:
            say(_how_to_mend(drift))
        elif drift.wanted.name not in failed:
            engine.remove_builder(drift.wanted.name, keep_state=not drift.loses_cache)
            done.append(f"mended the builder {drift}")
    for new in (*choice.create, *(drift.wanted for drift in mendable)):
        if new.name in failed:
            continue
        say(f"creating the {new.driver} builder {new.name}")
        terms.made.add(_record(new, choice, terms))
        try:
            _create(new, engine, terms, say)
        except EnvironmentFault as error:
            if len(choice.names) == 1:
                raise
            failed[new.name] = error.message
            continue
        if new in choice.create:
            done.append(f"created the builder {new.name}")
    known = {found.name: found for found in engine.builders()} if done or failed else choice.known
    dead = _dead(choice, known, failed)
    for name, why in dead.items():
        say(f"node {name} does not answer: {why}")
    for name in _strays(choice, terms, known):
        say(f"{name} is no node of the profile any more: `docker buildx rm {name}` removes it and its cache")
    return CreatedBuilders(known=known, changes=tuple(done), dead=dead)


def _pull(choice: Choice, engine: Engine, terms: Terms, say: Say) -> dict[str, str]:
    """Have the image that local builders need; gives those that must do without it, and why.

    Raises EnvironmentFault when that is all of them.
    """
    if choice.pull is None:
        return {}
    try:
        fetch(engine, choice.pull, say, without=WITHOUT_BUILDKIT_IMAGE, wait=terms.patience)
    except EnvironmentFault as error:
        wanted = (*choice.create, *(drift.wanted for drift in choice.drifted))
        lacking = [new.name for new in wanted if new.endpoint is None and new.image == choice.pull]
        if set(lacking) == set(choice.names):
            raise
        return dict.fromkeys(lacking, f"{error.message} ({error.hint})")
    return {}


def _create(new: NewBuilder, engine: Engine, terms: Terms, say: Say) -> None:
    """Create and start it; a start that fails in a way that may pass (its image is pulled then) is tried again."""
    engine.create_builder(new)
    if new.driver == "remote":
        return  # somebody else starts it; `buildx ls` says whether it answers
    try:
        retry(
            lambda: engine.start_builder(new.name),
            pull_backoff(terms.patience, lambda *_: say(f"{new.name} did not start; trying again")),
        )
    except EnvironmentFault as error:
        # Half made it would pass for one that is there, and nobody would try again.
        engine.remove_builder(new.name, keep_state=True)
        hint = WITHOUT_BUILDKIT_IMAGE if new.options.get("image") else error.hint
        raise EnvironmentFault(error.message, hint=hint) from error


def _record(new: NewBuilder, choice: Choice, terms: Terms) -> OwnBuilder:
    before = terms.made.get(new.name)
    registries = {**(before.registries if before else {}), **terms.registries}
    return OwnBuilder(
        name=new.name,
        driver=new.driver,
        profile=choice.profile,
        configured=bool(new.buildkitd),
        registries=registries if new.driver in CONFIGURABLE else {},
    )


def _dead(choice: Choice, known: Mapping[str, BuilderInfo], failed: Mapping[str, str]) -> dict[str, str]:
    """Which of the chosen do not answer; EnvironmentFault when none of them does."""
    dead = dict(failed)
    for name in choice.names:
        found = known.get(name)
        if name in dead or found is None:
            continue
        if found.error:
            dead[name] = found.error.splitlines()[0]
        elif found.driver == "remote" and all(node.status != "running" for node in found.nodes):
            dead[name] = f"nothing answers at {', '.join(node.endpoint for node in found.nodes)}"
    if dead and len(dead) == len(choice.names):
        words = "; ".join(f"{name}: {why}" for name, why in dead.items())
        raise EnvironmentFault(
            f"no builder answers: {words}",
            hint=f"start it, then `docker buildx inspect {next(iter(dead))} --bootstrap` shows what it says",
        )
    return dead


def _strays(choice: Choice, terms: Terms, known: Mapping[str, BuilderInfo]) -> list[str]:
    """Which builders were made for this profile that it no longer has."""
    made = terms.made.all() if choice.profile else ()
    return [
        one.name
        for one in made
        if one.profile == choice.profile and one.name in known and one.name not in choice.names
    ]


def _how_to_mend(drift: Drift) -> str:
    return f"{drift.wanted.name} is used as it is: making it anew loses its cache; `multibuild setup --recreate` does"


def _would(choice: Choice, mendable: list[Drift]) -> tuple[str, ...]:
    pull = [f"pull {choice.pull}"] if choice.pull else []
    create = [f"create the {new.driver} builder {new.name}" for new in choice.create]
    mend = [f"mend the builder {drift}" for drift in mendable]
    left = [
        f"leave the builder {drift} ({_how_to_mend(drift)})"
        for drift in choice.drifted
        if drift not in mendable
    ]
    return (*pull, *create, *mend, *left)
