"""Each way in which an emulator can be missing or broken has its own explanation and command."""

import os

import pytest

from multibuild.architectures import architecture_named
from multibuild.platforms import Platform
from multibuild.qemu import binfmt
from multibuild.qemu.explain_probe import (
    Kernel,
    LocalHost,
    check_cpu_models,
    check_shadowing,
    check_versions,
    explain_failure,
)

ARM64 = Platform.parse("linux/arm64")
RISCV64 = Platform.parse("linux/riscv64")
ALL_PATHS_EXIST = LocalHost(path_exists=lambda _path: True, runs=lambda _platform: False)
NO_PATH_EXISTS = LocalHost(path_exists=lambda _path: False, runs=lambda _platform: False)
PROBES_RUN = LocalHost(path_exists=lambda _path: True, runs=lambda _platform: True)


class BinfmtMisc:
    """A binfmt_misc of plain files."""

    def __init__(self, root):
        self.root = root
        self.count = 0
        (root / "status").write_text("enabled\n")
        (root / "register").write_text("")

    def add(self, name, *, architecture="arm64", enabled=True, interpreter="/usr/bin/qemu", flags="POF"):
        row = architecture_named(architecture)
        assert row is not None
        magic, mask = binfmt.magic_and_mask(row)
        lines = ["enabled" if enabled else "disabled", f"interpreter {interpreter}", f"flags: {flags}"]
        lines += ["offset 0", f"magic {magic.hex()}", f"mask {mask.hex()}"]
        path = self.root / name
        path.write_text("\n".join(lines) + "\n")
        self.count += 1
        os.utime(path, (self.count, self.count))
        return self

    @property
    def kernel(self):
        return Kernel.read(self.root)

    def explain(self, host=ALL_PATHS_EXIST, platform=ARM64):
        return explain_failure(platform, "exec format error", self.kernel, host)


@pytest.fixture
def binfmt_misc(tmp_path):
    return BinfmtMisc(tmp_path)


def test_binfmt_misc_is_not_mounted(tmp_path):
    detail, hint = explain_failure(ARM64, "", Kernel.read(tmp_path), ALL_PATHS_EXIST)
    assert detail == "binfmt_misc is not mounted"
    assert hint == f"as root: mount -t binfmt_misc binfmt_misc {tmp_path}"


def test_binfmt_misc_is_switched_off(binfmt_misc):
    binfmt_misc.add("qemu-aarch64")
    status = binfmt_misc.root / "status"
    status.write_text("disabled\n")
    assert binfmt_misc.explain() == ("binfmt_misc is switched off", f"as root: echo 1 > {status}")


def test_there_is_no_handler(binfmt_misc):
    binfmt_misc.add("qemu-riscv64", architecture="riscv64")
    detail, hint = binfmt_misc.explain()
    assert detail == "no emulator is registered (exec format error)"
    assert "multibuild setup" in hint


def test_the_message_says_when_buildkit_has_no_emulator_either(binfmt_misc):
    detail, _ = binfmt_misc.explain(platform=Platform.parse("linux/loong64"))
    assert "BuildKit brings none" in detail


def test_a_disabled_handler(binfmt_misc):
    binfmt_misc.add("qemu-aarch64", enabled=False)
    hint = f"as root: echo 1 > {binfmt_misc.root}/qemu-aarch64"
    assert binfmt_misc.explain() == ("the handler qemu-aarch64 is disabled", hint)


def test_a_handler_without_flag_f(binfmt_misc):
    binfmt_misc.add("qemu-aarch64", flags="PO")
    detail, hint = binfmt_misc.explain()
    assert "lacks flag F" in detail
    assert "gone" not in detail
    assert f"echo -1 > {binfmt_misc.root}/qemu-aarch64" in hint


@pytest.mark.parametrize("flags", ["PO", "POF"])
def test_an_interpreter_that_does_not_exist(binfmt_misc, flags):
    binfmt_misc.add("qemu-aarch64", interpreter="/opt/gone", flags=flags)
    detail, hint = binfmt_misc.explain(NO_PATH_EXISTS)
    assert "/opt/gone" in detail
    assert "gone" in detail
    assert "multibuild setup" in hint


def test_a_later_handler_shadows_an_earlier_one(binfmt_misc):
    """The order is that of registration, not of names."""
    binfmt_misc.add("z-good", interpreter="/new/qemu").add("a-old", interpreter="/old/qemu")
    detail, hint = binfmt_misc.explain()
    assert detail.startswith("a-old (/old/qemu) shadows z-good (/new/qemu)")
    assert hint == f"as root: echo -1 > {binfmt_misc.root}/a-old"


