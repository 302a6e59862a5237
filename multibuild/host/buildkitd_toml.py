"""`buildkitd.toml`: the configuration of a profile, with settings for the registries of a config."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multibuild.engine.engine import BuilderInfo, EngineInfo
from multibuild.oci.registry_settings import RegistrySettings, is_loopback

IN_CONTAINER = "/etc/buildkit/"
"""Where buildx puts the files of a configuration (its `Files`) inside the builder."""

CONFIGURABLE = frozenset({"docker-container", "kubernetes"})
"""Drivers whose BuildKit is configured by `buildx create`; the others have a configuration of their own."""


def buildkit_settings(host: str, options: RegistrySettings) -> dict[str, Any]:
    """Return BuildKit's settings for a registry; empty if it needs none.

    It needs them where it is plain http, or has a CA of its own, or wants a client certificate. Loopback is plain http
    to BuildKit unless its settings say otherwise, also where they name such files (util/resolver: fillInsecureOpts).
    """
    local = is_loopback(host)
    files: dict[str, Any] = {"ca": [str(options.ca)]} if options.ca is not None else {}
    if options.cert is not None and options.key is not None:
        files["keypair"] = [{"key": str(options.key), "cert": str(options.cert)}]
    if not files:
        return {"http": True} if options.insecure and not local else {}
    scheme = {"http": options.insecure} if options.insecure or local else {}
    return {**scheme, **files}


def with_registries(text: str, registries: Mapping[str, Mapping[str, object]]) -> str:
    """Return a configuration with registries added; one that its author configured already stays as it is."""
    configured = _parse(text).get("registry", {})
    lines = [text.rstrip()] if text.strip() else []
    for host, settings in sorted(registries.items()):
        if host not in configured:
            lines += [f'[registry."{host}"]', *(f"  {key} = {_toml(settings[key])}" for key in settings)]
    return "\n".join(lines) + "\n" if lines else ""


def _toml(value: object) -> str:
    """Return a value in TOML's form, which for texts, booleans and lists of them is that of JSON."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return "[" + ", ".join(map(_toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def same_configuration(expected: str, files: Mapping[str, bytes], read: Callable[[Path], bytes]) -> bool:
    """Whether a builder's files, by path below IN_CONTAINER, are what buildx makes of `expected`.

    buildx rewrites the TOML and copies certificates to other paths, so values and contents are compared.
    """

    def in_builder(path: str) -> bytes:
        return files.get(path.removeprefix(IN_CONTAINER), b"")

    return resolved_configuration(expected, read) == _with_contents(_current(files), in_builder)


def resolved_configuration(text: str, read: Callable[[Path], bytes]) -> dict[str, Any]:
    """Return the values of a configuration, with the contents of certificates and keys in place of their paths."""

    def on_disk(path: str) -> bytes:
        try:
            return read(Path(path))
        except OSError:
            return b""

    return _with_contents(_parse(text), on_disk)


def listed_files(files: Mapping[str, str]) -> dict[str, bytes]:
    """Return a builder's files from `buildx ls`, which has them in base64; one that has not is empty."""

    def decode(content: str) -> bytes:
        try:
            return base64.b64decode(content)
        except (ValueError, TypeError):
            return b""

    return {path: decode(content) for path, content in files.items()}


def _current(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Parse the configuration among a builder's files."""
    return _parse(files.get("buildkitd.toml", b"").decode("utf-8", "replace"))


def registry_warnings(
    builder: BuilderInfo, info: EngineInfo, registries: Mapping[str, Mapping[str, object]]
) -> tuple[str, ...]:
    """Return for each registry that a builder has no settings for what will fail, and where settings belong.

    Pushing over plain http still works (each build passes that option); `FROM` and tests that pull do not. No option
    of a build names a CA.
    """
    configured: Mapping[str, object] = {}
    if builder.driver == "docker":
        configured = dict.fromkeys(info.insecure)
    elif builder.driver in CONFIGURABLE and builder.nodes:
        configured = _current(listed_files(builder.nodes[0].files)).get("registry", {})
    return tuple(
        f"{builder.name} was not told that {host} is {_consequence(settings)} it; {_place(builder, host, settings)}"
        for host, settings in registries.items()
        if host not in configured and not _has_certificate(builder, info, host, settings)
    )


def _consequence(settings: Mapping[str, object]) -> str:
    """Return what a builder has no setting for, and what fails then: a push can be given plain http, but no CA."""
    if settings.get("http"):
        return "plain http: images cannot be pulled from"
    obstacle = "behind a CA of its own" if "ca" in settings else "asking for a client certificate"
    return f"{obstacle}: images can be neither pulled from nor pushed to"


def _place(builder: BuilderInfo, host: str, settings: Mapping[str, object]) -> str:
    """Return where the owner of a builder writes the setting."""
    if builder.driver != "docker":
        owner = "the machine behind it has" if builder.driver == "remote" else "it was made with"
        return f"write it in the buildkitd.toml that {owner}"
    if settings.get("http"):
        return "write it in the engine's daemon.json, insecure-registries"
    folder = f"/etc/docker/certs.d/{host}"
    authority = f"the CA at {folder}/ca.crt" if "ca" in settings else ""
    pair = f"the client certificate at {folder}/client.cert and client.key" if "keypair" in settings else ""
    return f"put {' and '.join(filter(None, (authority, pair)))} of the engine's machine"


def _has_certificate(
    builder: BuilderInfo, info: EngineInfo, host: str, settings: Mapping[str, object]
) -> bool:
    """Whether the engine on this machine has the certificates for a host (dockerd reads /etc/docker/certs.d)."""
    patterns = [pattern for key, pattern in (("ca", "*.crt"), ("keypair", "*.cert")) if key in settings]
    folder = Path("/etc/docker/certs.d", host)
    read_by_engine = builder.driver == "docker" and info.local and bool(patterns)
    return read_by_engine and all(any(folder.glob(pattern)) for pattern in patterns)


def _parse(text: str) -> dict[str, Any]:
    """Parse a configuration; what is none, or has registries of another shape, is kept as text."""
    try:
        document = tomllib.loads(text)
    except (ValueError, RecursionError):
        return {"": text}
    registries = document.get("registry", {})
    is_valid = isinstance(registries, dict) and all(map(_is_registry, registries.values()))
    return document if is_valid else {"": text}


def _is_registry(settings: object) -> bool:
    """Whether settings have the shape of BuildKit's: `ca` a list of paths, `keypair` a list of tables of paths."""
    if not isinstance(settings, dict):
        return False
    authorities, pairs = settings.get("ca", []), settings.get("keypair", [])
    if not isinstance(authorities, list) or not isinstance(pairs, list):
        return False
    tables = all(isinstance(pair, dict) for pair in pairs)
    paths = [*authorities, *(path for pair in pairs if tables for path in pair.values())]
    return tables and all(isinstance(path, str) and "\0" not in path for path in paths)


def _with_contents(document: dict[str, Any], read: Callable[[str], bytes]) -> dict[str, Any]:
    """Return a configuration with the contents of certificates and keys in place of their paths."""
    registries = {}
    for host, settings in document.get("registry", {}).items():
        resolved = dict(settings)
        if "ca" in resolved:
            resolved["ca"] = [read(path) for path in resolved["ca"]]
        if "keypair" in resolved:
            resolved["keypair"] = [
                {key: read(path) for key, path in pair.items()} for pair in resolved["keypair"]
            ]
        registries[host] = resolved
    return {**document, "registry": registries}
