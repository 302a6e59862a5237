"""Cases about registries: merging over a distance, and the proof of local images."""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from bench.builds import Size
from bench.far import Far
from bench.measure import Case, Command, Contestant, one_after_another
from bench.project import BASE, OURS, REGISTRY, ROOT, TWELVE, Project, slug
from bench.second import start_registry

NO_VARIABLES: Mapping[str, str] = MappingProxyType({})

ROUND_TRIP = 0.05
"""Seconds; a registry on another continent takes twice that."""


def merge(scratch: Path, size: Size) -> Case:
    """Return the case of one index of twelve children, the whole command."""
    return _merge(scratch, "merge", 0.6, "imagetools create", _imagetools)


def merge_manifest(scratch: Path, size: Size) -> Case:
    """Return the same case against create, annotate and push."""
    return _merge(scratch, "merge-docker", 0.1, "docker manifest", _docker_manifest)


def merge_crane(scratch: Path, size: Size) -> Case:
    """Return the same case against crane."""
    return _merge(scratch, "merge-crane", 0.6, "crane index append", _crane)


Merge = Callable[[str, tuple[str, ...]], Callable[[], float]]
"""Returns the command that merges children to a tag."""


def _merge(scratch: Path, name: str, target: float, title: str, peer: Merge) -> Case:
    far = Far(int(REGISTRY.rpartition(":")[2]), seconds=ROUND_TRIP).__enter__()
    children = _children(scratch / name, far.host)

    def to_a_new_tag(prefix: str, merge: Merge) -> Callable[[], float]:
        """Return the merge to a new tag each time: a tag that holds the index already would not move."""

        def run() -> float:
            return merge(f"{far.host}/bench/{name}:{prefix}-{time.time_ns()}", children)()

        return run

    return Case(
        name=f"merge of 12 children, {ROUND_TRIP * 1000:.0f} ms away: {title}",
        ours=Contestant(name="multibuild merge", run=to_a_new_tag("ours", _ours)),
        peers=(Contestant(name=title, run=to_a_new_tag("peer", peer)),),
        floors=(
            Contestant(name="floor: its requests, our libraries", run=to_a_new_tag("loaded", _loaded)),
            Contestant(name="floor: its requests, nothing else", run=to_a_new_tag("bare", _requests)),
        ),
        target=target,
    )


def _requests(tag: str, children: tuple[str, ...]) -> Command:
    return Command(argv=(sys.executable, "-S", str(ROOT / "bench" / "requests.py"), tag, *children))


def _loaded(tag: str, children: tuple[str, ...]) -> Command:
    """Return the same requests after importing typer, pydantic and httpx."""
    load = "import typer, typer._adapters, httpx, httpcore, sys; from bench.requests import main; main(*sys.argv[1:])"
    return Command(argv=(sys.executable, "-c", load, tag, *children), cwd=ROOT)


def _ours(tag: str, children: tuple[str, ...]) -> Command:
    return Command(argv=(*OURS, "merge", tag, *children), cwd=ROOT)


def _children(folder: Path, host: str) -> tuple[str, ...]:
    """Push twelve plain manifests (`docker manifest` takes no index), each under a tag."""
    more = {"attestations": {"provenance": False}, "publish": {"staging": "{image}:{slug}"}}
    project = Project(folder=folder, dockerfile=f"FROM {BASE}\nRUN uname -m > /machine\n", more=more)
    project.write()
    project.ours("--progress", "quiet", command="build")()
    repository = project.image.partition("/")[2]
    return tuple(f"{host}/{repository}:{slug(platform)}" for platform in TWELVE)


def _imagetools(tag: str, children: tuple[str, ...]) -> Command:
    command = ("docker", "buildx", "imagetools", "create", "--builder", "default")
    return Command(argv=(*command, "--tag", tag, *children))


def _docker_manifest(tag: str, children: tuple[str, ...]) -> Callable[[], float]:
    """Return the three steps, with every child annotated that has a variant, as users must."""
    create = Command(argv=("docker", "manifest", "create", "--insecure", tag, *children))
    variants = [
        Command(argv=("docker", "manifest", "annotate", "--variant", platform.split("/")[2], tag, child))
        for platform, child in zip(TWELVE, children, strict=True)
        if platform.count("/") == 2
    ]
    push = Command(argv=("docker", "manifest", "push", "--insecure", "--purge", tag))
    return one_after_another(create, *variants, push)


