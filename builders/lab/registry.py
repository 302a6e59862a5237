"""A registry on the loopback interface: Debian's docker-registry, deleting allowed."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from builders.lab import process
from builders.lab.paths import Lab, LabError
from builders.lab.process import say

_INDEXES = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)


def record(lab: Lab) -> Path:
    """Return the file with its pid and start time."""
    return lab.run / "registry.json"


def get(lab: Lab, path: str) -> Any:
    """Return the registry's JSON answer, or None. Requests ignore http_proxy."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{lab.port}/v2/{path}", headers={"Accept": f"{_INDEXES}, application/json"}
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as answer:
            return json.load(answer)
    except (OSError, ValueError, HTTPException):
        return None


def answers(lab: Lab) -> bool:
    """Whether a registry answers."""
    return get(lab, "") is not None


def up(lab: Lab) -> None:
    """Start it unless one answers."""
    if answers(lab):
        return
    process.stop(record(lab))
    say(f"starting the registry on port {lab.port}")
    config = lab.home / "registry.yml"
    storage = lab.home / "registry"
    storage.mkdir(parents=True, exist_ok=True)
    config.write_text(json.dumps(settings(lab, storage), indent=2))
    log = lab.home / "log" / "registry.log"
    process.start(record(lab), [f"{lab.prefix}/usr/bin/docker-registry", "serve", str(config)], log=log)
    process.wait_until(lambda: answers(lab) or process.alive(record(lab)) is None, 15)
    if not answers(lab):
        process.stop(record(lab))
        lines = log.read_text(errors="replace").splitlines()[-5:]
        raise LabError(
            "the registry did not start:\n  " + "\n  ".join(lines),
            "if the port is taken, choose another with MULTIBUILD_LAB_PORT",
        )


def settings(lab: Lab, storage: Path) -> dict[str, object]:
    """Return its configuration; JSON is YAML."""
    return {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"addr": f"127.0.0.1:{lab.port}"},
    }


def down(lab: Lab) -> None:
    """Stop it."""
    if process.stop(record(lab)):
        say("stopped the registry")
