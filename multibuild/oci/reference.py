"""Image references, parsed like Docker's (distribution/reference), and the destination of an index."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import replace

from multibuild.errors import PublishFailed, UsageError
from multibuild.frozen import frozen

_NAME = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*\Z")
_TAG = re.compile(r"\w[\w.-]{0,127}\Z", re.ASCII)
_DIGEST = re.compile(r"sha(?:256:[0-9a-f]{64}|512:[0-9a-f]{128})\Z")

_HUB = "docker.io"
# distribution/reference normalize.go: the second is the name in old configs.
_HUB_NAMES = frozenset({_HUB, "index.docker.io"})

# distribution/reference regexp.go, domainAndPort.
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_HOST = re.compile(rf"(?P<host>{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::(?P<port>[0-9]{{1,9}}))?\Z")
_IPV4 = re.compile(r"[0-9]+(?:\.[0-9]+){3}\Z")
MAX_PORT = 65535


@frozen
class Reference:
    """`host/repository[:tag][@digest]`, with Docker Hub's short forms written out."""

    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @classmethod
    def parse(cls, text: str) -> Reference:
        """Parse a reference like Docker (distribution/reference); UsageError with the reason when it is invalid."""
        rest, at, digest = text.partition("@")
        if at and not _DIGEST.match(digest):
            raise UsageError(
                f"'{text}': '{digest}' is not a digest", hint="a digest is sha256: and 64 hex digits"
            )
        head, slash, last = rest.rpartition("/")
        last, colon, tag = last.partition(":")
        name = f"{head}{slash}{last}"
        if colon and not _TAG.match(tag):
            raise UsageError(
                f"'{text}': '{tag}' is not a tag", hint="letters, digits, '_', '.' and '-', at most 128"
            )
        host, slash, repository = name.partition("/")
        if not slash or not ("." in host or ":" in host or host == "localhost"):
            host, repository = _HUB, name
        if host in _HUB_NAMES:
            host, repository = _HUB, repository if "/" in repository else f"library/{repository}"
        if not _is_host(host):
            raise UsageError(
                f"'{text}': '{host}' is not a registry", hint="a registry is a host, perhaps with :PORT"
            )
        if not _NAME.match(repository):
            capital = repository != repository.lower()
            reason = "a repository is lower case only" if capital else "it is not an image reference"
            raise UsageError(
                f"'{text}': {reason}", hint="write host/repository:tag, like registry.example.org/app:1"
            )
        return cls(host=host, repository=repository, tag=tag or None, digest=digest or None)

    @property
    def name(self) -> str:
        """`host/repository`."""
        return f"{self.host}/{self.repository}"

    @property
    def target(self) -> str:
        """The digest, else the tag, else latest."""
        return self.digest or self.tag or "latest"

    def with_tag(self, tag: str | None) -> Reference:
        """Return the repository with this tag (None: none), without digest."""
        return replace(self, tag=tag, digest=None)

    def with_digest(self, digest: str) -> Reference:
        """Return the repository with this digest, without tag; PublishFailed for an invalid digest.

        Digests come from untrusted manifests and become part of paths and tags: "latest" would be a tag there, and
        "../../other/manifests/1" another repository.
        """
        if not is_digest(digest):
            raise PublishFailed(f"{self.name}: '{digest[:80]}' is no digest")
        return replace(self, tag=None, digest=digest)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}{f'@{self.digest}' if self.digest else ''}"


def is_digest(text: str) -> bool:
    """Whether it is `sha256:` or `sha512:` with all its hex digits; nothing else may become part of a path."""
    return _DIGEST.match(text) is not None


def _is_host(text: str) -> bool:
    """Whether it is a host with or without a port; Docker's grammar takes some that no connection can be made to."""
    match = _HOST.match(text)
    if match is None or int(match["port"] or 0) > MAX_PORT:
        return False
    name = match["host"]
    if not (name.startswith("[") or _IPV4.match(name)):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


@frozen
class Destination:
    """A repository and the tags of the index in it, in order."""

    repository: Reference
    tags: tuple[str, ...]
