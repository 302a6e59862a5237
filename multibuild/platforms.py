"""Platforms in OCI normal form, and the table of architectures that all other modules read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

from multibuild.errors import UsageError
from multibuild.frozen import frozen


@frozen
class Elf:
    """The ELF header fields that identify an architecture's binaries: class in bits, byte order, e_machine (elf.h)."""

    bits: Literal[32, 64]
    order: Literal["little", "big"]
    machine: int


@frozen
class Architecture:
    """One row of the table.

    `aliases` are names that users type, each with the variant it implies. `variants` are those that clients look for;
    each pair in `normal` is a variant and its normal form (containerd/platforms database.go). `qemu` is the suffix of
    the QEMU binary, `binfmt` the name that tonistiigi/binfmt installs (empty: it has none), `debian` Debian's name.
    `in_buildkit` is whether the moby/buildkit image contains an emulator.
    """

    name: str
    elf: Elf
    qemu: str
    binfmt: str
    debian: str
    aliases: tuple[tuple[str, str], ...] = ()
    variants: tuple[str, ...] = ()
    normal: tuple[tuple[str, str], ...] = ()
    in_buildkit: bool = False


def _numbered(*levels: str) -> tuple[tuple[str, str], ...]:
    return tuple((level, f"v{level}") for level in levels)


ARM64_VARIANTS = (*(f"v8.{n}" for n in range(1, 10)), "v9", *(f"v9.{n}" for n in range(1, 8)))

ARCHITECTURES: tuple[Architecture, ...] = (
    Architecture(
        name="amd64",
        elf=Elf(bits=64, order="little", machine=62),
        qemu="x86_64",
        binfmt="amd64",
        debian="amd64",
        aliases=(("x86_64", ""), ("x86-64", ""), ("x64", "")),
        variants=("v2", "v3", "v4"),
        normal=(("v1", ""),),
        in_buildkit=True,
    ),
    Architecture(
        name="386",
        elf=Elf(bits=32, order="little", machine=3),
        qemu="i386",
        binfmt="386",
        debian="i386",
        aliases=(("i386", ""), ("i486", ""), ("i586", ""), ("i686", ""), ("x86", "")),
        in_buildkit=True,
    ),
    Architecture(
        name="arm64",
        elf=Elf(bits=64, order="little", machine=183),
        qemu="aarch64",
        binfmt="arm64",
        debian="arm64",
        aliases=(("aarch64", ""), ("armv8", ""), ("armv8l", "")),
        variants=("v8", *ARM64_VARIANTS),
        normal=(
            ("8", ""),
            ("v8", ""),
            ("v8.0", ""),
            ("armv8", ""),
            ("9", "v9"),
            ("9.0", "v9"),
            ("v9.0", "v9"),
        ),
        in_buildkit=True,
    ),
    Architecture(
        name="arm",
        elf=Elf(bits=32, order="little", machine=40),
        qemu="arm",
        binfmt="arm",
        debian="armhf",
        # containerd reads armel as v6; Debian's armel binaries are ARMv5, which is what users mean by it here.
        aliases=(
            ("armhf", "v7"),
            ("armv7", "v7"),
            ("armv7l", "v7"),
            ("armv6", "v6"),
            ("armv6l", "v6"),
            ("armel", "v5"),
            ("armv5", "v5"),
            ("armv5l", "v5"),
            ("armv5te", "v5"),
            ("armv5tel", "v5"),
        ),
        variants=("v5", "v6", "v7", "v8"),
        normal=(("", "v7"), *_numbered("5", "6", "7", "8")),
        in_buildkit=True,
    ),
    Architecture(
        name="mips64le",
        elf=Elf(bits=64, order="little", machine=8),
        qemu="mips64el",
        binfmt="mips64le",
        debian="mips64el",
        aliases=(("mips64el", ""),),
    ),
    Architecture(
        name="mips64",
        elf=Elf(bits=64, order="big", machine=8),
        qemu="mips64",
        binfmt="mips64",
        debian="mips64",
    ),
    Architecture(
        name="mipsle",
        elf=Elf(bits=32, order="little", machine=8),
        qemu="mipsel",
        binfmt="",
        debian="mipsel",
        aliases=(("mipsel", ""),),
    ),
    Architecture(
        name="mips", elf=Elf(bits=32, order="big", machine=8), qemu="mips", binfmt="", debian="mips"
    ),
    Architecture(
        name="ppc64le",
        elf=Elf(bits=64, order="little", machine=21),
        qemu="ppc64le",
        binfmt="ppc64le",
        debian="ppc64el",
        aliases=(("ppc64el", ""), ("powerpc64le", "")),
        variants=("power8", "power9", "power10"),
        in_buildkit=True,
    ),
    Architecture(
        name="ppc64", elf=Elf(bits=64, order="big", machine=21), qemu="ppc64", binfmt="", debian="ppc64"
    ),
    Architecture(
        name="s390x",
        elf=Elf(bits=64, order="big", machine=22),
        qemu="s390x",
        binfmt="s390x",
        debian="s390x",
        in_buildkit=True,
    ),
    Architecture(
        name="riscv64",
        elf=Elf(bits=64, order="little", machine=243),
        qemu="riscv64",
        binfmt="riscv64",
        debian="riscv64",
        variants=("rva20u64", "rva22u64", "rva23u64"),
        in_buildkit=True,
    ),
    Architecture(
        name="loong64",
        elf=Elf(bits=64, order="little", machine=258),
        qemu="loongarch64",
        binfmt="loong64",
        debian="loong64",
        aliases=(("loongarch64", ""),),
    ),
)

