"""How a registry is reached, and whether it is on this machine."""

from __future__ import annotations

import ipaddress
from pathlib import Path

from multibuild.frozen import frozen


def is_loopback(host: str) -> bool:
    """Whether `host[:port]` is localhost, in 127.0.0.0/8 or [::1]: Docker uses plain http for these."""
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
    def is_plain_http(self) -> bool:
        """Whether it is reached over plain http: configured so, or on loopback (as Docker does) without a CA."""
        return self.insecure or (self.ca is None and is_loopback(self.host))

    @property
    def address(self) -> str:
        """The base URL of requests; Docker Hub's API has another host name than its images."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{'http' if self.is_plain_http else 'https'}://{host}"
