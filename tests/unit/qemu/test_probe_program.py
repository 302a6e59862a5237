import platform
import subprocess

import pytest

from multibuild.architectures import ARCHITECTURES
from multibuild.elf.header import matches, parse_elf
from multibuild.errors import UsageError
from multibuild.platforms import Platform
from multibuild.qemu.probe_program import PROBE_CODE, build_probe

NAMES = list(PROBE_CODE)

# The code bytes of exit(42), assembled by hand; the table derives them from exit(0).
EXIT_42 = {
    "amd64": "bf2a000000b83c0000000f05",
    "386": "b801000000bb2a000000cd80",
    "arm64": "400580d2a80b80d2010000d4",
    "arm": "2a00a0e30170a0e3000000ef",
    "riscv64": "1305a0029308d00573000000",
    "ppc64le": "010000382a00603802000044",
    "ppc64": "380000013860002a44000002",
    "s390x": "a729002a0a01",
    "mips64le": "2a000424c21302240c000000",
    "mips64": "2404002a240213c20000000c",
    "mipsle": "2a000424a10f02240c000000",
    "mips": "2404002a24020fa10000000c",
    "loong64": "04a880020b74810200002b00",
}


def test_every_architecture_of_the_table_has_a_probe():
    assert set(NAMES) == {row.name for row in ARCHITECTURES} == set(EXIT_42)


@pytest.mark.parametrize("name", NAMES)
def test_the_header_is_of_that_architecture(name):
    header = parse_elf(build_probe(name))
    assert header is not None
    assert matches(header, Platform(os="linux", architecture=name))
    assert (header.type, header.interpreter) == ("executable", None)


@pytest.mark.parametrize("name", NAMES)
def test_the_code_exits_with_42(name):
    assert build_probe(name).hex().endswith(EXIT_42[name])


@pytest.mark.parametrize("name", NAMES)
def test_other_exit_codes_change_one_word_of_the_code(name):
    lowest, highest = build_probe(name, 0), build_probe(name, 255)
    assert len(lowest) == len(highest)
    assert 1 <= sum(one != other for one, other in zip(lowest, highest, strict=True)) <= 2


@pytest.mark.parametrize("exit_code", [0, 42, 255])
@pytest.mark.parametrize("name", ["amd64", "386"])
@pytest.mark.skipif(platform.machine() != "x86_64", reason="these two run natively on x86-64 only")
def test_it_runs_and_exits_with_its_code(name, exit_code, tmp_path):
    program = tmp_path / "probe"
    program.write_bytes(build_probe(name, exit_code))
    program.chmod(0o755)
    assert subprocess.run([program], check=False).returncode == exit_code


def test_an_unknown_architecture_is_refused_with_the_known_ones():
    with pytest.raises(UsageError, match="sparc") as caught:
        build_probe("sparc")
    assert "riscv64" in (caught.value.hint or "")


@pytest.mark.parametrize("exit_code", [-1, 256])
def test_an_exit_code_is_one_byte(exit_code):
    with pytest.raises(UsageError):
        build_probe("amd64", exit_code)
