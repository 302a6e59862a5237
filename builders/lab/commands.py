"""Links that make `docker` and `docker buildx` work where they are missing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from builders.lab import notes
from builders.lab.paths import Lab, LabError
from builders.lab.process import say, succeeds

DOCKER = Path("/usr/local/bin/docker")


def link(lab: Lab) -> None:
    """Link what is missing to the prefix's own; recorded for `unlink`."""
    if shutil.which("docker") is None:
        _link(lab, DOCKER, lab.prefix / "usr" / "bin" / "docker")
    if not buildx_works():
        plugins = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
        plugin = lab.prefix / "usr" / "libexec" / "docker" / "cli-plugins" / "docker-buildx"
        _link(lab, plugins / "docker-buildx", plugin)


def buildx_works() -> bool:
    """Whether the docker command finds its buildx plugin."""
    return succeeds(["docker", "buildx", "version"])


def _link(lab: Lab, link: Path, target: Path) -> None:
    if link.exists() and not link.is_symlink():
        raise LabError(f"{link} does not work and is not a link of the lab", "repair or remove it")
    say(f"linking {link}")
    notes.add(lab.home / "links", str(link))
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target)


def unlink(lab: Lab) -> None:
    """Remove the links that `link` created, if they still lead to the prefix."""
    for line in notes.lines(lab.home / "links"):
        link = Path(line)
        if link.is_symlink() and link.readlink().is_relative_to(lab.prefix):
            link.unlink()
    (lab.home / "links").unlink(missing_ok=True)
