"""The shared library that a dynamic loader finds in an image (ld.so(8))."""

from __future__ import annotations

from collections.abc import Sequence

from multibuild.elf.header import ElfHeader
from multibuild.prove.content.merged_rootfs import ImageFile, RootFs

_DIRECTORIES = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/lib32", "/usr/lib32", "/usr/local/lib")


def library_directories(file: ImageFile, root: RootFs, library_path: Sequence[str]) -> tuple[str, ...]:
    """Return the directories that exist of those that the loader looks into for what `file` needs, in its order.

    Debian's have the architecture's triplet. Once for all libraries of a file: it may name thousands of directories.
    """
    origin = file.path.rpartition("/")[0] or "/"
    runpath = file.entry.elf.runpath if file.entry.elf is not None else ()
    named = (one.replace("${ORIGIN}", origin).replace("$ORIGIN", origin) for one in runpath)
    paths = [*named, *filter(None, library_path)]
    for directory in _DIRECTORIES:
        inner = root.names_in(directory, with_part="-linux-")
        paths += [directory, *(f"{directory}/{name}" for name in inner)]
    return tuple(path for path in dict.fromkeys(paths) if root.has_directory(path))


def find_library(
    name: str, needed_by: ImageFile, root: RootFs, directories: Sequence[str]
) -> ImageFile | None:
    """Return the file that the loader uses for `name`: the first for the program's own machine (glibc skips others).

    A foreign file only if the whole image has no right one of that name, as /etc/ld.so.conf may list any directory.
    None for a missing library, which a smoke test detects.
    """
    program = needed_by.entry.elf
    if program is None:
        return None
    foreign = None
    for path in (name,) if "/" in name else (f"{directory}/{name}" for directory in directories):
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


def _is_same_machine(one: ElfHeader | None, other: ElfHeader) -> bool:
    return one is not None and (one.bits, one.order, one.machine) == (other.bits, other.order, other.machine)
