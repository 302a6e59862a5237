"""The shared library that a dynamic loader finds in an image (ld.so(8))."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from multibuild.elf.header import ElfHeader
from multibuild.prove.content.merged_rootfs import ImageFile, RootFs

_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib32", "/usr/lib32", "/usr/local/lib")


def find_library(
    name: str, needed_by: ImageFile, root: RootFs, library_path: Sequence[str]
) -> ImageFile | None:
    """Return the file that the loader uses for `name`: the first for the program's own machine (glibc skips others).

    A foreign file only if the whole image has no right one of that name, as /etc/ld.so.conf may list any directory.
    None for a missing library, which a smoke test detects.
    """
    program = needed_by.entry.elf
    if program is None:
        return None
    foreign = None
    for path in _candidates(name, needed_by.path, program.runpath, root, library_path):
        file = root.find(path)
        if file is not None and file.entry.elf is not None:
            if _is_same_machine(file.entry.elf, program):
                return file
            foreign = foreign or file
    if foreign is None:
        return None
    return next(
        (file for file in root.files_named(name) if _is_same_machine(file.entry.elf, program)), foreign
    )


def _candidates(
    name: str, program: str, runpath: Sequence[str], root: RootFs, library_path: Sequence[str]
) -> Iterator[str]:
    """Return the paths in the loader's order; Debian's directories have the architecture's triplet."""
    if "/" in name:
        yield name
        return
    origin = program.rpartition("/")[0] or "/"
    for directory in (*runpath, *filter(None, library_path)):
        yield f"{directory.replace('${ORIGIN}', origin).replace('$ORIGIN', origin)}/{name}"
    for directory in _DIRECTORIES:
        yield f"{directory}/{name}"
        yield from (f"{directory}/{inner}/{name}" for inner in root.names_in(directory, with_part="-linux-"))


def _is_same_machine(one: ElfHeader | None, other: ElfHeader) -> bool:
    return one is not None and (one.bits, one.order, one.machine) == (other.bits, other.order, other.machine)
