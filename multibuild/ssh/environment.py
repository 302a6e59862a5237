"""The environment in which docker's ssh neither asks nor waits forever.

docker and buildx start `ssh` from PATH with a fixed argument list (docker/cli, connhelper). They detach it from the
terminal, but what it does about a machine that falls silent in the middle of a build is ssh's own default: nothing, so
that the build hangs (seen for as long as it was watched, with sshd stopped). OpenSSH takes options from its arguments
and files alone; hence a folder of ours comes first on PATH, whose `ssh` adds OPTIONS and starts the real one.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

CONNECT_TIMEOUT_S = 10
"""Docker's own is 30; buildx gives up on a builder after 20."""

OPTIONS = (
    "-oBatchMode=yes",
    f"-oConnectTimeout={CONNECT_TIMEOUT_S}",
    "-oServerAliveInterval=10",
    "-oServerAliveCountMax=3",
)
"""The first value of an option counts, so these come before docker's. A machine may be silent for half a minute."""

_FOLDER = Path(__file__).parent / "bin"


def docker_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment for docker and buildx, made from `environ` (this process's own by default).

    It is unchanged where there is no ssh command, and where an installation lost the wrapper's permission to run.
    """
    environ = dict(os.environ if environ is None else environ)
    path = environ.get("PATH", os.defpath)
    ssh = shutil.which("ssh", path=path)
    if ssh is None or str(_FOLDER) in path.split(os.pathsep) or not os.access(_FOLDER / "ssh", os.X_OK):
        return environ
    return {
        **environ,
        "PATH": f"{_FOLDER}{os.pathsep}{path}",
        "MULTIBUILD_SSH": ssh,
        "MULTIBUILD_SSH_OPTIONS": " ".join(OPTIONS),
    }
