"""The base image for twelve platforms: busybox from Debian, on scratch."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from builders.lab.paths import PORT, REGISTRY, Lab
from builders.lab.process import run, say

PLATFORMS = {
    "linux/amd64": "amd64",
    "linux/arm64": "arm64",
    "linux/arm/v7": "armhf",
    "linux/arm/v6": "armel",
    "linux/arm/v5": "armel",
    "linux/386": "i386",
    "linux/mips64le": "mips64el",
    "linux/mipsle": "mipsel",
    "linux/ppc64le": "ppc64el",
    "linux/s390x": "s390x",
    "linux/riscv64": "riscv64",
    "linux/loong64": "loong64",
}
"""Platform → the Debian architecture whose busybox serves it: armel's is ARMv5, which v6 runs too."""

APPLETS = (
    "ash awk basename cat chmod chown cmp cp cut date dd df dirname du echo env expr false find grep gunzip gzip head "
    "hexdump hostname id ip kill ln ls md5sum mkdir mktemp mv nc nproc od ping printf ps pwd readlink realpath rm rmdir "
    "sed seq sh sha256sum sleep sort stat sync tail tar tee test time touch tr true uname uniq vi wc wget which whoami "
    "xargs yes zcat"
).split()

DOCKERFILE = """FROM scratch
ARG TARGETARCH
ARG TARGETVARIANT
COPY ${TARGETARCH}${TARGETVARIANT:+-}${TARGETVARIANT}/ /
ENV PATH=/usr/local/bin:/usr/bin:/bin
CMD ["sh"]
"""

_INDEXES = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json"
)


def up(lab: Lab) -> None:
    """Build and push it unless the registry has it for every platform."""
    if published() >= set(PLATFORMS):
        return
    say(f"building {REGISTRY}/base:latest for {len(PLATFORMS)} platforms")
    context = lab.home / "base"
    shutil.rmtree(context, ignore_errors=True)
    for platform, debian in PLATFORMS.items():
        root = context / "-".join(platform.split("/")[1:])
        _fill(root, lab.prefix / "busybox" / debian)
    (context / "Dockerfile").write_text(DOCKERFILE)
    run(
        [
            "docker", "buildx", "build", "--builder", "default", "--platform", ",".join(PLATFORMS), "--provenance=false",
            "--output", f"type=image,name={REGISTRY}/base:latest,push=true,oci-mediatypes=true,store=false", str(context),
        ],
        hint="the engine must answer and the registry too: `python3 -m builders.lab status`",
    )  # fmt: skip


def _fill(root: Path, package: Path) -> None:
    """Lay out a root: newer packages put busybox in /usr/bin."""
    binary = next(
        path for path in (package / "bin" / "busybox", package / "usr" / "bin" / "busybox") if path.exists()
    )
    for folder in ("bin", "usr/bin", "usr/local/bin", "etc", "tmp", "root"):
        (root / folder).mkdir(parents=True)
    shutil.copy2(binary, root / "bin" / "busybox")
    for applet in APPLETS:
        (root / "bin" / applet).symlink_to("busybox")
    (root / "usr" / "bin" / "env").symlink_to("../../bin/busybox")
    (root / "etc" / "passwd").write_text(
        "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    )
    (root / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")
    (root / "tmp").chmod(0o1777)


def published() -> set[str]:
    """Give the platforms the registry has of it."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}/v2/base/manifests/latest", headers={"Accept": _INDEXES}
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            entries = json.load(answer).get("manifests", [])
    except (urllib.error.URLError, OSError, ValueError):
        return set()
    platforms = [entry["platform"] for entry in entries]
    return {"/".join(filter(None, (p["os"], p["architecture"], p.get("variant")))) for p in platforms}
