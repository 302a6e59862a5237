"""Images with compilers and interpreters, for the examples that are real projects: Debian packages on scratch.

`debian`, `gcc`, `python` and `golang` have the names of the public images that they stand for. Only the end-to-end
tests need them, so `up` does not make them.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from builders.lab import packages, registry
from builders.lab.packages import Package
from builders.lab.paths import Lab
from builders.lab.process import run, say

SUITE = "bookworm"
"""On every machine: later releases have no mips64el, and the images need nothing of the machine's own suite."""

NATIVE = ("amd64",)
"""The lab's engine is for x86-64 only."""

PLATFORMS = {
    "amd64": "linux/amd64",
    "arm64": "linux/arm64",
    "mips64el": "linux/mips64le",
    "s390x": "linux/s390x",
}
"""Debian architecture → platform."""


@dataclass(frozen=True, kw_only=True)
class Toolchain:
    """An image: packages, and what they depend on, over those of its parent."""

    name: str
    packages: tuple[str, ...]
    parent: str | None = None
    architectures: tuple[str, ...] = tuple(PLATFORMS)


TOOLCHAINS = (
    Toolchain(name="debian", packages=("libc6", "dash", "coreutils", "sed", "grep", "mawk")),
    Toolchain(name="gcc", parent="debian", packages=("gcc", "libc6-dev", "make")),
    Toolchain(
        name="gcc-cross",
        parent="gcc",
        packages=(
            "gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross", "gcc-mips64el-linux-gnuabi64", "libc6-dev-mips64el-cross",
            "gcc-s390x-linux-gnu", "libc6-dev-s390x-cross",
        ),
        architectures=NATIVE,
    ),
    Toolchain(
        name="python-slim",
        parent="debian",
        packages=("python3-minimal", "libpython3-stdlib"),
        architectures=("amd64", "arm64", "s390x"),
    ),
    Toolchain(
        name="python",
        parent="gcc",
        packages=("python3-minimal", "libpython3-stdlib", "libpython3.11-dev"),
        architectures=("amd64", "arm64", "s390x"),
    ),
    Toolchain(name="golang", parent="debian", packages=("golang-go",), architectures=NATIVE),
)  # fmt: skip
"""Each after its parent."""

_SANITIZERS = ("libasan8", "liblsan0", "libtsan2", "libubsan1", "libhwasan0", "libitm1")
_CROSS = ("arm64", "mips64el", "s390x")

OMITTED = frozenset(
    {
        # For package managers and their scripts; RPC, which nothing here speaks.
        "dpkg", "debianutils", "tar", "media-types", "libnsl-dev", "libtirpc-dev", "rpcsvc-proto",
        *_SANITIZERS, *(f"{name}-{architecture}-cross" for name in _SANITIZERS for architecture in _CROSS),
    }
)  # fmt: skip
"""Packages that others depend on, and that no build here uses."""

UNUSED = (
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
    "usr/bin/*lto-dump*", "usr/bin/*gcov*", "usr/bin/*gprof*", "usr/lib/*/gprofng", "usr/lib/gcc*/*/*/lto1",
    "usr/lib/*/libpython*.a", "usr/lib/python3*/config-*/libpython*.a",
    "usr/lib/go-*/pkg/*_*", "usr/share/go-*/api", "usr/share/go-*/misc", "usr/share/go-*/test",
    "usr/share/go-*/src/cmd",
)  # fmt: skip
"""Parts of packages, as globs, that no build here uses: half of the bytes.

Link-time optimisation, profiles, Python inside a program, Go's tests, and its compiled library, which newer releases
do not have either.
"""

LINKS = {"usr/bin/cc": "gcc", "usr/bin/awk": "mawk", "usr/bin/sh": "dash", "usr/bin/python": "python3"}
"""Links that maintainer scripts and alternatives would make, where the target is."""


def reference(lab: Lab, name: str) -> str:
    """Return the reference of a toolchain's image."""
    return f"{lab.registry}/toolchains/{name}:latest"


def up(lab: Lab) -> None:
    """Build and push the images unless the registry has this version of them."""
    stamp = lab.home / "toolchains.made"
    if stamp.exists() and stamp.read_text() == fingerprint(lab) and published(lab):
        return
    stamp.unlink(missing_ok=True)
    context = lab.home / "toolchains"
    shutil.rmtree(context, ignore_errors=True)
    _fill(lab, context)
    (context / "Dockerfile").write_text(dockerfile())
    for toolchain in TOOLCHAINS:
        _build(lab, context, toolchain)
    stamp.write_text(fingerprint(lab))
    for leftover in (context, lab.home / "apt"):
        shutil.rmtree(leftover)


