from pathlib import Path

import pytest

from multibuild.architectures import ARCHITECTURES
from multibuild.qemu import binfmt
from multibuild.qemu.binfmt import Handler, magic_and_mask, matches_header, parse_handler, registration_line
from multibuild.qemu.probe_program import PROBE_CODE, build_probe

ROWS = {row.name: row for row in ARCHITECTURES}

LITTLE64 = "7f454c460201010000000000000000000200"
LITTLE32 = "7f454c460101010000000000000000000200"
BIG64 = "7f454c46020201000000000000000000" + "0002"
BIG32 = "7f454c46010201000000000000000000" + "0002"
# Magic, and the mask that Debian's qemu-user 11.1 registers (/usr/share/qemu/binfmt.d).
DEBIAN = {
    "amd64": (LITTLE64 + "3e00", "fffffffffffefefcfffffffffffffffffeffffff"),
    "386": (LITTLE32 + "0300", "fffffffffffefefcfffffffffffffffffeffffff"),
    "arm64": (LITTLE64 + "b700", "ffffffffffffff00fffffffffffffffffeffffff"),
    "arm": (LITTLE32 + "2800", "ffffffffffffff00fffffffffffffffffeffffff"),
    "riscv64": (LITTLE64 + "f300", "ffffffffffffff00fffffffffffffffffeffffff"),
    "ppc64le": (LITTLE64 + "1500", "fffffffffffffffcfffffffffffffffffeffff00"),
    "ppc64": (BIG64 + "0015", "fffffffffffffffcfffffffffffffffffffeffff"),
    "s390x": (BIG64 + "0016", "fffffffffffffffcfffffffffffffffffffeffff"),
    "mips64le": (LITTLE64 + "0800", "ffffffffffffff0000fffffffffffffffeffffff"),
    "mips64": (BIG64 + "0008", "ffffffffffffff0000fffffffffffffffffeffff"),
    "loong64": (LITTLE64 + "0201", "fffffffffffffffc00fffffffffffffffeffffff"),
    "mipsle": (
        LITTLE32 + "0800" + "01000000" + "00" * 16,
        "ffffffffffffff0000fffffffffffffffeffffff" + "ffffffff" + "00" * 12 + "20000000",
    ),
    "mips": (
        BIG32 + "0008" + "00000001" + "00" * 16,
        "ffffffffffffff0000fffffffffffffffffeffff" + "ffffffff" + "00" * 12 + "00000020",
    ),
}
SAME_MASK = ("mips64le", "mips64", "loong64", "mipsle", "mips", "s390x", "ppc64")


def handler(name: str) -> Handler:
    magic, mask = magic_and_mask(ROWS[name])
    return Handler(
        name="x", enabled=True, interpreter="/usr/bin/qemu", flags="OCF", magic=magic.hex(), mask=mask.hex()
    )


def patched(program: bytes, offset: int, value: bytes) -> bytes:
    return program[:offset] + value + program[offset + len(value) :]


def test_every_architecture_has_a_row():
    assert set(DEBIAN) == set(ROWS)


@pytest.mark.parametrize("name", ROWS)
def test_the_magic_is_debians_and_the_mask_allows_nothing_more(name):
    magic, mask = magic_and_mask(ROWS[name])
    debian_mask = bytes.fromhex(DEBIAN[name][1])
    assert magic.hex() == DEBIAN[name][0]
    assert len(mask) == len(debian_mask)
    assert all(own & other == other for own, other in zip(mask, debian_mask, strict=True))
    assert mask == debian_mask or name not in SAME_MASK


@pytest.mark.parametrize("name", PROBE_CODE)
def test_a_handler_matches_its_own_probe_and_no_other(name):
    own = handler(name)
    assert [other for other in PROBE_CODE if matches_header(own, build_probe(other))] == [name]


@pytest.mark.parametrize("name", PROBE_CODE)
@pytest.mark.parametrize(("kind", "matches"), [(1, False), (2, True), (3, True), (4, False)])
def test_executables_and_shared_objects_match_and_nothing_else(name, kind, matches):
    program = patched(build_probe(name), 16, kind.to_bytes(2, ROWS[name].elf.order))
    assert matches_header(handler(name), program) is matches


@pytest.mark.parametrize("name", PROBE_CODE)
@pytest.mark.parametrize("abi", [0, 3])
def test_programs_of_the_system_v_and_gnu_abis_match(name, abi):
    assert matches_header(handler(name), patched(build_probe(name), 7, bytes((abi,))))


@pytest.mark.parametrize("name", ["mips64le", "mips64", "mipsle", "mips", "loong64"])
def test_any_abi_version_matches_where_glibc_sets_it(name):
    assert matches_header(handler(name), patched(build_probe(name), 8, b"\x03"))
    assert not matches_header(handler("arm64"), patched(build_probe("arm64"), 8, b"\x03"))


