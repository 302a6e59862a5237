"""Names of architectures as they stand in URLs, paths and triples, and who calls an architecture what."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache

from multibuild.architectures import ARCHITECTURES
from multibuild.frozen import frozen
from multibuild.platforms import Platform

MAX_SCANNED = 2000
"""Characters: no address and no path is nearly as long."""

UNKNOWN = "\x00"
"""Stands in a value for what only a build can know."""


@frozen
class ArchName:
    """A name of an architecture inside a text; `architecture` is Docker's, `variant` what the name says of it."""

    text: str
    start: int
    architecture: str
    variant: str = ""

    @property
    def end(self) -> int:
        """The index behind it."""
        return self.start + len(self.text)

    def fits(self, platform: Platform) -> bool:
        """Whether it is a name of the platform's architecture; of ARM's levels a lower one runs on a higher one."""
        if self.architecture != platform.architecture:
            return False
        return self.architecture != "arm" or self.variant <= platform.variant


_SPELLINGS: Mapping[str, tuple[str, str]] = {
    **{row.name: (row.name, "") for row in ARCHITECTURES},
    **{row.debian: (row.name, "") for row in ARCHITECTURES},
    **{alias: (row.name, variant) for row in ARCHITECTURES for alias, variant in row.aliases},
    # Names in downloads: protobuf's aarch_64, Gentoo's and Rust's own, what people write for ARM's levels.
    "aarch_64": ("arm64", ""),
    "arm-64": ("arm64", ""),
    "ppcle_64": ("ppc64le", ""),
    "s390_64": ("s390x", ""),
    "x86_32": ("386", ""),
    "ia32": ("386", ""),
    "arm32": ("arm", "v6"),
    "arm-v7": ("arm", "v7"),
    "arm-v6": ("arm", "v6"),
    "armv7a": ("arm", "v7"),
    "armv7hf": ("arm", "v7"),
    "armv6hf": ("arm", "v6"),
    "armhfp": ("arm", "v7"),
    # Debian's armhf is ARMv7, Alpine's and Raspbian's ARMv6: only what holds for both.
    "armhf": ("arm", "v6"),
    "armel": ("arm", "v5"),
    "linux64": ("amd64", ""),
    "linux32": ("386", ""),
    "riscv64gc": ("riscv64", ""),
}
_AFTER_SYSTEM: Mapping[str, tuple[str, str]] = {"arm": ("arm", "v5"), "x86": ("386", ""), "386": ("386", "")}
"""Words that name an architecture only behind a system: `arm-none-eabi` and `404-386` do not."""

_WORDS = "|".join(
    sorted(map(re.escape, _SPELLINGS.keys() - _AFTER_SYSTEM.keys()), key=lambda word: (-len(word), word))
)
_NAME = re.compile(
    rf"(?<![a-z0-9])(?:(?P<name>{_WORDS})|(?:linux|musl|gnu|windows|win|darwin)[-_./]?(?P<after>arm|x86|386)(?![_-](?:64|32)))(?![a-z0-9])",
    re.IGNORECASE,
)
_GLUED = re.compile(r"(?:linux)(?P<name>amd64|arm64|x86_64|aarch64|x64)(?![a-z0-9])", re.IGNORECASE)
"""`linuxamd64`, as some releases are called."""

_BITS = re.compile(r"(?:linux|ubuntu)[-_](?P<bits>64(?:-?bit)?)(?![a-z0-9])", re.IGNORECASE)
"""`Linux-64bit`, and conda's `linux-64`: amd64, where other architectures have their names."""


@lru_cache(maxsize=2048)
def arch_names(text: str) -> tuple[ArchName, ...]:
    """Return the names of architectures in a text, as words of their own; those near its beginning in a long one."""
    return tuple(_arch_names(text[:MAX_SCANNED]))


def _arch_names(text: str) -> Iterator[ArchName]:
    for pattern in (_NAME, _GLUED, _BITS):
        for match in pattern.finditer(text):
            group = match.lastgroup or "name"
            word = match[group].lower()
            known = {"name": _SPELLINGS, "after": _AFTER_SYSTEM, "bits": {word: ("amd64", "")}}[group]
            architecture, variant = known[word]
            # Anything before ARMv7 that a text only calls "arm" may be for every level.
            yield ArchName(
                text=match[group], start=match.start(group), architecture=architecture, variant=variant
            )


def machine_of(platform: Platform) -> str:
    """Return what `uname -m` prints: that of the kernel, for 386 its 64-bit one (measured; docker/buildx#198)."""
    own = {"arm": {"v5": "armv5l", "v6": "armv6l"}.get(platform.variant, "armv7l")}
    return {
        "amd64": "x86_64",
        "386": "x86_64",
        "arm64": "aarch64",
        "mips64le": "mips64",
        "mipsle": "mips",
        "loong64": "loongarch64",
        **own,
    }.get(platform.architecture, platform.architecture)


def debian_of(platform: Platform) -> str:
    """Return Debian's name, as of `dpkg --print-architecture`."""
    return (
        "armel"
        if platform.architecture == "arm" and platform.variant in {"v5", "v6"}
        else platform.row.debian
    )


def alpine_of(platform: Platform) -> str:
    """Return Alpine's name, as of `apk --print-arch` (apk-tools, src/apk_arch.h)."""
    return {
        "amd64": "x86_64",
        "386": "x86",
        "arm64": "aarch64",
        "arm": "armv7" if platform.variant == "v7" else "armhf",
        "loong64": "loongarch64",
    }.get(platform.architecture, platform.architecture)


def triple_arch_of(platform: Platform) -> frozenset[str]:
    """Return the first words of triples for a platform: GNU, LLVM, Rust (doc.rust-lang.org/rustc/platform-support)."""
    return frozenset(
        {
            "amd64": ("x86_64",),
            "386": ("i386", "i486", "i586", "i686"),
            "arm64": ("aarch64",),
            "arm": ("arm", "armv5te", "armv6", "armv7", "armv7a", "armv7l", "thumbv7neon"),
            "mips64le": ("mips64el",),
            "mipsle": ("mipsel",),
            "ppc64le": ("powerpc64le",),
            "ppc64": ("powerpc64",),
            "riscv64": ("riscv64", "riscv64gc"),
            "loong64": ("loongarch64",),
        }.get(platform.architecture, (platform.architecture,))
    )
