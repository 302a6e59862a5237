"""What a server of downloads offers: an Alpine repository, a git repository and a Python index, of one package each."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import os
import subprocess
import tarfile
import zipfile
from pathlib import Path

GIT_AUTHOR = {"NAME": "lab", "EMAIL": "lab@example.org"}


def make_sites(folder: Path) -> None:
    """Fill a server's folder: `alpine/`, `lib.git` and `simple/`."""
    _alpine(folder / "alpine" / "x86_64")
    _git(folder / "lib.git")
    _python(folder / "simple" / "hello")


def _alpine(folder: Path) -> None:
    """Write a package and its index as apk 2 and 3 read them, unsigned (apk-package(5), apk-v2(5))."""
    folder.mkdir(parents=True)
    data = _tar({"hello": b"hello\n"})
    info = f"pkgname = hello\npkgver = 1-r0\narch = x86_64\nsize = 6\ndatahash = {hashlib.sha256(data).hexdigest()}\n"
    control = _tar({".PKGINFO": info.encode()}, end=False)
    (folder / "hello-1-r0.apk").write_bytes(control + data)
    checksum = base64.b64encode(hashlib.sha1(control).digest()).decode()
    size = len(control) + len(data)
    entry = f"C:Q1{checksum}\nP:hello\nV:1-r0\nA:x86_64\nS:{size}\nI:6\nT:a file\nU:-\nL:MIT\n\n"
    (folder / "APKINDEX.tar.gz").write_bytes(_tar({"DESCRIPTION": b"lab\n", "APKINDEX": entry.encode()}))


def _tar(files: dict[str, bytes], *, end: bool = True) -> bytes:
    """Return an archive, compressed; without its `end` another one may follow, of which apk makes one."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            member.pax_headers = {"APK-TOOLS.checksum.SHA1": hashlib.sha1(content).hexdigest()}
            archive.addfile(member, io.BytesIO(content))
        length = archive.offset
    return gzip.compress(raw.getvalue() if end else raw.getvalue()[:length], mtime=0)


def _git(folder: Path) -> None:
    """Make a repository that a server of files can serve (gitprotocol-http(5), "dumb" clients)."""
    names = {
        f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in GIT_AUTHOR.items()
    }
    environ = {**os.environ, **names, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}
    environ |= {"GIT_DIR": str(folder)}

    def git(*words: str) -> str:
        done = subprocess.run(("git", *words), env=environ, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet", "--bare", "--initial-branch=main")
    tree = git("write-tree")
    git("update-ref", "refs/heads/main", git("commit-tree", tree, "-m", "empty"))
    git("update-server-info")


def _python(folder: Path) -> None:
    """Write a wheel and its page (PEP 427, PEP 503)."""
    folder.mkdir(parents=True)
    name = "hello-1-py3-none-any.whl"
    info = "hello-1.dist-info"
    with zipfile.ZipFile(folder / name, "w") as wheel:
        wheel.writestr("hello.py", "")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: hello\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    (folder / "index.html").write_text(f'<a href="{name}">{name}</a>')
