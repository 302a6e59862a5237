"""Programs that tests display things in: a browser, a terminal."""

import os
import shutil
import subprocess
import sys


def find_program(*names, package):
    """Return the path of a program; as root on Debian, install its package first if it is missing."""
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print(f"installing the package {package} for the tests", file=sys.stderr)
        install = ["apt-get", "install", "-qqy", "--no-install-recommends", "-o", "DPkg::Lock::Timeout=300"]
        for command in ([*install, package], ["apt-get", "update", "-qq"], [*install, package]):
            done = subprocess.run(command, capture_output=True, text=True, timeout=600)
            if command[1] == "install" and done.returncode == 0:
                break
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        path = next(filter(None, map(shutil.which, names)), None)
    assert path is not None, f"there is no {names[0]} here: install the package {package}"
    return path
