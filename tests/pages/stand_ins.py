"""Stand-ins for programs that cannot run in a test; each checks its arguments.

Every other program that a page calls is the real one.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from fakes import cosign

ROOT = Path(__file__).resolve().parents[2]
_ACCEPT = (
    "application/vnd.oci.image.index.v1+json, application/vnd.docker.distribution.manifest.list.v2+json,"
    " application/vnd.oci.image.manifest.v1+json"
)


@dataclass(frozen=True, kw_only=True)
class StandIn:
    """The reason for it, and a function from its arguments to its exit code."""

    reason: str
    act: Callable[[Sequence[str]], int]


def _cosign(arguments: Sequence[str]) -> int:
    """Sign and verify without cryptography; with a key that the reader has not made, only look for the image."""
    key = arguments[arguments.index("--key") + 1] if "--key" in arguments else ""
    if arguments[0] == "verify" and "://" not in key and not Path(key).exists():
        _assert_held(arguments[-1])
        return 0
    try:
        sys.stdout.write(cosign.act(arguments, os.environ, 2))
    except cosign.CosignError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _kubectl(arguments: Sequence[str]) -> int:
    """Check for `apply -f` that the registry has the images; print a cluster of four architectures for `get nodes`."""
    if arguments[:2] == ["get", "nodes"]:
        print((ROOT / "tests/pages/nodes.json").read_text())
        return 0
    assert arguments[:2] == ["apply", "-f"], arguments
    images = re.findall(r"\bimage: *(\S+)", Path(arguments[2]).read_text())
    assert images, f"{arguments[2]} names no image"
    for image in images:
        _assert_held(image)
    return 0


def _make(arguments: Sequence[str]) -> int:
    """Do not run the suite in itself: check that CI runs `make test`; other targets are real."""
    whole = {"test", "e2e", "unit", "contract", "lint", "bench", "format", "lab-down", "clean"}
    if not whole & set(arguments):
        return subprocess.run([_real("make"), *arguments]).returncode
    if "test" in arguments:
        assert re.search(r"\bmake test\b", (ROOT / ".ci/run").read_text())
    return subprocess.run([_real("make"), "--dry-run", "--quiet", *arguments]).returncode


def _pip(arguments: Sequence[str]) -> int:
    """Resolve the same installation without changing the environment of the tests."""
    assert arguments[0] == "install", arguments
    own = ["--dry-run", "--quiet", "--no-deps", "--no-build-isolation"]
    return subprocess.run([sys.executable, "-m", "pip", "install", *own, *arguments[1:]]).returncode


def _sudo(arguments: Sequence[str]) -> int:
    return subprocess.run(arguments).returncode


def _trivy(arguments: Sequence[str]) -> int:
    """Check that an image in the registry is scanned by digest, with its platform; a database is not fetched."""
    assert arguments[0] == "image", arguments
    if arguments[1:] != ["--download-db-only"]:
        assert "--exit-code" in arguments, "without it trivy says yes to everything"
        assert arguments[arguments.index("--platform") + 1].startswith("linux/")
        assert "@sha256:" in arguments[-1]
        _assert_held(arguments[-1])
    return 0


def _grype(arguments: Sequence[str]) -> int:
    """Fetch no database."""
    assert arguments == ["db", "update"], arguments
    return 0


STAND_INS: Final[Mapping[str, StandIn]] = {
    "trivy": StandIn(reason="a scanner needs its database from the internet", act=_trivy),
    "cosign": StandIn(reason="signing needs a key or an identity provider on the internet", act=_cosign),
    "grype": StandIn(reason="a scanner needs its database from the internet", act=_grype),
    "kubectl": StandIn(reason="there is no cluster", act=_kubectl),
    "make": StandIn(reason="the test suite cannot run inside itself", act=_make),
    "pip": StandIn(reason="it would install into the environment of the tests", act=_pip),
    "sudo": StandIn(reason="the tests are root already, and a bare machine has no sudo", act=_sudo),
}


def install(folder: Path) -> None:
    """Write the programs into a folder for PATH."""
    folder.mkdir()
    for name in STAND_INS:
        program = folder / name
        line = shlex.join([sys.executable, "-m", "pages.stand_ins", name])
        program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(f"{ROOT}/tests:{ROOT}")} exec {line} "$@"\n')
        program.chmod(0o755)


def _real(program: str) -> str:
    """Return the path of the real program: stand-ins come first on PATH."""
    path = shutil.which(program, path=os.environ["PATH"].partition(":")[2])
    assert path, f"there is no {program}"
    return path


def _assert_held(reference: str) -> None:
    """Check that its registry (one of the lab's, plain http) has a manifest."""
    host, _, rest = reference.partition("/")
    repository, mark, target = rest.partition("@") if "@" in rest else rest.rpartition(":")
    assert mark, f"{reference} has neither tag nor digest"
    address = f"http://{host}/v2/{repository}/manifests/{target}"
    request = urllib.request.Request(address, method="HEAD", headers={"Accept": _ACCEPT})
    urllib.request.urlopen(request, timeout=20).close()


if __name__ == "__main__":
    sys.exit(STAND_INS[sys.argv[1]].act(sys.argv[2:]))