@pytest.mark.parametrize("name", ["mipsle", "mips"])
def test_n32_programs_do_not_match_the_o32_emulator(name):
    order = ROWS[name].elf.order
    assert not matches_header(handler(name), patched(build_probe(name), 36, (0x20000020).to_bytes(4, order)))


# Entries of the kernel.

ENTRY = """enabled
interpreter /usr/bin/qemu-aarch64
flags: POCF
offset 0
magic 7f454c460201010000000000000000000200b700
mask ffffffffffffff00fffffffffffffffffeffffff
"""


def test_an_entry_is_parsed():
    parsed = parse_handler("qemu-aarch64", ENTRY)
    magic, mask = DEBIAN["arm64"]
    interpreter = "/usr/bin/qemu-aarch64"
    assert parsed == Handler(
        name="qemu-aarch64", enabled=True, interpreter=interpreter, flags="POCF", magic=magic, mask=mask
    )
    assert parsed.works_in_containers
    assert matches_header(parsed, build_probe("arm64"))
    assert not matches_header(parsed, build_probe("arm"))


def test_a_disabled_entry_without_flags():
    parsed = parse_handler("x", ENTRY.replace("enabled", "disabled").replace(" POCF", " "))
    assert not parsed.enabled
    assert not parsed.works_in_containers
    assert parsed.flags == ""


def test_an_entry_by_extension_matches_no_program():
    parsed = parse_handler("jar", "enabled\ninterpreter /usr/bin/jexec\nflags: \nextension .jar\n")
    assert not matches_header(parsed, build_probe("amd64"))


def test_an_entry_without_a_mask_compares_every_byte_of_a_long_enough_file():
    parsed = Handler(name="x", enabled=True, interpreter="/x", flags="", magic=build_probe("arm")[:20].hex())
    assert matches_header(parsed, build_probe("arm"))
    assert not matches_header(parsed, patched(build_probe("arm"), 16, b"\x03\x00"))
    assert not matches_header(handler("arm"), build_probe("arm")[:10])


def test_an_empty_entry_is_no_error():
    parsed = parse_handler("x", "")
    assert not parsed.enabled
    assert not matches_header(parsed, build_probe("arm"))


def test_handlers_are_read_in_order_of_registration(tmp_path: Path):
    (tmp_path / "status").write_text("enabled\n")
    (tmp_path / "register").write_text("")
    (tmp_path / "qemu-aarch64").write_text(ENTRY)
    (tmp_path / "python3.13").write_bytes(b"enabled\ninterpreter /usr/bin/\xff\nflags: \nmagic f30d0d0a\n")
    parsed = binfmt.read_handlers(tmp_path)
    assert list(parsed) == ["qemu-aarch64", "python3.13"]  # as they were registered
    assert parsed["qemu-aarch64"].interpreter == "/usr/bin/qemu-aarch64"
    assert binfmt.is_mounted(tmp_path)


def test_without_a_mount_there_are_no_handlers(tmp_path: Path):
    assert not binfmt.is_mounted(tmp_path)
    assert binfmt.read_handlers(tmp_path) == {}
    assert binfmt.read_handlers(tmp_path / "nothing") == {}


# Registration.


@pytest.mark.parametrize("name", ROWS)
def test_a_registration_is_one_line_as_the_kernel_reads_it(name):
    line = registration_line(ROWS[name], Path("/usr/bin/qemu-static")).decode("ascii")
    empty, title, kind, offset, magic, mask, interpreter, flags = line.split(":")
    assert (empty, title, kind, offset) == ("", f"qemu-{ROWS[name].qemu}", "M", "0")
    assert (interpreter, flags) == ("/usr/bin/qemu-static", "OPF")
    assert tuple(bytes.fromhex(text.replace("\\x", "")) for text in (magic, mask)) == magic_and_mask(
        ROWS[name]
    )
    assert len(line) < 1920  # MAX_REGISTER_LENGTH in fs/binfmt_misc.c
    assert (
        len(magic) // len("\\xff") <= 128
    )  # it must fit into what the kernel reads of a file (BINPRM_BUF_SIZE is 256)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\xff\xfe", b"enabled\nmagic zz\n", b"enabled\nmagic 7f4\n", b"enabled\nmagic 7f45\nmask xx\n",
        b"enabled\nmagic \n\n", b"x" * 100_000, b"enabled\nmagic " + b"7f" * 100_000,
    ],
)  # fmt: skip
def test_an_entry_of_another_form_matches_nothing(tmp_path, content):
    (tmp_path / "status").write_bytes(content)
    (tmp_path / "qemu-x").write_bytes(content)
    (tmp_path / "folder").mkdir()
    (tmp_path / "gone").symlink_to("nowhere")
    handlers = binfmt.read_handlers(tmp_path)
    assert set(handlers) == {"qemu-x"}
    assert not binfmt.is_enabled(tmp_path)
    assert not binfmt.matches_header(handlers["qemu-x"], b"\x7fELF" + bytes(60))
