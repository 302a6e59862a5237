"""A project in a scratch directory, and the commands by which each contestant builds it."""

from __future__ import annotations

import functools
import itertools
import json
import os
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.measure import Command

REGISTRY = "localhost:5000"
BASE = f"{REGISTRY}/base:latest"
TWELVE = (
    "linux/amd64",
    "linux/arm64",
    "linux/arm/v7",
    "linux/arm/v6",
    "linux/arm/v5",
    "linux/386",
    "linux/mips64le",
    "linux/mipsle",
    "linux/ppc64le",
    "linux/s390x",
    "linux/riscv64",
    "linux/loong64",
)
EIGHT = tuple(
    platform
    for platform in TWELVE
    if platform not in {"linux/arm/v5", "linux/arm/v6", "linux/mipsle", "linux/loong64"}
)
OURS = (sys.executable, "-m", "multibuild")
ROOT = Path(__file__).resolve().parents[1]
PYTHONPATH = {"PYTHONPATH": str(ROOT)}

_number = itertools.count(1)


def slug(platform: str) -> str:
    """Return a platform as part of a tag."""
    return platform.replace("/", "-")


@functools.cache
def refused_download() -> str:
    """Return a step's command that is refused a connection, by a port of this machine where nothing listens.

    Not by a loopback address: what listens there is the step's own affair, and not retried.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outward:
        outward.connect(("192.0.2.1", 9))  # sends nothing (RFC 5737: an address that nobody has)
        return f"wget -q http://{outward.getsockname()[0]}:1/"


@dataclass(frozen=True, kw_only=True)
class Project:
    """A Dockerfile, its platforms and a repository of its own. `more` goes into multibuild.yaml.

    `state` is the state directory of our runs, by default beside the folder.
    """

    folder: Path
    dockerfile: str
    platforms: Sequence[str] = TWELVE
    more: Mapping[str, Any] = field(default_factory=dict)
    state: Path | None = None

    @property
    def image(self) -> str:
        return f"{REGISTRY}/bench/{self.folder.name}"

    @property
    def config(self) -> Path:
        return self.folder / "multibuild.yaml"

    @property
    def state_dir(self) -> str:
        return str(self.state or f"{self.folder}.state")

    def write(self) -> None:
        """Write it again; `{fresh}` in the Dockerfile becomes a text that no cache has seen."""
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = f"{self.folder}-{next(_number)}"
        (self.folder / "Dockerfile").write_text(self.dockerfile.replace("{fresh}", fresh))
        (self.folder / ".dockerignore").write_text("multibuild.yaml\nbake.json\n")
        self.config.write_text(json.dumps(self.document()))
        (self.folder / "bake.json").write_text(json.dumps(self.bake_file()))

    def document(self) -> dict[str, Any]:
        """Return multibuild.yaml."""
        return {
            "version": 1,
            "image": self.image,
            "builder": "default",
            "platforms": list(self.platforms),
            **self.more,
        }

    def bake_file(self) -> dict[str, Any]:
        """Return the definition of a target for each platform."""
        targets = {
            slug(platform): {
                "context": ".",
                "platforms": [platform],
                "pull": True,
                "attest": ["type=provenance,mode=min"],
                "output": [pushed(f"{self.image}:bake-{slug(platform)}")],
            }
            for platform in self.platforms
        }
        return {"group": {"default": {"targets": list(targets)}}, "target": targets}

    def ours(self, *flags: str, command: str = "all", codes: frozenset[int] = frozenset({0})) -> Command:
        """Return multibuild, with a state of this project's own."""
        argv = (*OURS, command, "-f", str(self.config), "--state-dir", self.state_dir, *flags)
        return Command(argv=argv, cwd=ROOT, codes=codes)

    def one_solve(self, codes: frozenset[int] = frozenset({0}), flags: Sequence[str] = ()) -> Command:
        """Return one `docker buildx build` of all platforms, pushed under a tag; `flags` are further ones."""
        argv = (
            "docker",
            "buildx",
            "build",
            "--builder",
            "default",
            "--pull",
            "--platform",
            ",".join(self.platforms),
        )
        return Command(
            argv=(*argv, *flags, "--output", pushed(f"{self.image}:solve"), "."), cwd=self.folder, codes=codes
        )

    def bake(self, codes: frozenset[int] = frozenset({0})) -> Command:
        """Return one `docker buildx bake` with a target per platform, each pushed under a tag."""
        argv = ("docker", "buildx", "bake", "--builder", "default", "--allow", "fs=*", "--file", "bake.json")
        return Command(argv=argv, cwd=self.folder, codes=codes)

    def by_hand(self, *, tries: int = 1, at_once: int | None = None) -> Command:
        """Return a build per platform, as many at a time as there are processors (or `at_once`), and one index of them.

        It is the work of ours without an orchestrator.
        """
        output = pushed(f"{self.image}:hand-$2")
        build = f"{buildx()} build --builder default --pull --platform $1 --output {output} ."
        platforms = "".join(f"{platform} {slug(platform)}\n" for platform in self.platforms)
        each = f"xargs -P {at_once or os.cpu_count()} -L 1 sh -c '{' || '.join([build] * tries)}' sh"
        index = index_of(self.image, "hand", self.platforms)
        script = f"printf '{platforms}' | {each} && {buildx()} {index}"
        return Command(argv=("sh", "-c", script), cwd=self.folder)

    def bake_and_index(self) -> Command:
        """Return bake by the plugin's own binary, and one index of what it pushed."""
        script = (
            f"{buildx()} bake --builder default --allow 'fs=*' --file bake.json && "
            f"{buildx()} {index_of(self.image, 'bake', self.platforms)}"
        )
        return Command(argv=("sh", "-c", script), cwd=self.folder)

    def shell_loop(self) -> Command:
        """Return the loop that many projects have in their CI: a build per platform, then one index of them."""
        steps = " && ".join(
            f"docker buildx build --builder default --pull --platform {platform} "
            f"--output {pushed(f'{self.image}:loop-{slug(platform)}')} ."
            for platform in self.platforms
        )
        return Command(
            argv=("sh", "-c", f"{steps} && docker buildx {index_of(self.image, 'loop', self.platforms)}"),
            cwd=self.folder,
        )


@functools.cache
def buildx() -> str:
    """Return the path of the plugin's own binary, from `docker info`."""
    form = '{{range .ClientInfo.Plugins}}{{if eq .Name "buildx"}}{{.Path}}{{end}}{{end}}'
    argv = ("docker", "info", "--format", form)
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()


def index_of(image: str, way: str, platforms: Sequence[str]) -> str:
    """Return buildx's arguments for one index of the children that were pushed as `IMAGE:way-PLATFORM`."""
    children = " ".join(f"{image}:{way}-{slug(platform)}" for platform in platforms)
    return f"imagetools create --builder default --tag {image}:{way} {children}"


def pushed(name: str) -> str:
    """Return the `--output` that pushes an image under a name."""
    return f"type=image,name={name},push=true,oci-mediatypes=true,store=false"
