"""The base image for twelve platforms: busybox from Debian, on scratch."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from builders.lab import registry
from builders.lab.paths import Lab
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
    "ash", "awk", "basename", "cat", "chmod", "chown", "cmp", "cp", "cut", "date", "dd", "df", "dirname",
    "du", "echo", "env", "expr", "false", "find", "grep", "gunzip", "gzip", "head", "hexdump", "hostname",
    "id", "ip", "kill", "ln", "ls", "md5sum", "mkdir", "mktemp", "mv", "nc", "nproc", "od", "ping",
    "printf", "ps", "pwd", "readlink", "realpath", "rm", "rmdir", "sed", "seq", "sh", "sha256sum", "sleep",
    "sort", "stat", "sync", "tail", "tar", "tee", "test", "time", "touch", "tr", "true", "uname", "uniq",
    "vi", "wc", "wget", "which", "whoami", "xargs", "yes", "zcat",
)  # fmt: skip

DOCKERFILE = """FROM scratch
ARG TARGETARCH
ARG TARGETVARIANT
COPY ${TARGETARCH}${TARGETVARIANT:+-}${TARGETVARIANT}/ /
ENV PATH=/usr/local/bin:/usr/bin:/bin
CMD ["sh"]
"""


def up(lab: Lab) -> None:
    """Build and push it unless the registry has this version for every platform."""
    stamp = lab.home / "base.made"
    if published(lab) >= set(PLATFORMS) and stamp.exists() and stamp.read_text() == fingerprint(lab):
        return
    say(f"building {lab.registry}/base:latest for {len(PLATFORMS)} platforms")
    stamp.unlink(missing_ok=True)
    context = lab.home / "base"
    shutil.rmtree(context, ignore_errors=True)
    for platform, debian in PLATFORMS.items():
        root = context / "-".join(platform.split("/")[1:])
        fill(root, lab.prefix / "busybox" / debian)
    (context / "Dockerfile").write_text(DOCKERFILE)
    output = f"type=image,name={lab.registry}/base:latest,push=true,oci-mediatypes=true,store=false"
    run(
        [
            "docker", "buildx", "build", "--builder", "default", "--platform", ",".join(PLATFORMS),
            "--provenance=false", "--output", output, str(context),
        ],
        hint="the engine must answer and the registry too: `python3 -m builders.lab status`",
    )  # fmt: skip
    stamp.write_text(fingerprint(lab))


def fingerprint(lab: Lab) -> str:
    """Return a digest of everything that goes into the base image: the layout, and the packages of this prefix."""
    parts = (DOCKERFILE, " ".join(APPLETS), str(sorted(PLATFORMS.items())), lab.registry)
    sizes = [str(path.stat().st_size) for path in sorted((lab.prefix / "busybox").glob("**/bin/busybox"))]
    return hashlib.sha256("\n".join((*parts, *sizes)).encode()).hexdigest()


def fill(root: Path, package: Path) -> None:
    """Create a root file system; newer packages have busybox in /usr/bin."""
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


def published(lab: Lab) -> set[str]:
    """Return the platforms of the base image in the registry."""
    index = registry.get(lab, "base/manifests/latest") or {}
    platforms = [entry.get("platform", {}) for entry in index.get("manifests", [])]
    return {"/".join(filter(None, (p.get("os"), p.get("architecture"), p.get("variant")))) for p in platforms}
