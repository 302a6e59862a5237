"""Debian packages unpacked into a prefix of the lab's own; nothing on the machine changes.

apt itself fetches and verifies the package lists under a private configuration that lists every architecture
needed; without its caches (which cost minutes with a dozen architectures) that takes about ten seconds.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from builders.lab.paths import Lab, LabError
from builders.lab.process import run, say

STAMP = ".packages"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
APT_HELPER = "/usr/lib/apt/apt-helper"
NO_APT = "the lab unpacks Debian packages: run it on Debian, or provide a Docker engine with the containerd image store"

ENGINE = ("docker.io", "containerd", "docker-cli", "docker-buildx", "tini-static", "qemu-user")
"""From testing: Debian 12's own engine is too old for the containerd image store. They need only glibc 2.34."""

OWN = (
    "runc", "libseccomp2", "docker-registry", "iptables", "libip4tc2", "libip6tc2", "libxtables12", "libnftnl11",
    "libmnl0", "libnfnetlink0", "libnetfilter-conntrack3",
)  # fmt: skip
"""From the machine's own suite: testing's runc needs a newer glibc."""

READERS = ("crane", "oras", "cosign")
"""Clients of registries other than docker, and what signs in them, from testing."""

SKOPEO = ("skopeo", "libgpgme11", "libassuan0", "libgpg-error0", "libdevmapper1.02.1")
"""From bookworm: testing's needs a newer glibc. manifest-tool and regctl are not in Debian."""

OPENSSH = ("openssh-server", "openssh-client")
"""From the machine's own suite, whose libraries it has, with what they depend on: a bare machine has few."""

OPENSSH_WITHOUT = frozenset(
    {
        # The machine's own C library; what configures accounts, services and PAM, which the tests do without.
        "libc6", "libgcc-s1", "adduser", "passwd", "debconf", "ucf", "procps", "lsb-base", "runit-helper",
        "init-system-helpers", "sysvinit-utils", "libpam-modules", "libpam-runtime", "openssh-sftp-server",
    }
)  # fmt: skip

BUSYBOX = {
    "bookworm": ("amd64", "arm64", "armhf", "armel", "i386", "mips64el", "mipsel", "ppc64el", "s390x"),
    "testing": ("riscv64", "loong64"),
}
"""Suite → Debian architectures whose busybox-static comes from it; Debian 13 has no mips any more."""


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of a Packages list."""

    name: str
    architecture: str
    filename: str
    sha256: str
    depends: tuple[str, ...] = ()
    """Names; of alternatives the first."""


Needs = Mapping[tuple[str, str], Sequence[str]]
"""Package names by suite and Debian architecture."""


def unpacked(lab: Lab) -> bool:
    """Whether the prefix is complete and for this version of the lab; it is renamed into place last."""
    return _complete(lab.prefix, _needs())


def unpack(lab: Lab) -> None:
    """Fetch, verify and unpack everything the lab runs; LabError when the mirror does not have it."""
    if platform.machine() != "x86_64":
        raise LabError("the lab's engine is for x86-64 machines only", NO_APT)
    _unpack(lab, lab.prefix, _needs())


def readers(lab: Lab) -> Path:
    """Return the prefix of other registry clients, for checks; unpack them first if they are missing."""
    needs: Needs = {("testing", "amd64"): READERS, ("bookworm", "amd64"): SKOPEO}
    prefix = lab.home / "readers"
    if not _complete(prefix, needs):
        _unpack(lab, prefix, needs)
    return prefix


def openssh(lab: Lab) -> Path:
    """Return the prefix of an ssh server and client; unpack them first if they are missing."""
    needs: Needs = {(own_suite(), "amd64"): OPENSSH}
    prefix = lab.home / "openssh"
    if not _complete(prefix, needs):
        _unpack(lab, prefix, needs, without=OPENSSH_WITHOUT)
    return prefix


def _complete(prefix: Path, needs: Needs) -> bool:
    stamp = prefix / STAMP
    return stamp.exists() and stamp.read_text() == _stamp(needs)


def _unpack(lab: Lab, prefix: Path, needs: Needs, *, without: Collection[str] | None = None) -> None:
    """Fetch and unpack packages; those they depend on too, except `without`, if that is given."""
    say("fetching package lists")
    site = mirror()
    lists = update(lab, site, needs)
    selected: list[tuple[Package, Path]] = []
    fresh = prefix.with_name(f"{prefix.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    for (suite, architecture), names in needs.items():
        text = list_text(lists, suite, architecture)
        if without is None:
            listed = [find(text, name, architecture) for name in names]
        else:
            listed = closure(text, names, architecture, without=without)
        for package in listed:
            into = fresh / "busybox" / architecture if package.name == "busybox-static" else fresh
            selected.append((package, into))
    say(f"fetching {len(selected)} packages")
    debs = download(lab, site, [package for package, _ in selected])
    say("unpacking")
    for package, into in selected:
        into.mkdir(parents=True, exist_ok=True)
        run(["dpkg-deb", "-x", str(debs[package]), str(into)], hint=NO_APT)
    _link_what_packages_leave_to_scripts(fresh)
    (fresh / STAMP).write_text(_stamp(needs))
    # After a power failure the complete name must not be on empty files.
    os.sync()
    old = prefix.with_name(f"{prefix.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if prefix.exists():
        prefix.rename(old)
    fresh.rename(prefix)
    for leftover in (old, lab.home / "apt"):
        shutil.rmtree(leftover, ignore_errors=True)


def _stamp(needs: Needs) -> str:
    return "".join(f"{suite} {arch} {' '.join(names)}\n" for (suite, arch), names in needs.items())


def _needs() -> Needs:
    needs: dict[tuple[str, str], list[str]] = {
        ("testing", "amd64"): list(ENGINE),
        (own_suite(), "amd64"): list(OWN),
    }
    for suite, architectures in BUSYBOX.items():
        for architecture in architectures:
            needs.setdefault((suite, architecture), []).append("busybox-static")
    return needs


def own_suite() -> str:
    """Return the code name of the machine's Debian release."""
    text = Path("/etc/os-release").read_text()
    match = re.search(r"^VERSION_CODENAME=(\w+)$", text, re.MULTILINE)
    return match[1] if match else "testing"


