"""`buildkitd.toml`: what a profile says, and the registries of a config that BuildKit must know of."""

from __future__ import annotations

import base64
import json
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from multibuild.engine.docker import BuilderInfo, EngineInfo

IN_CONTAINER = "/etc/buildkit/"
"""Where buildx puts the files of a configuration (its `Files`) inside the builder."""

CONFIGURABLE = frozenset({"docker-container", "kubernetes"})
"""Drivers whose BuildKit is configured by `buildx create`; the others have a configuration of their own."""


def registry_settings(options: Mapping[str, Any]) -> dict[str, Any]:
    """Give BuildKit's settings of a registry that a config calls insecure or gives a CA; empty when it does neither.

    `insecure` means plain http here as in the rest of multibuild.
    """
    found: dict[str, Any] = {"http": True} if options.get("insecure") else {}
    if options.get("ca"):
        found["ca"] = [str(options["ca"])]
    return found


def with_registries(text: str, registries: Mapping[str, Mapping[str, object]]) -> str:
    """Add registries to a configuration; one that its author configured already is left as it is."""
    known = _parsed(text).get("registry", {})
    lines = [text.rstrip()] if text.strip() else []
    for host, settings in sorted(registries.items()):
        if host not in known:
            lines += [f'[registry."{host}"]', *(f"  {key} = {json.dumps(settings[key])}" for key in settings)]
    return "\n".join(lines) + "\n" if lines else ""


def same_configuration(wanted: str, files: Mapping[str, str], read: Callable[[Path], bytes]) -> bool:
    """Whether a builder's files (from `buildx ls`, base64) are what `wanted` would become.

    buildx writes the TOML anew and takes certificates in, under other paths, so values and contents are compared.
    """

    def on_disk(path: str) -> bytes:
        try:
            return read(Path(path))
        except OSError:
            return b""

    def in_builder(path: str) -> bytes:
        return base64.b64decode(files.get(path.removeprefix(IN_CONTAINER), ""))

    present = base64.b64decode(files.get("buildkitd.toml", "")).decode("utf-8", "replace")
    return _resolved(_parsed(wanted), on_disk) == _resolved(_parsed(present), in_builder)


def registries_of(files: Mapping[str, str]) -> dict[str, Any]:
    """Give the registries that a builder's configuration knows."""
    present = base64.b64decode(files.get("buildkitd.toml", "")).decode("utf-8", "replace")
    known: dict[str, Any] = _parsed(present).get("registry", {})
    return known


def unknown_registries(
    found: BuilderInfo, info: EngineInfo, registries: Mapping[str, Mapping[str, object]]
) -> tuple[str, ...]:
    """Say of each registry that a builder was not told of what will fail there, and where it must be written.

    Pushing over plain http still works (it is said per build); `FROM` and tests that pull do not. A CA cannot be said.
    """
    known: Mapping[str, object] = {}
    if found.driver == "docker":
        known = dict.fromkeys(info.insecure)
    elif found.driver in CONFIGURABLE:
        known = registries_of(found.nodes[0].files) if found.nodes else {}
    return tuple(
        f"{found.name} was not told that {host} is {_lacks(settings)} it; {_where(found, host, settings)}"
        for host, settings in registries.items()
        if host not in known and not _has_certificate(found, info, host, settings)
    )


def _lacks(settings: Mapping[str, object]) -> str:
    """Say what a builder does not know, and what it cannot do then: a push may be told of plain http, not of a CA."""
    if "http" in settings:
        return "plain http: images cannot be pulled from"
    return "behind a CA of its own: images can be neither pulled from nor pushed to"


def _where(found: BuilderInfo, host: str, settings: Mapping[str, object]) -> str:
    """Say where the owner of a builder writes it down."""
    if found.driver != "docker":
        whose = "the machine behind it has" if found.driver == "remote" else "it was made with"
        return f"write it in the buildkitd.toml that {whose}"
    if "http" in settings:
        return "write it in the engine's daemon.json, insecure-registries"
    return f"put the CA at /etc/docker/certs.d/{host}/ca.crt of the engine's machine"


def _has_certificate(found: BuilderInfo, info: EngineInfo, host: str, settings: Mapping[str, object]) -> bool:
    """Whether the engine on this machine has a CA for a host (dockerd reads /etc/docker/certs.d)."""
    engines_own = found.driver == "docker" and info.local and "ca" in settings
    return engines_own and any(Path("/etc/docker/certs.d", host).glob("*.crt"))


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return {"": text}


def _resolved(document: dict[str, Any], read: Callable[[str], bytes]) -> dict[str, Any]:
    """Put the contents of certificates and keys in the place of their paths."""
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
