"""The `ssh://` addresses that docker takes as endpoints."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

from multibuild.frozen import frozen

SCHEME = "ssh://"
ADDRESS_HINT = "like ssh://build@host or ssh://host:2222"


@frozen
class Destination:
    """What an address leads to; an empty `user` and no `port` are those of the account's ssh configuration.

    `socket` is the path of the engine's socket on that machine, empty for docker's own choice.
    """

    host: str
    user: str = ""
    port: int | None = None
    socket: str = ""

    @classmethod
    def parse(cls, address: str) -> Destination:
        """Read an address by docker's own rules (docker/cli, connhelper/ssh); ValueError says what is wrong."""
        parts = urlsplit(address)
        if parts.scheme != "ssh":
            raise ValueError("it does not begin with ssh://")
        if parts.password is not None:
            raise ValueError("docker takes no password in an ssh:// address: use a key")
        if not parts.hostname:
            raise ValueError("the host is missing")
        if parts.query or parts.fragment:
            raise ValueError("docker takes neither ? nor # in an ssh:// address")
        try:
            port = parts.port
        except ValueError:
            raise ValueError("the port is not a number up to 65535") from None
        return cls(
            host=_host_of(parts.netloc),
            user=unquote(parts.username or ""),
            port=port,
            socket="" if parts.path == "/" else parts.path,
        )

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{user}{host}:{self.port}" if self.port else f"{user}{self.host}"

    @property
    def arguments(self) -> tuple[str, ...]:
        """Return the arguments of ssh that lead there, in docker's order."""
        user = ("-l", self.user) if self.user else ()
        port = ("-p", str(self.port)) if self.port else ()
        return (*user, *port, "--", self.host)

    @property
    def login(self) -> str:
        """Return the arguments for a person's own `ssh`."""
        port = f"-p {self.port} " if self.port else ""
        return f"{port}{self.user}@{self.host}" if self.user else f"{port}{self.host}"


def _host_of(netloc: str) -> str:
    """Return the host in the case in which it was written: it may be a `Host` of the ssh configuration."""
    host = netloc.rpartition("@")[2]
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
