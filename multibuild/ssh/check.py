"""Whether docker on another machine answers through ssh: asked once, within seconds, before buildx waits for it."""

from __future__ import annotations

import logging
import re
import shlex
import shutil
from collections.abc import Sequence

from multibuild.child_process import ChildLimit, ChildResult, run_child
from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.redact import redacted, redacted_command
from multibuild.ssh.destination import ADDRESS_HINT, Destination
from multibuild.ssh.environment import OPTIONS
from multibuild.ssh.explain import explain_ssh
from multibuild.terminal import last_line, shorten

logger = logging.getLogger(__name__)

CHECK_TIMEOUT_S = 30.0
"""For connecting (ssh has its own, shorter limit), the login and docker's answer; small boards take seconds each."""

MAX_BYTES = 1 << 20
"""A talkative shell prints some thousand."""

MAX_SHOWN_CHARACTERS = 300
INSTALL_SSH = "install the OpenSSH client (openssh-client on Debian)"

_VERBOSE = ("debug1: ", "OpenSSH_", "Transferred: ", "Bytes per second: ")
"""Beginnings of the lines that `ssh -v` adds."""

_ANSWER = re.compile(r"docker=([\w.+~-]{1,100}) ([\w-]{1,30}/[\w-]{1,30})")


@frozen
class RemoteDocker:
    """Docker's answer: its version, and the machine's os/architecture in Go's names."""

    version: str
    platform: str


def check_docker(address: str) -> RemoteDocker:
    """Ask docker at an `ssh://` address for its version; EnvironmentFault with the reason and what to do."""
    destination = _destination(address)
    return _answer(_run(destination, _docker_version(destination)), destination)


def check_login(address: str) -> None:
    """Check that an `ssh://` address can be logged in at, whatever runs there; EnvironmentFault as above."""
    destination = _destination(address)
    result = _run(destination, ("true",))
    if result.returncode:
        raise _refusal(result, destination, "true")


def _destination(address: str) -> Destination:
    try:
        return Destination.parse(address)
    except ValueError as error:
        raise EnvironmentFault(f"{redacted(address)}: {error}", hint=ADDRESS_HINT) from None


def _run(destination: Destination, command: Sequence[str]) -> ChildResult:
    """Run a command there as docker does: without a terminal, with the account's own configuration of ssh.

    ssh is told to be verbose: only then it shows that a key would be accepted which it cannot use.
    """
    ssh = shutil.which("ssh")
    if ssh is None:
        raise _fault(destination, "there is no ssh command on PATH", INSTALL_SSH)
    argv = (ssh, *OPTIONS, "-v", "-T", *destination.arguments, *command)
    logger.info("+ %s", redacted_command(argv))
    try:
        return run_child(argv, timeout_s=CHECK_TIMEOUT_S, max_bytes=MAX_BYTES)
    except ChildLimit as error:
        raise _fault(destination, f"ssh {error}", _try_it(destination, command)) from error
    except OSError as error:
        raise _fault(destination, f"ssh cannot be run: {error.strerror}", INSTALL_SSH) from error


def _docker_version(destination: Destination) -> tuple[str, ...]:
    """Return docker's command; the remote account's shell reads the words again."""
    socket = ("--host", shlex.quote(f"unix://{destination.socket}")) if destination.socket else ()
    template = "'docker={{.Server.Version}} {{.Server.Os}}/{{.Server.Arch}}'"
    return ("docker", *socket, "version", "--format", template)


def _answer(result: ChildResult, destination: Destination) -> RemoteDocker:
    *before, last = _text(result.stdout).splitlines() or [""]
    match = _ANSWER.fullmatch(last.strip())
    if result.returncode or match is None:
        raise _refusal(result, destination, "docker version")
    if before:
        raise _fault(
            destination,
            f"the shell there prints text before a command's output: {shorten(before[0], 80)}",
            "let its .bashrc (.zshrc, config.fish) print in interactive shells only: docker reads what follows",
        )
    return RemoteDocker(version=match[1], platform=match[2])


def _refusal(result: ChildResult, destination: Destination, command: str) -> EnvironmentFault:
    stdout, messages = _text(result.stdout), _messages(_text(result.stderr))
    reason = explain_ssh(f"{stdout}\n{messages}", destination)
    if reason is not None:
        return _fault(destination, reason.message, reason.hint)
    last = (
        last_line(messages)
        or last_line(stdout)
        or f"{command} ended with {result.returncode}, without a word"
    )
    return _fault(destination, shorten(last, MAX_SHOWN_CHARACTERS), _try_it(destination, command.split()))


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace").strip()


def _try_it(destination: Destination, command: Sequence[str]) -> str:
    return f"`ssh {destination.login} {' '.join(command[:2])}` must answer"


def _messages(stderr: str) -> str:
    """Return what was printed after the login, or why there was none, without what is said to debug alone."""
    after = stderr.rpartition("\nAuthenticated to ")[2]
    return "\n".join(
        line for line in after.splitlines() if not line.startswith(_VERBOSE) or "Server accepts key" in line
    )


def _fault(destination: Destination, message: str, hint: str) -> EnvironmentFault:
    return EnvironmentFault(f"{destination}: {message}", hint=hint)
