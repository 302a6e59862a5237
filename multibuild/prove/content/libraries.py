"""Where a dynamic loader finds a shared library in an image (ld.so(8))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from multibuild.elf.header import ElfHeader
from multibuild.prove.content.rootfs import Found, RootFs

_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib32", "/usr/lib32", "/usr/local/lib")


def find_library(name: str, needed_by: Found, root: RootFs, library_path: Sequence[str]) -> Found | None:
    """Find what the loader takes for `name`: the first of the program's own machine (glibc passes over others).

    A foreign one only if no file of that name in the whole image is right, as /etc/ld.so.conf may name any
    directory. None where it is nowhere: what is missing is for a test to find out.
    """
    program = needed_by.entry.elf
    if program is None:
        return None
    foreign = None
    for path in _candidates(name, needed_by.path, program.runpath, root, library_path):
        found = root.find(path)
        if found is not None and found.entry.elf is not None:
            if _same(found.entry.elf, program):
                return found
            foreign = foreign or found
    if foreign is None:
        return None
    return next((one for one in root.named(name) if one.entry.elf and _same(one.entry.elf, program)), foreign)


def _candidates(
    name: str, program: str, runpath: Sequence[str], root: RootFs, library_path: Sequence[str]
) -> Iterator[str]:
    """Give the paths in the loader's order; Debian's directories have the triplet of the architecture."""
    if "/" in name:
        yield name
        return
    origin = program.rpartition("/")[0] or "/"
    for directory in (*runpath, *filter(None, library_path)):
        yield f"{directory.replace('${ORIGIN}', origin).replace('$ORIGIN', origin)}/{name}"
    for directory in _DIRECTORIES:
        yield f"{directory}/{name}"
        yield from (f"{directory}/{inner}/{name}" for inner in root.names(directory, with_part="-linux-"))


def _same(one: ElfHeader, other: ElfHeader) -> bool:
    return (one.bits, one.order, one.machine) == (other.bits, other.order, other.machine)