def mirror() -> str:
    """Return the address of this machine's Debian archive, also before its first `apt-get update`."""
    empty = ["-o", "Dir::State::lists=/nonexistent", "-o", "Debug::NoLocking=true"]
    site = site_in(run(["apt-get", *empty, "--print-uris", "update"], hint=NO_APT), own_suite())
    if site is None:
        raise LabError("apt has no Debian archive configured", NO_APT)
    return site


def site_in(addresses: str, suite: str) -> str | None:
    """Return the archive among the addresses apt would fetch: only Debian's has the component main."""
    for release in (suite, "stable", "oldstable", "testing", "unstable"):
        match = re.search(
            rf"^'(\S+?)/+dists/{re.escape(release)}/main/binary-[^/]+/Packages", addresses, re.MULTILINE
        )
        if match:
            return match[1]
    return None


def update(lab: Lab, site: str, needs: Iterable[tuple[str, str]]) -> Path:
    """Fetch the lists of suites and Debian architectures into a private state; return the lists' directory."""
    apt = lab.home / "apt"
    shutil.rmtree(apt, ignore_errors=True)
    for part in ("lists/partial", "cache/archives/partial", "sources"):
        (apt / part).mkdir(parents=True)
    (apt / "status").touch()
    by_suite: dict[str, list[str]] = {}
    for suite, architecture in needs:
        by_suite.setdefault(suite, []).append(architecture)
    (apt / "sources" / "lab.sources").write_text("\n".join(_stanza(site, *item) for item in by_suite.items()))
    config = apt / "apt.conf"
    config.write_text(
        # Read last, after the machine's own proxies and credentials; its hooks are for its own package lists.
        "#clear APT::Update::Pre-Invoke;\n#clear APT::Update::Post-Invoke;\n#clear APT::Update::Post-Invoke-Success;\n"
        f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{apt}/sources";\n'
        f'Dir::State "{apt}";\nDir::State::lists "{apt}/lists";\nDir::State::status "{apt}/status";\n'
        f'Dir::Cache "{apt}/cache";\n'
        'Acquire::Languages "none";\nAcquire::GzipIndexes "true";\n'
        'pkgCacheFile::Generate "false";\nAPT::Sandbox::User "root";\n'
    )
    run(["apt-get", "-q", "-c", str(config), "update"], hint="the package mirror must be reachable")
    return apt / "lists"


