"""CPU time of emulators, from a tree like /proc."""

import os

import pytest

from multibuild.qemu.activity import EmulatorActivity

TICKS = os.sysconf("SC_CLK_TCK")


def process(proc, pid, program, seconds, children=0):
    """Write what proc(5) has of a process; its name in brackets may hold anything."""
    folder = proc / str(pid)
    folder.mkdir(exist_ok=True)
    (folder / "exe").unlink(missing_ok=True)
    (folder / "exe").symlink_to(f"/usr/bin/{program}")
    ticks = int(seconds * TICKS)
    (folder / "stat").write_text(
        f"{pid} (a) b) S " + " ".join(["0"] * 10) + f" {ticks} 0 {children * TICKS} 0 0\n"
    )


def test_children_that_ended_in_between_count_with_their_parent(tmp_path):
    """A shell that starts one short program after the other uses little itself."""
    process(tmp_path, 1, "qemu-arm", 1)
    activity = EmulatorActivity("arm", proc=tmp_path)
    process(tmp_path, 1, "qemu-arm", 1, children=3)
    assert activity.is_busy()


@pytest.mark.parametrize("program", ["make", "qemu-system-arm", "sh", "notqemu-arm"])
def test_other_programs_are_no_emulators(tmp_path, program):
    activity = EmulatorActivity("arm", proc=tmp_path)
    process(tmp_path, 1, program, 100)
    assert not activity.is_busy()


@pytest.mark.parametrize("program", ["qemu-arm-static", "buildkit-qemu-arm", ".buildkit_qemu_emulator"])
def test_names_of_emulators(tmp_path, program):
    activity = EmulatorActivity("arm", proc=tmp_path)
    process(tmp_path, 1, program, 1)
    assert activity.is_busy()


def test_a_broken_entry_counts_for_nothing(tmp_path):
    process(tmp_path, 1, "qemu-arm", 5)
    (tmp_path / "1" / "stat").write_text("1 (x)")
    (tmp_path / "2").mkdir()
    (tmp_path / "self").mkdir()
    assert not EmulatorActivity("arm", proc=tmp_path).is_busy()


def test_one_emulator_is_busy_when_its_time_grows(tmp_path):
    process(tmp_path, 1, "qemu-arm", 5)
    process(tmp_path, 2, "qemu-s390x", 5)
    activity = EmulatorActivity("arm", proc=tmp_path)
    process(tmp_path, 2, "qemu-s390x", 9)
    assert not activity.is_busy()
    process(tmp_path, 1, "qemu-arm", 6)
    assert activity.is_busy()
    process(tmp_path, 3, "qemu-arm (deleted)", 0)
    assert activity.is_busy()
