"""A registry on the loopback interface: Debian's docker-registry, deleting allowed."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

from builders.lab import process
from builders.lab.paths import PORT, Lab, LabError
from builders.lab.process import say


def record(lab: Lab) -> Path:
    """Who it is, when it runs."""
    return lab.run / "registry.json"


def answers(port: int = PORT) -> bool:
    """Whether a registry answers there."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def up(lab: Lab) -> None:
    """Start it unless one answers already."""
    if answers():
        return
    process.stop(record(lab))
    say(f"starting the registry on port {PORT}")
    config = lab.home / "registry.yml"
    storage = lab.home / "registry"
    storage.mkdir(parents=True, exist_ok=True)
    # JSON is YAML.
    config.write_text(
        json.dumps(
            {
                "version": 0.1,
                "log": {"level": "warn", "accesslog": {"disabled": True}},
                "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
                "http": {"addr": f"127.0.0.1:{PORT}"},
            }
        )
    )
    log = lab.home / "log" / "registry.log"
    process.start(record(lab), [f"{lab.prefix}/usr/bin/docker-registry", "serve", str(config)], log=log)
    if not process.wait_until(answers, 15):
        words = log.read_text(errors="replace").splitlines()[-5:]
        raise LabError(
            "the registry did not start:\n  " + "\n  ".join(words), "is the port taken? MULTIBUILD_LAB_PORT"
        )


def down(lab: Lab) -> None:
    """Stop it."""
    if process.stop(record(lab)):
        say("stopped the registry")