def _crane(tag: str, children: tuple[str, ...]) -> Command:
    sources = [word for child in children for word in ("-m", child)]
    argv = (_reader("crane"), "index", "append", "--insecure", *sources, "-t", tag)
    return Command(argv=argv, environ=_libraries())


def promote(scratch: Path, size: Size) -> Case:
    """Return the case of an index of twelve platforms to another registry, each time to a new repository."""
    project = Project(folder=scratch / "promote", dockerfile=f"FROM {BASE}\nRUN uname -m > /machine\n")
    project.write()
    project.ours("--progress", "quiet")()
    near = Far(int(REGISTRY.rpartition(":")[2]), seconds=ROUND_TRIP).__enter__()
    far = Far(start_registry(scratch / "second"), seconds=ROUND_TRIP).__enter__()
    source = f"{near.host}/{project.image.partition('/')[2]}:latest"

    def to_a_new_repository(*words: str, environ: Mapping[str, str] = NO_VARIABLES) -> Callable[[], float]:
        def run() -> float:
            target = f"{far.host}/bench/promote-{time.time_ns()}:1"
            return Command(argv=(*words, source, target), cwd=ROOT, environ=environ)()

        return run

    crane = to_a_new_repository(_reader("crane"), "copy", "--insecure", environ=_libraries())
    return Case(
        name=f"promote of 12 platforms, registries {ROUND_TRIP * 1000:.0f} ms away",
        ours=Contestant(name="multibuild promote", run=to_a_new_repository(*OURS, "promote")),
        peers=(Contestant(name="crane copy", run=crane),),
        target=1.0,
    )


def proof(scratch: Path, size: Size) -> Case:
    """Return the case of every file of twelve images, against pulling and unpacking them."""
    dockerfile = f"FROM {BASE}\nRUN head -c {size.image}000000 /dev/urandom > /blob\n"
    project = Project(folder=scratch / "proof", dockerfile=dockerfile, more={"verify": {"content": "off"}})
    project.write()
    project.ours("--progress", "quiet")()
    state, rounds = scratch / "proof-state", [0]

    def ours() -> float:
        rounds[0] += 1  # a state remembers the layers that were read
        argv = (
            "verify",
            f"{project.image}:latest",
            "--content",
            "all",
            "--state-dir",
            f"{state}-{rounds[0]}",
        )
        return Command(argv=(*OURS, *argv), cwd=ROOT)()

    return Case(
        name=f"proof of 12 images of {size.image} MB",
        ours=Contestant(name="multibuild verify --content all", run=ours),
        peers=(Contestant(name="skopeo and tar", run=_unpack(project, scratch)),),
        target=0.5,
    )


def _unpack(project: Project, scratch: Path) -> Command:
    """Return the script: image after image copied to a directory, each layer unpacked, then deleted."""
    steps = []
    for platform in TWELVE:
        system, arch, *variant = platform.split("/")
        flags = f"--override-os {system} --override-arch {arch}" + (
            f" --override-variant {variant[0]}" if variant else ""
        )
        flags += " copy -q --src-tls-verify=false"
        image, root = scratch / "pulled", scratch / "unpacked"
        steps.append(
            f"rm -rf {image} {root}; mkdir {root}; "
            f"{_reader('skopeo')} --insecure-policy {flags} docker://{project.image}:latest dir:{image} "
            f"\nfor f in {image}/*; do tar -xzf $f -C {root} 2>/dev/null || true; done"
        )
    return Command(argv=("sh", "-ec", "\n".join(steps)), environ=_libraries())


def _reader(name: str) -> str:
    return f"{_readers()}/usr/bin/{name}"


def _libraries() -> dict[str, str]:
    prefix = _readers()
    return {"LD_LIBRARY_PATH": f"{prefix}/usr/lib/x86_64-linux-gnu:{prefix}/lib/x86_64-linux-gnu"}


@functools.cache
def _readers() -> str:
    """Return the prefix of the lab's other registry clients; the first call fetches them."""
    argv = (sys.executable, "-m", "builders.lab", "readers")
    return subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
