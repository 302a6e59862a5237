"""TLS of a registry: the authorities it is trusted by and the client certificates it gets, from config and docker's.

Docker's daemon keeps files for a registry in /etc/docker/certs.d/HOST[:PORT], a rootless one in the user's config
folder: NAME.crt is an authority, NAME.cert a client certificate whose key is NAME.key (moby, registry/registry.go).
"""

from __future__ import annotations

import functools
import os
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from multibuild.errors import EnvironmentFault
from multibuild.frozen import frozen
from multibuild.oci.registry_settings import RegistrySettings

SYSTEM_CERTIFICATES = Path("/etc/docker/certs.d")


@frozen
class CertificatePair:
    """A client certificate and its key; `name` is where the two are configured."""

    name: str
    cert: Path
    key: Path


def with_docker_certificates(
    settings: RegistrySettings,
    environ: Mapping[str, str] | None = None,
    *,
    system: Path = SYSTEM_CERTIFICATES,
) -> RegistrySettings:
    """Return the settings with docker's folder of certificates for the registry, where there is one."""
    for folder in _folders(os.environ if environ is None else environ, system):
        own = folder / settings.host
        if any(_files(own, suffix) for suffix in (".crt", ".cert", ".key")):
            return replace(settings, certificates=own)
    return settings


def _folders(environ: Mapping[str, str], system: Path) -> Iterator[Path]:
    home = environ.get("XDG_CONFIG_HOME") or (f"{environ['HOME']}/.config" if environ.get("HOME") else "")
    if home:
        yield Path(home) / "docker" / "certs.d"
    yield system


@functools.cache
def tls_context(settings: RegistrySettings, *, is_own: bool = True) -> ssl.SSLContext:
    """Return a context that trusts the system's authorities and the registry's.

    Those hold for the hosts that the registry leads to as well: its token service and blob store may be of the same
    authority. A client certificate is for the registry alone (`is_own`). Raises EnvironmentFault for unusable files.
    """
    context = ssl.create_default_context()
    for name, path in authority_files(settings):
        try:
            context.load_verify_locations(path)
        except OSError as error:
            raise EnvironmentFault(
                f"{name}: {path} is no usable certificate: {error.strerror or error}",
                hint="a PEM file",
            ) from error
    for pair in client_certificates(settings) if is_own else ():
        _load(context, pair)
    return context


def authority_files(settings: RegistrySettings) -> tuple[tuple[str, Path], ...]:
    """Return the files of authorities, each with where it is configured: the config's, then docker's."""
    own = [(f"registries.{settings.host}.ca", settings.ca)] if settings.ca is not None else []
    folder = settings.certificates
    return (*own, *((str(folder), path) for path in (_files(folder, ".crt") if folder is not None else ())))


def client_certificates(settings: RegistrySettings) -> tuple[CertificatePair, ...]:
    """Return the client certificates: the configured one, else docker's, in an order whose last one counts.

    Raises EnvironmentFault for one of docker's without its key, or a key without its certificate.
    """
    if settings.cert is not None:
        key = settings.key or settings.cert
        return (CertificatePair(name=f"registries.{settings.host}.cert", cert=settings.cert, key=key),)
    if settings.certificates is None:
        return ()
    pairs = tuple(
        CertificatePair(name=str(settings.certificates), cert=cert, key=cert.with_suffix(".key"))
        for cert in reversed(_files(settings.certificates, ".cert"))
    )
    for pair in pairs:
        if not os.path.lexists(pair.key):
            raise EnvironmentFault(
                f"{pair.cert} is a client certificate without its key {pair.key.name}",
                hint="an authority's file ends in .crt, a client certificate's in .cert",
            )
    for key in _files(settings.certificates, ".key"):
        if not os.path.lexists(key.with_suffix(".cert")):
            raise EnvironmentFault(
                f"{key} is the key of a client certificate that is not there: {key.stem}.cert",
                hint="a client certificate's file ends in .cert, an authority's in .crt; docker refuses it as well",
            )
    # Keys of the daemon are often root's alone; most registries with such a folder need none to be read.
    return tuple(pair for pair in pairs if os.access(pair.key, os.R_OK) and os.access(pair.cert, os.R_OK))


def _files(folder: Path, suffix: str) -> list[Path]:
    """Return the files of a folder with this ending; none where it is not there, or not for this user to read."""
    try:
        return sorted(path for path in folder.iterdir() if path.suffix == suffix)
    except OSError:
        return []


def _load(context: ssl.SSLContext, pair: CertificatePair) -> None:
    def passphrase() -> str:
        raise EnvironmentFault(
            f"{pair.name}: the key {pair.key} is encrypted",
            hint="a key without a passphrase: openssl pkey -in FILE",
        )

    try:
        context.load_cert_chain(pair.cert, pair.key, password=passphrase)
    except OSError as error:
        unreadable = next((path for path in (pair.cert, pair.key) if not os.access(path, os.R_OK)), None)
        reason = (
            f"{unreadable} cannot be read"
            if unreadable
            else f"{pair.cert} and {pair.key} are no certificate and its key"
        )
        raise EnvironmentFault(
            f"{pair.name}: {reason}", hint="two PEM files, the second of them the key"
        ) from error