def _stanza(site: str, suite: str, architectures: Iterable[str]) -> str:
    return (
        f"Types: deb\nURIs: {site}\nSuites: {suite}\nComponents: main\nTargets: Packages\n"
        f"Architectures: {' '.join(architectures)}\nSigned-By: {KEYRING}\n"
    )


def list_text(lists: Path, suite: str, architecture: str) -> bytes:
    """Return the text of a Packages list; LabError when there is none."""
    paths = list(lists.glob(f"*_dists_{suite}_main_binary-{architecture}_Packages*"))
    if not paths:
        raise LabError(f"the mirror has no {suite} for {architecture}", "look at the apt output above")
    done = subprocess.run([APT_HELPER, "cat-file", str(paths[0])], capture_output=True)
    if done.returncode != 0:
        raise LabError(f"apt cannot read {paths[0].name}: {done.stderr.decode(errors='replace')}", NO_APT)
    return done.stdout


def find(text: bytes, name: str, architecture: str) -> Package:
    """Return a package from the text of a Packages list; LabError when it is missing."""
    begin = text.find(b"\nPackage: " + name.encode() + b"\n")
    if text.startswith(b"Package: " + name.encode() + b"\n"):
        begin = 0
    if begin < 0:
        raise LabError(
            f"the mirror has no package {name} for {architecture}", "the mirror may be changing: try again"
        )
    end = text.find(b"\n\n", begin + 1)
    fields = dict(
        line.split(": ", 1)
        for line in text[begin : end if end > 0 else None].decode().splitlines()
        if ": " in line
    )
    return Package(
        name=name,
        architecture=architecture,
        filename=fields["Filename"],
        sha256=fields["SHA256"],
        depends=(*_names(fields.get("Pre-Depends", "")), *_names(fields.get("Depends", ""))),
    )


def _names(relation: str) -> Iterator[str]:
    """Return the package names of a Depends field, without versions and architecture qualifiers."""
    for part in filter(None, relation.split(",")):
        yield part.partition("|")[0].split()[0].partition(":")[0]


def closure(
    text: bytes, names: Iterable[str], architecture: str, *, without: Collection[str]
) -> list[Package]:
    """Return packages and what they depend on, except `without`; LabError when one is missing from the list."""
    pending = list(names)
    packages: dict[str, Package] = {}
    while pending:
        name = pending.pop()
        if name not in packages and name not in without:
            packages[name] = find(text, name, architecture)
            pending += packages[name].depends
    return list(packages.values())


def download(lab: Lab, site: str, packages: Sequence[Package]) -> dict[Package, Path]:
    """Fetch through apt's own transports, which check the SHA-256 of each file against the signed lists."""
    folder = lab.home / "apt" / "debs"
    folder.mkdir()
    debs = {package: folder / f"{package.name}_{package.architecture}.deb" for package in packages}
    triples = [
        word
        for package, path in debs.items()
        for word in (f"{site}/{package.filename}", str(path), f"SHA256:{package.sha256}")
    ]
    run([APT_HELPER, "-o", "APT::Sandbox::User=root", "download-file", *triples], hint="try again")
    missing = [path.name for path in debs.values() if not path.is_file() or not path.stat().st_size]
    if missing:
        raise LabError(f"could not fetch {', '.join(missing)}", "try again")
    return debs


def _link_what_packages_leave_to_scripts(prefix: Path) -> None:
    """Make the links that maintainer scripts and alternatives would make."""
    init = prefix / "usr" / "bin" / "docker-init"
    if init.with_name("tini-static").exists() and not init.is_symlink():
        init.symlink_to("tini-static")
    for name in ("iptables", "ip6tables"):
        for folder in (prefix / "usr" / "sbin", prefix / "sbin"):
            if (folder / "xtables-nft-multi").exists() and not (folder / name).exists():
                (folder / name).symlink_to("xtables-nft-multi")
