import subprocess

import pytest

from multibuild.errors import UsageError
from multibuild.host.probe_elf import PROGRAMS, probe
from multibuild.platforms import Platform
from multibuild.prove.elf import architecture_of, matches, parse_elf

# The instruction bytes that exit with 42, as they were assembled and run once for each architecture.
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


@pytest.mark.parametrize("name", PROGRAMS)
def test_each_probe_is_a_program_of_its_architecture(name):
    program = probe(name)
    header = parse_elf(program)
    assert header is not None
    assert matches(header, Platform(os="linux", architecture=name))
    assert architecture_of(header).split()[0] == name
    assert header.interpreter is None
    assert program.hex().endswith(EXIT_42[name])


@pytest.mark.parametrize("name", ["amd64", "386"])
@pytest.mark.parametrize("code", [0, 42])
def test_the_native_probes_exit_with_their_code(name, code, tmp_path):
    path = tmp_path / "probe"
    path.write_bytes(probe(name, code))
    path.chmod(0o755)
    assert subprocess.run([path]).returncode == code


def test_an_architecture_without_a_row_is_refused():
    with pytest.raises(UsageError):
        probe("vax")
