"""Paths, names and settings of the lab."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

DEFAULT_HOME = Path("/var/lib/multibuild-lab")
DEFAULT_SOCKET = Path("/var/run/docker.sock")


class LabError(Exception):
    """The lab is not ready: what is wrong, and a hint."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The lab's home (kept between runs), its run directory (pid files, sockets) and its registry's port."""

    home: Path
    run: Path
    port: int = 5000

    @property
    def registry(self) -> str:
        """Return the registry's name in image references."""
        return f"localhost:{self.port}"

    @property
    def prefix(self) -> Path:
        """Return the directory of the unpacked packages."""
        return self.home / "prefix"

    @property
    def programs(self) -> str:
        """Return PATH with the prefix first."""
        own = f"{self.prefix}/usr/bin:{self.prefix}/usr/sbin:{self.prefix}/sbin"
        return f"{own}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"

    def environment(self) -> dict[str, str]:
        """Return the environment in which programs of the prefix find each other, and iptables its extensions."""
        libraries = f"{self.prefix}/usr/lib/x86_64-linux-gnu"
        return {
            **os.environ,
            "PATH": self.programs,
            "LD_LIBRARY_PATH": f"{libraries}:{self.prefix}/lib/x86_64-linux-gnu",
            "XTABLES_LIBDIR": f"{libraries}/xtables",
        }


def lab() -> Lab:
    """Return the lab at MULTIBUILD_LAB (one per machine by default) and MULTIBUILD_LAB_PORT; LabError."""
    home = Path(os.environ.get("MULTIBUILD_LAB") or DEFAULT_HOME).absolute()
    # A socket's path has at most 107 bytes, so the run directory is short for any home.
    suffix = "" if home == DEFAULT_HOME else "-" + hashlib.sha256(str(home).encode()).hexdigest()[:8]
    port = os.environ.get("MULTIBUILD_LAB_PORT") or "5000"
    if not port.isdecimal() or not 0 < int(port) < 65536:
        raise LabError(f"MULTIBUILD_LAB_PORT is {port!r}", "a port number from 1 to 65535")
    return Lab(home=home, run=Path(f"/run/multibuild-lab{suffix}"), port=int(port))
