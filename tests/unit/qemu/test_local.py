"""Real probes and emulators of this machine."""

import platform

import pytest

from multibuild.platforms import Platform
from multibuild.qemu.binfmt import Handler, magic_and_mask
from multibuild.qemu.explain_probe import Kernel
from multibuild.qemu.local import emulator_versions, faster_cpu_here, runs_locally


def handler(interpreter):
    return Handler(name="qemu-x", enabled=True, interpreter=str(interpreter), flags="F")


@pytest.fixture
def qemu(tmp_path):
    """Return a function that writes an emulator whose `--version` prints `text`."""

    def write(name, text):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n[ \"$*\" = --version ] && printf '%s\\n' '{text}'\n")
        path.chmod(0o755)
        return path

    return write


def test_other_interpreters_are_not_asked_for_a_version(qemu):
    new = qemu("qemu-arm", "qemu-arm version 10.2.3 (Debian 1:10.2.3)")
    odd = qemu("qemu-odd", "no such thing")
    other = qemu("wine", "wine version 9")
    missing = "/nowhere/qemu-arm"
    versions = emulator_versions(map(handler, [new, odd, other, missing, new]))
    assert versions == {str(new): "10.2.3", str(odd): "", missing: ""}


def test_without_handlers_there_are_no_versions():
    assert emulator_versions([]) == {}


def test_a_probe_runs_on_its_own_machine():
    own = Platform.parse(platform.machine())
    assert runs_locally(own)


def test_a_foreign_probe_runs_where_a_handler_is_active():
    foreign = Platform.parse("linux/ppc64")
    assert runs_locally(foreign) == (Kernel.read().active_handler(foreign) is not None)


@pytest.fixture
def binfmt_misc(tmp_path):
    """Return a binfmt_misc with a handler for arm64, of the interpreter `qemu`."""
    row = Platform.parse("arm64").row
    magic, mask = magic_and_mask(row)
    root = tmp_path / "binfmt_misc"
    root.mkdir()
    (root / "status").write_text("enabled\n")
    (root / "qemu-aarch64").write_text(
        f"enabled\ninterpreter /qemu\nflags: F\noffset 0\nmagic {magic.hex()}\nmask {mask.hex()}\n"
    )
    return root


@pytest.mark.parametrize(
    ("platform", "version", "model"),
    [
        ("arm64", "7.2.22", "max,pauth-impdef=on"),
        ("arm64/v9", "8.2.2", "max,pauth-impdef=on"),
        ("arm64", "11.1.2", None),
        ("arm64", "", None),
    ],
)
def test_the_cpu_to_choose_is_that_of_the_active_emulator(binfmt_misc, platform, version, model):
    versions = {"/qemu": version}
    faster = faster_cpu_here(Platform.parse(platform), binfmt_misc, versions.__getitem__)
    assert (faster.model if faster else None) == model


@pytest.mark.parametrize("name", ["s390x", "arm64"])
def test_without_an_emulator_of_such_a_platform_none_is_asked(tmp_path, name):
    def never(_path):
        raise AssertionError

    assert faster_cpu_here(Platform.parse(name), tmp_path, never) is None
