"""Makes the builders of a config ready, one run at a time; and again when one is lost during a run."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from multibuild.engine.engine import Engine, EngineInfo
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.host.choose_builder import BuilderPlan, BuilderPolicy, choose
from multibuild.host.create_builders import (
    WITHOUT_BUILDKIT_IMAGE,
    AvailableBuilders,
    LostRace,
    available_builders,
    create_builders,
)
from multibuild.host.own_builders import OwnBuilders
from multibuild.host.pull_images import try_pull
from multibuild.host.requirements import BuilderRequirements, HostRequirements
from multibuild.host.ssh_nodes import silent_ssh_nodes
from multibuild.journal.recorder import Say
from multibuild.retry_calls import Backoff, retry

CHOOSE_AGAIN = Backoff(error=LostRace, is_transient=lambda _error: True, attempts=5, initial=0.2)
"""For builders that others create at the same moment; who is second uses what the first one made."""


@frozen
class BuilderSetup:
    """What builders are made from: the config's requirements, the engine and its facts; `say` shows what is done.

    `recreate` allows that a builder which drifted loses its cache.
    """

    requirements: HostRequirements
    engine: Engine
    info: EngineInfo
    say: Say
    recreate: bool = False

    def policy(self, required: BuilderRequirements, try_pull: Callable[[str], bool]) -> BuilderPolicy:
        """Return the limits of a choice on this account; asks the profile's nodes behind ssh whether they answer."""
        return BuilderPolicy(
            own_builders=OwnBuilders.of(os.environ),
            registries=self.requirements.registries,
            try_pull=try_pull,
            recreate=self.recreate,
            silent=silent_ssh_nodes(required.profile, self.engine),
        )

    def plan(self, required: BuilderRequirements, policy: BuilderPolicy) -> BuilderPlan:
        """Choose the builders of one `builder:`; EnvironmentFault if nothing can build."""
        return choose(required.builder, required.profile, self.engine, self.info, policy)


def look_at_builders(
    required: BuilderRequirements, setup: BuilderSetup, can_pull: Callable[[str], bool]
) -> tuple[BuilderPlan, AvailableBuilders]:
    """Choose builders and change nothing. `can_pull(image)` is whether an image could be pulled."""
    plan = setup.plan(required, setup.policy(required, can_pull))
    return plan, available_builders(plan, plan.existing, {})


def make_builders(
    required: BuilderRequirements, setup: BuilderSetup, *, only: str | None = None
) -> tuple[BuilderPlan, AvailableBuilders]:
    """Choose builders and make them ready, while no other run of this account does.

    Nothing is made where the builder `only` is not among the chosen. Raises EnvironmentFault.
    """
    policy = setup.policy(
        required,
        lambda image: (
            setup.info.local and try_pull(setup.engine, image, setup.say, without=WITHOUT_BUILDKIT_IMAGE)
        ),
    )

    def choose_and_create() -> tuple[BuilderPlan, AvailableBuilders]:
        plan = setup.plan(required, policy)
        if only is not None and only not in plan.names:
            return plan, AvailableBuilders(builders=(), unreachable={})
        return plan, create_builders(plan, setup.engine, policy, setup.say)

    with policy.own_builders.lock(setup.say):
        return retry(choose_and_create, CHOOSE_AGAIN)


class BuilderRestorer:
    """Makes builders again that are lost during a run (the builds' and tests' `Restorer`)."""

    def __init__(self, requirements: HostRequirements, engine: Engine, say: Say) -> None:
        """Ask the engine nothing yet."""
        self._requirements = requirements
        self._engine = engine
        self._say = say

    def covers(self, builder: str) -> bool:
        """Whether multibuild made the builder, in the engine it talks to: another machine is not ours to mend."""
        own = OwnBuilders.of(os.environ).get(builder)
        return own is not None and own.driver == "docker-container" and not own.endpoint

    async def restore(self, builder: str) -> bool:
        """Create or start the builder as `setup` would; return whether it answers then, and say why it does not."""
        try:
            return await asyncio.to_thread(self._restore, builder)
        except EnvironmentFault as error:
            self._say(f"{builder} could not be made again: {error.message}")
            return False

    def _restore(self, builder: str) -> bool:
        setup = BuilderSetup(
            requirements=self._requirements, engine=self._engine, info=self._engine.info(), say=self._say
        )
        for required in self._requirements.builders:
            _, available = make_builders(required, setup, only=builder)
            if any(listed.name == builder for listed in available.builders):
                return True
        self._say(
            f"{builder} could not be made again: its name or its settings belong to another builder now"
        )
        return False
