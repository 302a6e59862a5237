"""Cases of many images from one file: cold, cached, one that fails; and what multibuild itself takes for them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.builds import COMPILER_FAILS, FAILED, WORK, Size
from bench.measure import Case, Command, Contestant, one_after_another
from bench.own import own_use
from bench.project import BASE, TWELVE, Project, buildx, index_of, pushed, slug

IMAGES = tuple(f"image-{number}" for number in range(12))
FOUR = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/s390x")
FAILING = "image-7"
TWENTY = tuple(f"image-{number}" for number in range(20))
TINY_LOOPS = 10
SIX = (*TWELVE[:4], "linux/ppc64le", "linux/s390x")


@dataclass(frozen=True, kw_only=True)
class Images(Project):
    """A Dockerfile with a target for each image: the peer is bake with the same targets.

    Both build on the engine's own builder, and leave an index with a tag for each image.
    """

    names: Sequence[str] = IMAGES

    def document(self) -> dict[str, Any]:
        """Return multibuild.yaml."""
        images = {name: {"target": name} for name in self.names}
        repository = f"{self.image}/{{name}}"
        return {**super().document(), "image": repository, "images": images}

    def bake_file(self) -> dict[str, Any]:
        """Return the definition of a target for each image."""
        targets = {
            name: {
                "context": ".",
                "target": name,
                "platforms": list(self.platforms),
                "pull": True,
                "attest": ["type=provenance,mode=min"],
                "output": [pushed(f"{self.image}/{name}:bake")],
            }
            for name in self.names
        }
        return {"group": {"default": {"targets": list(targets)}}, "target": targets}

    def a_process_each(self) -> Command:
        """Return a build per image and platform, three at a time for each processor as ours, and an index per image.

        It is the work of ours without an orchestrator.
        """
        output = pushed(f"{self.image}/$1:hand-$3")
        build = f"{buildx()} build --builder default --pull --target $1 --platform $2 --output {output} ."
        units = "".join(f"{name} {p} {slug(p)}\n" for name in self.names for p in self.platforms)
        indexes = " && ".join(
            f"{buildx()} {index_of(f'{self.image}/{name}', 'hand', self.platforms)}" for name in self.names
        )
        script = (
            f"printf '{units}' | xargs -P {3 * (os.cpu_count() or 1)} -L 1 sh -c '{build}' sh && {indexes}"
        )
        return Command(argv=("sh", "-c", script), cwd=self.folder)


def cold(scratch: Path, size: Size) -> Case:
    """Return the case of twelve images for four platforms, nothing cached: a stage of all, and a step of each."""
    return _cold(_project(scratch / "images-cold", size))


def tiny_cold(scratch: Path, size: Size) -> Case:
    """Return the same with so little work that the clients' own is most of it."""
    return _cold(_project(scratch / "images-tiny-cold", _tiny(size)), "tiny work, ")


def _cold(project: Images, work: str = "") -> Case:
    return Case(
        name=f"{_size(project)}, {work}cold",
        ours=Contestant(name="multibuild all", run=project.ours("--progress", "quiet"), before=project.write),
        peers=(Contestant(name="bake", run=project.bake(), before=project.write),),
        floors=(
            Contestant(
                name="floor: a process each, by hand", run=project.a_process_each(), before=project.write
            ),
        ),
        target=1.0,
    )


def cached(scratch: Path, size: Size) -> Case:
    """Return the case where nothing changed, with everything done again: proof and tags included."""
    project = _project(scratch / "images-cached", _tiny(size))
    project.write()
    for command in (project.ours("--progress", "quiet"), project.bake()):
        command()
    return Case(
        name=f"{_size(project)}, cached",
        ours=Contestant(name="multibuild all", run=project.ours("--progress", "quiet")),
        peers=(Contestant(name="bake", run=project.bake()),),
        target=1.2,
    )


def failed(scratch: Path, size: Size) -> Case:
    """Return the case of one that fails at half its work, for a reason outside the project; mended, then finished."""
    return _failed(scratch / "images-failed", size)


def tiny_failed(scratch: Path, size: Size) -> Case:
    """Return the same with so little work that the clients' own is most of it."""
    return _failed(scratch / "images-tiny-failed", _tiny(size), "tiny work, ")


def _failed(folder: Path, size: Size, work: str = "") -> Case:
    project = _project(folder, size, fails=True)
    sound = _project(folder.with_name(f"{folder.name}-sound"), size)
    failing = project.ours("--progress", "quiet", codes=frozenset({4}))
    resumed = project.ours("--progress", "quiet", "--resume")
    return Case(
        name=f"{_size(project)}, {work}one fails at half, mended, finished",
        ours=Contestant(
            name="multibuild all, --resume", run=one_after_another(failing, resumed), before=project.write
        ),
        peers=(
            Contestant(
                name="bake, run again",
                run=one_after_another(project.bake(FAILED), project.bake()),
                before=project.write,
            ),
        ),
        floors=(
            Contestant(name="floor: bake, nothing fails", run=sound.bake(), before=sound.write),
            Contestant(
                name="floor: a process each, by hand, nothing fails",
                run=sound.a_process_each(),
                before=sound.write,
            ),
        ),
        target=0.6,
    )


def memory(scratch: Path, size: Size) -> Case:
    """Return the case of multibuild's largest resident size with twenty images for six platforms, of trivial steps."""
    project = _project(scratch / "images-memory", replace(size, loops=1), names=TWENTY, platforms=SIX)
    flags = ("-f", str(project.config), "--state-dir", project.state_dir, "--progress", "quiet")
    return Case(
        name=f"memory, {_size(project)}",
        ours=Contestant(
            name="multibuild all",
            run=lambda: own_use("bench.own", "all", *flags)["peak_mb"],
            before=project.write,
        ),
        target=120.0,
        unit="MB",
    )


def _tiny(size: Size) -> Size:
    """Return a tenth of a second of work for each image and platform."""
    return replace(size, loops=min(size.loops, TINY_LOOPS))


def _size(project: Images) -> str:
    return f"{len(project.names)} images × {len(project.platforms)}"


def _project(
    folder: Path,
    size: Size,
    *,
    fails: bool = False,
    names: Sequence[str] = IMAGES,
    platforms: Sequence[str] = FOUR,
) -> Images:
    """Return images of one stage and a step each, of the same work: for each platform, `size.loops`.

    The image that fails does so in the middle of its step. Every image has half the work twice, so that no image has
    less of it than another.
    """
    half = WORK.format(loops=max(1, size.loops // 2))
    fail = (
        'if [ "$TARGETARCH" = s390x ] && [ ! -e /tried/once ]; then touch /tried/once; '
        f"{COMPILER_FAILS}; fi; "
    )
    mount = "--mount=type=cache,id={fresh},target=/tried "

    def stage(name: str) -> str:
        does_fail = fails and name == FAILING
        step = f"set -e; : {name}; {half}; {fail if does_fail else ''}{half}"
        return f"FROM shared AS {name}\nARG TARGETARCH\nRUN {mount if does_fail else ''}{step}\n"

    shared = f"FROM {BASE} AS shared\nRUN : {{fresh}}; {half}; {half}\n"
    return Images(
        folder=folder,
        dockerfile=shared + "".join(map(stage, names)),
        names=names,
        platforms=platforms,
    )
