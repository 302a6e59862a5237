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
    """How a registry is reached. `insecure`: plain http.

    Files in PEM form: `ca` stands beside the system's authorities, `cert` is the client certificate and `key` its key.
    `certificates` is docker's folder of such files for this registry, None without one.
    """

    host: str
    insecure: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    certificates: Path | None = None

    @property
    def is_plain_http(self) -> bool:
        """Whether it is reached over plain http: configured so, or on loopback (as Docker does) without TLS files."""
        return self.insecure or (is_loopback(self.host) and not self.has_tls_files)

    @property
    def has_tls_files(self) -> bool:
        """Whether there is anything that only TLS needs: then a registry on loopback has TLS."""
        return any((self.ca, self.cert, self.certificates))

    @property
    def address(self) -> str:
        """The base URL of requests; Docker Hub's API has another host name than its images."""
        host = "registry-1.docker.io" if self.host == "docker.io" else self.host
        return f"{'http' if self.is_plain_http else 'https'}://{host}"
