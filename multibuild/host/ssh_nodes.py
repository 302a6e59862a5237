"""The nodes of a profile that are reached through ssh: each is asked before buildx tries, all at the same time."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from multibuild.config.profile_models import Node, Profile
from multibuild.engine.engine import BuilderInfo, BuilderNode, Engine, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.host.host import Unreachable
from multibuild.ssh.check import check_docker, check_login
from multibuild.ssh.destination import SCHEME

MAX_AT_ONCE = 16
"""Logins at the same time; a machine that is behind several nodes drops more (MaxStartups of sshd_config)."""


def silent_ssh_nodes(profile: Profile | None, engine: Engine) -> Mapping[int, Unreachable]:
    """Return why nodes behind ssh do not answer, by their number in the profile.

    EnvironmentFault when every node is behind ssh and none of them answers.
    """
    nodes = (profile.nodes or (Node(),)) if profile is not None else ()
    addresses = {
        number: (driver, address)
        for number, node in enumerate(nodes)
        if profile is not None
        and (address := _address(node.endpoint, driver := node.driver or profile.driver, engine)).startswith(
            SCHEME
        )
    }
    if not addresses:
        return {}
    with ThreadPoolExecutor(MAX_AT_ONCE) as pool:
        answers = zip(addresses, pool.map(_ask, addresses.values()), strict=True)
        silent = {number: answer for number, answer in answers if answer is not None}
    if len(silent) == len(nodes):
        raise EnvironmentFault(
            "; ".join(unreachable.reason for unreachable in silent.values()),
            hint="; ".join(dict.fromkeys(unreachable.hint for unreachable in silent.values())),
        )
    return silent


def why_silent(builder: BuilderInfo) -> Unreachable:
    """Return why a builder that buildx cannot reach does not answer: ssh is asked where one of its nodes is behind it.

    buildx's own message hides the reason where docker answered on that machine, and was refused there.
    """
    addresses = [node.endpoint for node in builder.nodes if node.endpoint.startswith(SCHEME)]
    answers = (_ask((builder.driver, address)) for address in addresses)
    reason = next((answer for answer in answers if answer is not None), None)
    return reason or Unreachable(reason=builder.error.splitlines()[0])


def own_builder_behind(new: NewBuilder, engine: Engine) -> BuilderInfo | None:
    """Return the own builder of the engine behind ssh in which a builder will be made, named by its address.

    None where that engine is not behind ssh or does not answer.
    """
    address = _address(new.endpoint, new.driver, engine)
    if new.driver != "docker-container" or not address.startswith(SCHEME):
        return None
    try:
        answer = check_docker(address)
    except EnvironmentFault:
        return None
    node = BuilderNode(
        name=address, endpoint=address, status="running", version="", platforms=(answer.platform,)
    )
    return BuilderInfo(name=address, driver="docker", nodes=(node,))


def environment_of(builder: BuilderInfo) -> dict[str, str] | None:
    """Return the environment in which such a builder is docker's `default`; None for every other builder."""
    if builder.driver != "docker" or not builder.name.startswith(SCHEME):
        return None
    return {**{k: v for k, v in os.environ.items() if k != "DOCKER_CONTEXT"}, "DOCKER_HOST": builder.name}


def _address(endpoint: str | None, driver: str, engine: Engine) -> str:
    """Return where a node is, empty for this engine; a name is that of a docker context."""
    if endpoint is None or driver == "kubernetes":
        return ""
    return endpoint if "://" in endpoint else engine.context_address(endpoint)


def _ask(target: tuple[str, str]) -> Unreachable | None:
    driver, address = target
    try:
        # The remote driver starts buildctl there, whose BuildKit need not be docker's.
        check_login(address) if driver == "remote" else check_docker(address)
    except EnvironmentFault as error:
        return Unreachable(reason=error.message, hint=error.hint or "")
    return None
