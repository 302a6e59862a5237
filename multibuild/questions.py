"""Docker commands that change nothing: run and read, and ended when nobody wants to know any more."""

from __future__ import annotations

import subprocess
import threading

from multibuild import detail
from multibuild.errors import EnvironmentFault

INSTALL_DOCKER = "install Docker 28 or newer: https://docs.docker.com/engine/install/"


class Questions:
    """What is asked of docker, from several threads.

    Not through python-on-whales, which drops fields (the options and files of `buildx ls` that tell drift), and
    which takes longer to load than docker takes to answer.
    """

    def __init__(self) -> None:
        """Ask nothing yet."""
        self._lock = threading.Lock()
        self._asked: set[subprocess.Popen[str]] = set()
        self._over = False

    def ask(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command and give what it said; EnvironmentFault when it cannot be run."""
        detail.command(argv)
        try:
            process = self._started(argv)
        except FileNotFoundError as error:
            raise EnvironmentFault("there is no docker command on PATH", hint=INSTALL_DOCKER) from error
        except OSError as error:
            raise EnvironmentFault(
                f"{argv[0]} cannot be run: {error.strerror}", hint=INSTALL_DOCKER
            ) from error
        with process:
            try:
                said, complained = process.communicate()
            except BaseException:
                process.kill()
                raise
            finally:
                self._asked.discard(process)
        return subprocess.CompletedProcess(argv, process.returncode, said, complained)

    def end(self) -> None:
        """Ask no more, and end what is being asked."""
        with self._lock:
            self._over = True
            for process in tuple(self._asked):
                process.terminate()

    def _started(self, argv: tuple[str, ...]) -> subprocess.Popen[str]:
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with self._lock:
            if self._over:
                raise EnvironmentFault("docker is asked no more")
            process = subprocess.Popen(
                argv, stdin=null, stdout=pipe, stderr=pipe, text=True, errors="replace"
            )
            self._asked.add(process)
        return process