def test_a_disabled_handler_shadows_nothing(binfmt_misc):
    binfmt_misc.add("good").add("old", enabled=False, interpreter="/old/qemu")
    active = binfmt_misc.kernel.active_handler(ARM64)
    assert active is not None
    assert active.name == "good"
    assert check_shadowing([ARM64], binfmt_misc.kernel) == ()


def test_an_emulator_that_fails_everywhere(binfmt_misc):
    binfmt_misc.add("qemu-aarch64")
    detail, _ = binfmt_misc.explain()
    assert detail == "/usr/bin/qemu runs and fails: exec format error"


def test_shadowing_is_a_warning_where_the_platform_runs(binfmt_misc):
    binfmt_misc.add("good", interpreter="/new/qemu").add("old", interpreter="/old/qemu")
    (check,) = check_shadowing([ARM64, RISCV64], binfmt_misc.kernel)
    assert (check.status, check.name) == ("warn", "linux/arm64")


def test_two_handlers_of_one_interpreter_are_no_shadowing(binfmt_misc):
    binfmt_misc.add("one").add("two")
    assert check_shadowing([ARM64], binfmt_misc.kernel) == ()


def test_a_builder_that_does_not_see_the_handler(binfmt_misc):
    binfmt_misc.add("qemu-aarch64")
    detail, hint = binfmt_misc.explain(PROBES_RUN)
    assert detail == "/usr/bin/qemu runs it on this machine, but not in the builder: exec format error"
    assert "restart" in hint


@pytest.mark.parametrize(
    ("version", "image", "older"),
    [
        ("7.2.19", "tonistiigi/binfmt:qemu-v10.2.3-68", True),
        ("9.2.4", "tonistiigi/binfmt:qemu-v10.2.3-68", True),
        ("10.2.2", "mirror.example/binfmt:qemu-v10.2.3", True),
        ("10.2.3", "tonistiigi/binfmt:qemu-v10.2.3-68", False),
        ("11.1.0", "tonistiigi/binfmt:qemu-v10.2.3-68", False),
        ("7.2.19", "tonistiigi/binfmt:latest", False),
        ("", "tonistiigi/binfmt:qemu-v10.2.3-68", False),
    ],
)
def test_an_emulator_older_than_the_configured_image_is_a_warning(binfmt_misc, version, image, older):
    """The binfmt image keeps an existing handler, so its own newer QEMU is not used."""
    binfmt_misc.add("qemu-aarch64", interpreter="/usr/bin/qemu-aarch64-static")
    versions = {"/usr/bin/qemu-aarch64-static": version}
    checks = check_versions([ARM64, RISCV64], binfmt_misc.kernel, versions, image)
    assert [check.name for check in checks] == (["linux/arm64"] if older else [])
    for check in checks:
        assert check.status == "warn"
        assert f"QEMU {version}" in check.detail
        assert f"echo -1 > {binfmt_misc.root}/qemu-aarch64" in check.hint
        assert "multibuild setup" in check.hint


@pytest.mark.parametrize("version", ["9" * 5000, "9." * 5000, "", "x", "²", "7.2.19 (Debian)" * 1000])
def test_a_version_of_no_sense_is_no_error(binfmt_misc, version):
    for image in (f"tonistiigi/binfmt:qemu-v{version}", "tonistiigi/binfmt:qemu-v10.2.3-68"):
        check_versions(
            [ARM64], binfmt_misc.kernel, dict.fromkeys(("/usr/bin/qemu-aarch64", ""), version), image
        )


@pytest.mark.parametrize(
    ("version", "slow"), [("7.2.22", True), ("9.2.4", True), ("10.0.0", False), ("5.2.0", False), ("", False)]
)
def test_an_emulator_with_a_slow_cpu_is_a_warning(binfmt_misc, version, slow):
    binfmt_misc.add("qemu-aarch64", interpreter="/usr/bin/qemu-aarch64-static")
    binfmt_misc.add("qemu-riscv64", architecture="riscv64", interpreter="/usr/bin/qemu-riscv64-static")
    versions = {f"/usr/bin/qemu-{name}-static": version for name in ("aarch64", "riscv64")}
    checks = check_cpu_models([ARM64, RISCV64], binfmt_misc.kernel, versions)
    assert [(check.name, check.status) for check in checks] == ([("linux/arm64", "warn")] if slow else [])
    for check in checks:
        assert f"QEMU {version}" in check.detail
        assert "`ENV QEMU_CPU=max,pauth-impdef=on`" in check.hint
