"""The table of architectures that all other modules read: names, variants, ELF header, QEMU, binfmt and Debian."""

from __future__ import annotations

from typing import Literal

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
    each pair in `normal` is a variant and its normal form (containerd/platforms database.go): the one table of it, for
    lint and resolve too. `typed` are further variants that users type. `qemu` is the suffix of
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
    typed: tuple[tuple[str, str], ...] = ()
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
        aliases=(("aarch64", ""), ("armv8", ""), ("armv8l", ""), ("arm64v8", "")),
        variants=("v8", *ARM64_VARIANTS),
        normal=(
            ("8", ""),
            ("v8", ""),
            ("v8.0", ""),
            ("9", "v9"),
            ("9.0", "v9"),
            ("v9.0", "v9"),
        ),
        typed=(("armv8", ""),),
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
            ("armv7hl", "v7"),
            ("arm32v7", "v7"),
            ("armv6", "v6"),
            ("armv6l", "v6"),
            ("armv6hl", "v6"),
            ("arm32v6", "v6"),
            ("armel", "v5"),
            ("armv5", "v5"),
            ("armv5l", "v5"),
            ("armv5t", "v5"),
            ("armv5te", "v5"),
            ("armv5tel", "v5"),
            ("armv5tejl", "v5"),
            ("arm32v5", "v5"),
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
        name="ppc64",
        elf=Elf(bits=64, order="big", machine=21),
        qemu="ppc64",
        binfmt="",
        debian="ppc64",
        aliases=(("powerpc64", ""),),
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

BY_NAME = {row.name: row for row in ARCHITECTURES}
ALIASES = {alias: (row.name, variant) for row in ARCHITECTURES for alias, variant in row.aliases}


def architecture_named(name: str) -> Architecture | None:
    """Return the row of an OCI architecture name or of one of its aliases."""
    return BY_NAME.get(ALIASES.get(name, (name, ""))[0])
