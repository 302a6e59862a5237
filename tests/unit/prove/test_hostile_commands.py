"""Commands, variables and program headers of four megabytes, as a config has room for, in linear time."""

import struct
import time
import tracemalloc

import pytest
from fakes.layers import index_files

from multibuild.elf.arm_level import arm_level
from multibuild.elf.dynamic import dynamic_spans, read_dynamic
from multibuild.elf.header import HEAD_BYTES, parse_elf
from multibuild.prove.content.executed_files import executed_files
from multibuild.prove.content.merged_rootfs import RootFs
from multibuild.qemu.probe_program import build_probe

SIZE = 4_000_000
CPU_S = 10
"""Limit of processor time. Each case takes less than half a second, and took minutes where it was not linear."""

PROGRAM = build_probe("arm64")
FILES = dict.fromkeys(("bin/env", "bin/app", "bin/sh", "bin/tini"), PROGRAM)


def repeat(text):
    return text * (SIZE // len(text))


SECTIONS = {
    "sh -c of many letters": {"Entrypoint": ["sh", f"-{repeat('c')}!", "app"]},
    "sh with many options": {"Entrypoint": ["sh", *["-" + "c" * 100_000 + "!"] * 40]},
    "sh -c with many words": {"Entrypoint": ["sh", "-c", repeat("a ")]},
    "sh -c with one word": {"Entrypoint": ["sh", "-c", repeat("a")]},
    "sh -c without end of a quote": {"Entrypoint": ["sh", "-c", "'" + repeat("a")]},
    "sh -c with backslashes": {"Entrypoint": ["sh", "-c", '"' + repeat("\\a")]},
    "sh -c with assignments": {"Entrypoint": ["sh", "-c", repeat("A=b ")]},
    "sh -c exec exec": {"Entrypoint": ["sh", "-c", repeat("exec ")]},
    "sh -c with operators": {"Entrypoint": ["sh", "-c", repeat(";")]},
    "sh -c with comments": {"Entrypoint": ["sh", "-c", repeat("#\n")]},
    "env -S with assignments": {"Entrypoint": ["env", "-S", repeat("A=b ")]},
    "env -S with options": {"Entrypoint": ["env", "-S", repeat("-i ")]},
    "env -S -S": {"Entrypoint": ["env", "-S", repeat("-S ")]},
    "env --split-string": {"Entrypoint": ["env", "--split-string=" + repeat("-u x ")]},
    "env with many words": {"Entrypoint": ["env", *["A=b"] * (SIZE // 4)]},
    "wrappers of wrappers": {"Entrypoint": ["tini", "--"] * (SIZE // 4)},
    "PATH of colons": {"Entrypoint": ["app"], "Env": [f"PATH={repeat(':')}"]},
    "PATH of directories": {"Entrypoint": ["x"], "Env": ["PATH=" + ":".join(map(str, range(SIZE // 8)))]},
    "PATH of one directory": {"Entrypoint": ["app"], "Env": [f"PATH={repeat('/a')}"]},
    "PATH in a deep directory": {"Entrypoint": ["x"], "WorkingDir": repeat("/a"), "Env": ["PATH=" + ":a" * 50_000]},
    "LD_LIBRARY_PATH": {"Entrypoint": ["/bin/app"], "Env": [f"LD_LIBRARY_PATH={repeat('a:')}"]},
    "a long program": {"Entrypoint": ["/" + repeat("a/")]},
    "slashes": {"Entrypoint": [repeat("/") + "app"]},
    "many variables": {"Entrypoint": ["app"], "Env": ["A=b"] * (SIZE // 4)},
    "ENTRYPOINT and CMD": {"Entrypoint": ["env", *["A=b"] * (SIZE // 8)], "Cmd": ["env", *["A=b"] * (SIZE // 8)]},
}  # fmt: skip


@pytest.mark.parametrize("section", SECTIONS.values(), ids=SECTIONS)
def test_commands_are_read_in_linear_time(section):
    root = RootFs([index_files(FILES)])
    began = time.process_time()
    problems = executed_files({"config": section}, root).problems
    assert time.process_time() - began < CPU_S
    assert sum(map(len, problems)) < 10_000


def test_shell_options_that_contain_c_have_a_command():
    root = RootFs([index_files(FILES)])
    for option, files in (("-c", 2), ("-ec", 2), ("-xce", 2), ("--c", 1), ("-c!", 1), ("-é", 1), ("c", 1)):
        config = {"config": {"Entrypoint": ["sh", option, "app"], "Env": ["PATH=/bin"]}}
        assert len(executed_files(config, root).files) == files, option


def test_scripts_that_interpret_each_other_end():
    scripts = {f"s{number}": b"#!/s%d\n" % (number + 1) for number in range(1000)}
    loop = {"loop": b"#!/usr/bin/env loop\n", "usr/bin/env": b"#!/loop\n"}
    root = RootFs([index_files({**scripts, **loop})])
    assert len(executed_files({"config": {"Cmd": ["/s0"]}}, root).files) == 5
    assert len(executed_files({"config": {"Cmd": ["/loop"]}}, root).files) == 2


def elf(segments, body, *, table=64, size=56, count=None):
    """Return a 64-bit file of `body` with program headers (kind, offset and address, size) at its start."""
    head = bytearray(64)
    head[:6] = b"\x7fELF\x02\x01"
    struct.pack_into("<HH", head, 16, 3, 62)
    struct.pack_into("<Q", head, 32, table)
    struct.pack_into("<HH", head, 54, size, len(segments) if count is None else count)
    rows = [struct.pack("<IIQQQQQQ", kind, 4, at, at, 0, length, length, 1) for kind, at, length in segments]
    start = bytes(head) + b"".join(rows)
    return start + body[len(start) :]


STRINGS, DYNAMIC = 8192, 100_000


def with_dynamic(pairs, strings):
    section = b"".join(struct.pack("<QQ", *pair) for pair in ((5, STRINGS), *pairs))
    body = bytearray(700_000)
    body[STRINGS : STRINGS + len(strings)] = strings
    body[DYNAMIC : DYNAMIC + len(section)] = section
    return elf([(2, DYNAMIC, len(section)), (1, 0, len(body))], bytes(body))


PROGRAMS = {
    "run paths of one long text": with_dynamic([(29, 0)] * 4000, b"aa:" * 1300 + b"\0"),
    "run paths of colons": with_dynamic([(15, 0)] * 4000, b":" * 4000 + b"\0"),
    "libraries of one long name": with_dynamic([(1, 0)] * 4000, b"a" * 4000 + b"\0"),
    "names without end": with_dynamic([(1, at) for at in range(4000)], b"a" * 90_000),
    "names beyond the file": with_dynamic([(1, 2**63 + at) for at in range(4000)], b"a\0"),
    "string tables": with_dynamic([(5, STRINGS)] * 4000, b"a\0"),
    "program headers": elf([(1, 0, 2**63)] * 70, bytes(9000), count=65535),
    "program headers of no size": elf([(1, 0, 1)], bytes(9000), size=0, count=65535),
    "program headers beyond the file": elf([], bytes(9000), table=2**64 - 1, count=65535),
    "sections of ARM": b"\x7fELF\x01\x01" + bytes(12) + b"\x28\0" + b"\xff" * 9000,
}


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_program_headers_are_read_in_little_time_and_memory(program):
    head = program[:HEAD_BYTES]
    tracemalloc.start()
    began = time.process_time()
    parts = tuple((at, program[at : at + length]) for at, length in dynamic_spans(head, len(program)))
    needed, directories = read_dynamic(head, parts)
    arm_level(head, lambda at, length: program[at : at + length])
    parse_elf(head)
    seconds = time.process_time() - began
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (seconds < CPU_S / 2, peak < 8 << 20) == (True, True)
    assert len(needed) <= 200
    assert len(directories) <= 4096


def test_libraries_in_many_directories_are_looked_for_in_bounded_time():
    """200 libraries for each of many programs, in thousands of directories."""
    names = b"".join(b"lib%d.so\0" % number for number in range(200))
    starts = [at for at in range(len(names)) if at == 0 or names[at - 1 : at] == b"\0"]
    paths = b":".join(b"%d" % number for number in range(800)) + b"\0"
    program = with_dynamic([*((1, at) for at in starts), (29, len(names))], names + paths)
    files = {f"lib/lib{number}.so": program for number in range(30)}
    config = {"config": {"Entrypoint": ["/lib/lib0.so"], "Env": ["LD_LIBRARY_PATH=" + ":".join("xyz" * 900)]}}
    root = RootFs([index_files(files)])
    began = time.process_time()
    executed_files(config, root)
    assert time.process_time() - began < 5 * CPU_S
