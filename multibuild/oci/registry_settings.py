"""Which registries are this machine's own."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from multibuild.frozen import frozen


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is localhost, in 127.0.0.0/8 or [::1]: Docker speaks plain http to these."""
    name = host.rsplit(":", 1)[0] if host.rpartition(":")[2].isdigit() else host
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


@frozen
class RegistrySettings:
    """How a registry is reached. `insecure`: plain http; `ca`: a PEM file beside the system's."""

    host: str
    insecure: bool = False
    ca: Path | None = None

    @property
    def plain(self) -> bool:
        """Plain http, also for this machine's own loopback, as Docker does."""
        return self.insecure or is_loopback(self.host)

    @property
    def address(self) -> str:
        """Where requests go; Docker Hub's API lives under another name than its images."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{'http' if self.plain else 'https'}://{host}"
