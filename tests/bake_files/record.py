"""Write what the buildx of this machine prints for every case."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from bake_files.cases import CASES, FOLDER, PROJECT


@contextlib.contextmanager
def ssh_agent(folder):
    """Make a socket, which is all that buildx looks for when it prints a definition; return its environment."""
    path = Path(folder) / "agent"
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(path))
        yield {**os.environ, "SSH_AUTH_SOCK": str(path)}


def main():
    """Record every case in a copy of its folder."""
    with tempfile.TemporaryDirectory() as folder, ssh_agent(folder) as environ:
        for case in CASES:
            project = shutil.copytree(case.path, Path(folder) / case.name)
            answer = subprocess.run(
                [
                    *("docker", "buildx", "bake", "--print", "--progress=plain"),
                    *(f"--file={file}" for file in case.files),
                    *case.targets,
                ],
                cwd=project,
                env={**environ, **case.variables, **case.environ, "PWD": PROJECT},
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            text = json.dumps(json.loads(answer.stdout), indent=1)
            (FOLDER / "recorded" / f"{case.name}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main()
