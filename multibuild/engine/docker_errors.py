"""What docker says when it cannot do something, as errors with the next step."""

from __future__ import annotations

from multibuild.errors import EnvironmentFault

INSTALL_DOCKER = "install Docker 28 or newer: https://docs.docker.com/engine/install/"
OTHER_CONTEXT = (
    "`docker context ls` shows those there are; DOCKER_CONTEXT or `docker context use` chose this one"
)
INSTALL_BUILDX = "install the buildx plugin: package docker-buildx-plugin, or docker-buildx on Debian"


def explained(action: str, message: str) -> EnvironmentFault:
    """Return the error about an action that docker refused with a message."""
    message = message.strip()
    lowered = message.lower()
    if "unknown command: docker buildx" in lowered or "'buildx' is not a docker command" in lowered:
        return EnvironmentFault("docker has no buildx plugin", hint=INSTALL_BUILDX)
    # An error from the daemon itself (about a registry that refused it, say) is not about reaching the daemon.
    is_answer = "error response from daemon" in lowered
    if (
        not is_answer
        and "daemon" in lowered
        and ("connect" in lowered or "running" in lowered or "permission" in lowered)
    ):
        return unreachable(message)
    last = message.splitlines()[-1].removeprefix("ERROR: ") if message else "docker failed without a word"
    if "context not found" in lowered:
        return EnvironmentFault(f"{action}: {last.partition(': open ')[0]}", hint=OTHER_CONTEXT)
    return EnvironmentFault(f"{action}: {last}", hint="`docker info` says more")


def without_buildx(warnings: str) -> EnvironmentFault:
    """Return the reason why docker lists no buildx: an unreadable config.json hides the plugins it names."""
    if "Error loading config file" in warnings or "Error parsing config file" in warnings:
        return EnvironmentFault(
            warnings.splitlines()[0].removeprefix("WARNING: "),
            hint="mend docker's config.json, or move it away",
        )
    return EnvironmentFault("docker has no buildx plugin", hint=INSTALL_BUILDX)


def unreachable(message: str) -> EnvironmentFault:
    """Return the error about an engine that does not answer."""
    if "permission denied" in message.lower():
        return EnvironmentFault(
            "permission denied at the Docker engine's socket",
            hint="join the docker group (`sudo usermod -aG docker $USER`, then log in again), or use rootless Docker",
        )
    reason = (
        message.splitlines()[0].removeprefix("ERROR: ") if message else "the Docker engine does not answer"
    )
    return EnvironmentFault(
        reason,
        hint="start the engine (`systemctl start docker`, or Docker Desktop), or point DOCKER_HOST at one",
    )