def fingerprint(lab: Lab) -> str:
    """Return a digest of the tables; a stable suite's packages need no new images."""
    parts = (TOOLCHAINS, sorted(OMITTED), UNUSED, LINKS, PLATFORMS, dockerfile(), SUITE, lab.registry)
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def published(lab: Lab) -> bool:
    """Whether the registry has an image of every toolchain."""
    return all(registry.get(lab, f"toolchains/{row.name}/tags/list") for row in TOOLCHAINS)


def dockerfile() -> str:
    """Return a Dockerfile with a stage per toolchain."""
    return "".join(
        f"FROM {row.parent or 'scratch'} AS {row.name}\n"
        "ARG TARGETARCH\n"
        f"COPY ${{TARGETARCH}}/{row.name}/ /\n"
        "ENV PATH=/usr/local/bin:/usr/bin:/bin\n"
        for row in TOOLCHAINS
    )


def _build(lab: Lab, context: Path, toolchain: Toolchain) -> None:
    platforms = [PLATFORMS[architecture] for architecture in toolchain.architectures]
    say(f"building {reference(lab, toolchain.name)} for {', '.join(platforms)}")
    # A gigabyte that is pushed to this machine alone: the least compression takes a third of the time.
    output = (
        f"type=image,name={reference(lab, toolchain.name)},push=true,oci-mediatypes=true,store=false,"
        "compression=gzip,compression-level=1"
    )
    run(
        [
            "docker", "buildx", "build", "--builder", "default", "--platform", ",".join(platforms),
            "--target", toolchain.name, "--provenance=false", "--output", output, str(context),
        ],
        hint="the engine must answer and the registry too: `python3 -m builders.lab status`",
    )  # fmt: skip


def _fill(lab: Lab, context: Path) -> None:
    """Unpack every toolchain's packages into a directory per architecture and toolchain."""
    say("fetching package lists")
    site = packages.mirror()
    lists = packages.update(lab, site, [(SUITE, architecture) for architecture in PLATFORMS])
    roots = {}
    for architecture, platform in PLATFORMS.items():
        text = packages.list_text(lists, SUITE, architecture)
        for name, selected in select(text, architecture).items():
            roots[context / platform.rpartition("/")[2] / name] = selected
    wanted = dict.fromkeys(package for selected in roots.values() for package in selected)
    say(f"fetching {len(wanted)} packages")
    debs = packages.download(lab, site, list(wanted))
    say("unpacking")
    for root, selected in roots.items():
        unpack(root, [debs[package] for package in selected])


def select(text: bytes, architecture: str) -> dict[str, list[Package]]:
    """Return, for each toolchain of an architecture, the packages that its parents do not have."""
    selected: dict[str, list[Package]] = {}
    inherited: dict[str | None, frozenset[str]] = {None: OMITTED}
    for row in TOOLCHAINS:
        if architecture in row.architectures:
            without = inherited[row.parent]
            selected[row.name] = packages.closure(text, row.packages, architecture, without=without)
            inherited[row.name] = without | {package.name for package in selected[row.name]}
    return selected


def unpack(root: Path, debs: Iterable[Path]) -> None:
    """Unpack packages into the part of a root file system that one image adds."""
    (root / "usr").mkdir(parents=True)
    for deb in debs:
        run(["dpkg-deb", "-x", str(deb), str(root)], hint=packages.NO_APT)
    _merge_usr(root)
    for pattern in UNUSED:
        for path in root.glob(pattern):
            run(["rm", "-rf", str(path)])
    for name, target in LINKS.items():
        link = root / name
        if link.with_name(target).exists() and not link.is_symlink():
            link.symlink_to(target)
    if root.name == TOOLCHAINS[0].name:
        _furnish(root)


def _merge_usr(root: Path) -> None:
    """Move /bin, /lib and their like into /usr, as on an installed system: dpkg-deb puts a directory over a link."""
    for name in ("bin", "sbin", "lib", "lib64"):
        own = root / name
        if own.is_dir() and not own.is_symlink():
            (root / "usr" / name).mkdir(exist_ok=True)
            run(["cp", "-a", f"{own}/.", str(root / "usr" / name)])
            shutil.rmtree(own)


def _furnish(root: Path) -> None:
    """Add what an installed system has around its packages."""
    for name in ("bin", "sbin", "lib", "lib64"):
        if (root / "usr" / name).is_dir():
            (root / name).symlink_to(f"usr/{name}")
    for folder in ("etc", "root", "tmp", "usr/local/bin", "var/tmp"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    (root / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
    for folder in ("tmp", "var/tmp"):
        (root / folder).chmod(0o1777)