_BY_NAME = {row.name: row for row in ARCHITECTURES}
_ALIASES = {alias: (row.name, variant) for row in ARCHITECTURES for alias, variant in row.aliases}
_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "unknown")
_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z")


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Platform:
    """`os/architecture[/variant]`. `parse` returns the normal form, `literal` keeps every part as written."""

    os: str
    architecture: str
    variant: str = ""

    @classmethod
    def parse(cls, text: str) -> Platform:
        """Parse user input into normal form: aliases are resolved, the system defaults to linux.

        Raises UsageError with the nearest name for anything else.
        """
        parts = text.strip().lower().split("/")
        if len(parts) == 1:
            parts = ["linux", *parts]
        if parts[0] not in _SYSTEMS and len(parts) == 2:
            parts = ["linux", *parts]
        system, name, variant = (*parts, "", "", "")[:3]
        if len(parts) > 3 or not all(_PART.match(part) for part in parts):
            raise UsageError(
                f"'{text}' is not a platform", hint="write os/architecture[/variant], like linux/arm/v7"
            )
        if name in _ALIASES:
            name, implied = _ALIASES[name]
            variant = variant or implied
        if system not in _SYSTEMS or name not in _BY_NAME:
            raise UsageError(f"'{text}' is not a platform multibuild knows", hint=_nearest(name))
        return cls(os=system, architecture=name, variant=variant).normalised()

    @classmethod
    def literal(cls, text: str) -> Platform:
        """Parse `os/architecture[/variant]` and keep every part as written (`linux/arm64/unknown`).

        Raises UsageError for any other form.
        """
        parts = text.strip().split("/")
        if not 2 <= len(parts) <= 3 or not all(_PART.match(part) for part in parts):
            raise UsageError(f"'{text}' is not a platform", hint="write os/architecture[/variant]")
        return cls(os=parts[0], architecture=parts[1], variant=parts[2] if len(parts) == 3 else "")

    @classmethod
    def parse_verbatim(cls, text: str) -> Platform:
        """Return the platform as written (`linux/arm64/v8` stays); only an alias becomes its OCI name."""
        literal = cls.literal(text if "/" in text else f"linux/{text}")
        row = architecture_named(literal.architecture)
        return literal if row is None or row.name == literal.architecture else cls.parse(text)

    def normalised(self) -> Platform:
        """Return containerd's normal form (platforms/database.go normalizeArch): arm → v7, arm64/v8 → no variant."""
        row = _BY_NAME.get(self.architecture)
        variant = dict(row.normal).get(self.variant, self.variant) if row else self.variant
        return Platform(os=self.os, architecture=self.architecture, variant=variant)

    @property
    def row(self) -> Architecture:
        """The architecture's row. Raises UsageError when the table has none."""
        try:
            return _BY_NAME[self.architecture]
        except KeyError:
            raise UsageError(
                f"'{self.architecture}' is not an architecture multibuild knows",
                hint=_nearest(self.architecture),
            ) from None

    @property
    def has_known_variant(self) -> bool:
        """Whether some client looks for this variant."""
        row = _BY_NAME.get(self.architecture)
        return not self.variant or (row is not None and self.variant in row.variants)

    @property
    def slug(self) -> str:
        """The platform as a part of a file name or tag: `linux-arm-v7`."""
        return str(self).replace("/", "-")

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


def architecture_named(name: str) -> Architecture | None:
    """Return the row of an OCI architecture name or of one of its aliases."""
    return _BY_NAME.get(_ALIASES.get(name, (name, ""))[0])


def runs_natively(platform: Platform, host: Platform) -> bool:
    """Whether a host's CPU runs the platform without an emulator: the same architecture, or 386 on amd64.

    32-bit ARM on arm64 is not assumed: many server cores have no AArch32 at all, so only the probe can tell.
    """
    same = platform.architecture == host.architecture and platform.variant <= (
        host.variant or platform.variant
    )
    return platform.os == host.os and (same or (platform.architecture, host.architecture) == ("386", "amd64"))


def _nearest(name: str) -> str:
    names = [*_BY_NAME, *_ALIASES]
    close = get_close_matches(name, names, n=1, cutoff=0.6)
    return f"perhaps you meant '{close[0]}'" if close else f"known architectures: {', '.join(_BY_NAME)}"
