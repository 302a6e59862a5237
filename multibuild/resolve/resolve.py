"""Resolve an index for hosts by the rules of the clients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from multibuild.errors import UsageError
from multibuild.frozen import frozen
from multibuild.oci.errors import RegistryError, translate_read_errors
from multibuild.oci.manifest import Descriptor, Manifest
from multibuild.oci.manifests.identity import is_zstd
from multibuild.oci.manifests.read_manifest import read_manifest
from multibuild.platforms import Platform
from multibuild.resolve.client_rules import Choice, Entry, resolve


@frozen
class HostChoices:
    """Each client's pick on one host."""

    host: str
    clients: Mapping[str, Choice | None]

    def document(self) -> dict[str, Any]:
        """Return the host's JSON of `resolve --json`."""
        return {
            "host": self.host,
            "clients": {
                name: {"digest": choice.digest, "platform": str(choice.platform) if choice.platform else None}
                if choice is not None
                else None
                for name, choice in self.clients.items()
            },
        }


def resolve_hosts(
    index: Manifest, hosts: Sequence[str], clients: Sequence[str] = ()
) -> tuple[HostChoices, ...]:
    """Resolve an index for each host, by all clients or those named; UsageError for a host that is no platform."""
    entries = entries_of(index)
    platforms = dict.fromkeys(parse_host(text) for text in hosts)
    return tuple(HostChoices(host=str(host), clients=resolve(entries, host, clients)) for host in platforms)


def parse_host(text: str) -> Platform:
    """Parse a host: `linux/arm64/unknown` and `linux/arm64/v8` stay as written, an alias becomes its OCI name.

    Raises UsageError for an architecture that does not exist.
    """
    host = Platform.parse_verbatim(text)
    _ = host.row  # raises for an unknown architecture
    return host


def entries_of(index: Manifest) -> tuple[Entry, ...]:
    """Return the entries of an index that can be read; a single manifest is one entry without platform.

    Raises EnvironmentFault for a list that is none.
    """
    if not index.is_index:
        return (Entry(platform=None, digest=index.digest, media_type=index.media_type),)
    with translate_read_errors():
        return tuple(entry_of(descriptor) for descriptor in index.read_entries.readable)


def entry_of(descriptor: Descriptor) -> Entry:
    """Return what clients read of a descriptor."""
    return Entry(
        platform=descriptor.platform,
        digest=descriptor.digest,
        media_type=descriptor.media_type,
        is_attestation=descriptor.is_attestation,
        is_zstd=is_zstd(descriptor.annotations),
    )


def read_index(content: bytes, name: str) -> Manifest:
    """Parse an index from a file's bytes; UsageError with the file's name when it holds none."""
    try:
        index = read_manifest(content, "", name=name)
    except RegistryError as error:
        raise UsageError(error.message, hint=_PRINT_ONE) from None
    if not index.is_index:
        raise UsageError(f"{name} holds no index: it lists no manifests", hint=_PRINT_ONE)
    try:
        index.read_entries  # noqa: B018 - raises for a list that is none
    except RegistryError as error:
        raise UsageError(f"{name}: {error.message}", hint=_PRINT_ONE) from None
    return index


_PRINT_ONE = "`multibuild inspect REF --raw` prints one"
