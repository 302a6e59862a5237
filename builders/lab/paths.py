"""Where everything of the lab lives."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

PORT = int(os.environ.get("MULTIBUILD_LAB_PORT", "5000"))
REGISTRY = f"localhost:{PORT}"
DEFAULT_SOCKET = Path("/var/run/docker.sock")


class LabError(Exception):
    """The lab cannot be made ready: what is wrong, and what to do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, kw_only=True)
class Lab:
    """The lab's home (kept between runs) and its run directory (pid files, sockets)."""

    home: Path
    run: Path

    @property
    def prefix(self) -> Path:
        """The unpacked packages."""
        return self.home / "prefix"

    @property
    def programs(self) -> str:
        """PATH with the prefix first."""
        own = f"{self.prefix}/usr/bin:{self.prefix}/usr/sbin:{self.prefix}/sbin"
        return f"{own}:{os.environ.get('PATH', '/usr/sbin:/usr/bin:/sbin:/bin')}"

    def environment(self) -> dict[str, str]:
        """What the programs of the prefix need to find each other, and iptables its extensions."""
        libraries = f"{self.prefix}/usr/lib/x86_64-linux-gnu"
        return {
            **os.environ,
            "PATH": self.programs,
            "LD_LIBRARY_PATH": f"{libraries}:{self.prefix}/lib/x86_64-linux-gnu",
            "XTABLES_LIBDIR": f"{libraries}/xtables",
        }


def lab() -> Lab:
    """Find the lab: MULTIBUILD_LAB, or one place for the machine."""
    home = Path(os.environ.get("MULTIBUILD_LAB", "/var/lib/multibuild-lab"))
    return Lab(home=home, run=Path("/run") / home.name)
