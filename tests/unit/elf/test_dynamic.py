"""Shared libraries: read from programs, and resolved as a loader resolves them."""

import sys
from pathlib import Path

import pytest
from fakes.layers import index_files
from fakes.programs import dynamic_program

from multibuild.elf.dynamic import MAX_START_BYTES, dynamic_spans, read_dynamic
from multibuild.elf.header import HEAD_BYTES, segments
from multibuild.prove.content.executed_files import executed_files
from multibuild.prove.content.find_library import find_library
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.qemu.probe_program import build_probe


def read(program):
    head = program[:HEAD_BYTES]
    spans = dynamic_spans(head, len(program))
    assert all(at >= len(head) and at + length <= len(program) for at, length in spans)
    return read_dynamic(head, tuple((at, program[at : at + length]) for at, length in spans))


@pytest.mark.parametrize(
    "gap", [0, 100, HEAD_BYTES, 100_000, MAX_START_BYTES - 400, MAX_START_BYTES, 2 * MAX_START_BYTES]
)
@pytest.mark.parametrize("architecture", ["arm64", "arm", "s390x", "mips64le", "mips", "386"])
def test_libraries_and_run_path_are_read_wherever_the_section_is(architecture, gap):
    program = dynamic_program(
        architecture, "libc.so.6", "libm.so.6", runpath="/opt/lib:$ORIGIN/../lib", gap=gap
    )
    assert read(program) == (("libc.so.6", "libm.so.6"), ("/opt/lib", "$ORIGIN/../lib"))


def test_strings_beyond_the_start_of_the_file_are_not_read():
    assert read(dynamic_program("arm64", "libc.so.6", gap=2 * MAX_START_BYTES, late=True)) == ((), ())


def test_a_static_program_needs_nothing():
    assert read(build_probe("arm64")) == ((), ())


def test_a_real_program_has_its_libraries():
    """The Python interpreter that runs the tests."""
    needed, _ = read(Path(sys.executable).resolve().read_bytes())
    assert any(name.startswith(("libc.", "ld-")) for name in needed) or not needed


@pytest.mark.parametrize("at", range(24, 64 + 2 * 56, 4))
def test_corrupt_bytes_raise_nothing(at):
    program = bytearray(dynamic_program("arm64", "libc.so.6"))
    program[at : at + 4] = b"\xff" * 4
    needed, runpath = read(bytes(program))
    assert (set(needed) <= {"libc.so.6"}, runpath) == (True, ())
    assert len(list(segments(bytes(program)))) <= 128


def executed_paths(files, *, env=(), command="/bin/app"):
    """Return the paths of the files that an image of `files` executes."""
    config = {"config": {"Cmd": [command], "Env": list(env)}}
    return [file.path for file in executed_files(config, RootFs([index_files(files)])).files]


LIBRARY, FOREIGN = dynamic_program("arm64"), dynamic_program("amd64")


@pytest.mark.parametrize(
    ("files", "library"),
    [
        ({"lib/libx.so.1": LIBRARY}, "/lib/libx.so.1"),
        ({"usr/lib/aarch64-linux-gnu/libx.so.1": LIBRARY}, "/usr/lib/aarch64-linux-gnu/libx.so.1"),
        ({"lib": "-> usr/lib", "usr/lib/libx.so.1": "-> libx.so.1.2", "usr/lib/libx.so.1.2": LIBRARY}, "/usr/lib/libx.so.1.2"),
        ({"lib/libx.so.1": FOREIGN, "usr/lib/libx.so.1": LIBRARY}, "/usr/lib/libx.so.1"),
        ({"lib/libx.so.1": FOREIGN, "opt/odd/libx.so.1": LIBRARY}, "/opt/odd/libx.so.1"),
        ({"lib/libx.so.1": FOREIGN, "opt/odd/libx.so.1.2.3": LIBRARY}, "/opt/odd/libx.so.1.2.3"),
        ({"lib/libx.so.1": FOREIGN, "opt/libx.so.2": LIBRARY}, "/lib/libx.so.1"),
        ({"lib/x86_64-linux-gnu/libx.so.1": FOREIGN}, "/lib/x86_64-linux-gnu/libx.so.1"),
        ({"opt/libx.so.1": LIBRARY}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_the_loader_uses_the_first_library_of_its_own_machine(files, library):
    files = {"bin/app": dynamic_program("arm64", "libx.so.1"), **files}
    assert executed_paths(files) == ["/bin/app", *([library] if library else [])]


def test_run_path_and_library_path_come_first():
    app = dynamic_program("arm64", "libx.so", "liby.so", runpath="$ORIGIN/../own:${ORIGIN}/more")
    files = {"opt/bin/app": app, "lib/libx.so": LIBRARY, "lib/liby.so": LIBRARY}
    files |= {"opt/own/libx.so": LIBRARY, "srv/liby.so": LIBRARY}
    paths = executed_paths(files, env=["LD_LIBRARY_PATH=/srv:"], command="/opt/bin/app")
    assert paths == ["/opt/bin/app", "/opt/own/libx.so", "/srv/liby.so"]


def test_libraries_of_libraries_are_followed_and_cycles_end():
    files = {
        "bin/app": dynamic_program("arm64", "liba.so"),
        "lib/liba.so": dynamic_program("arm64", "libb.so"),
        "lib/libb.so": dynamic_program("arm64", "liba.so", "libc.so"),
        "lib/libc.so": FOREIGN,
    }
    assert executed_paths(files) == ["/bin/app", "/lib/liba.so", "/lib/libb.so", "/lib/libc.so"]


def test_a_long_chain_of_libraries_ends():
    chain = {f"lib/lib{n}.so": dynamic_program("arm64", f"lib{n + 1}.so") for n in range(3000)}
    assert len(executed_paths({"bin/app": dynamic_program("arm64", "lib0.so"), **chain})) == 3001


def test_a_script_needs_no_libraries():
    image = RootFs([index_files({"run": b"#!/bin/sh\n"})])
    script = image.find("/run")
    assert script is not None
    assert find_library("libc.so", script, image, ()) is None
