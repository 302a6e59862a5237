"""Real probes and emulators of this machine."""

import platform

import pytest

from multibuild.platforms import Platform
from multibuild.qemu.binfmt import Handler
from multibuild.qemu.explain_probe import Kernel
from multibuild.qemu.local import emulator_versions, runs_locally


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
