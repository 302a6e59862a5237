"""CPU time of emulators, from a tree like /proc."""

import os

import pytest

from multibuild.qemu.activity import EmulatorActivity, EmulatorLoad

TICKS = os.sysconf("SC_CLK_TCK")


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


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


def test_the_load_is_that_of_all_emulators(tmp_path):
    clock = Clock()
    process(tmp_path, 1, "qemu-aarch64-static", 10)
    load = EmulatorLoad(proc=tmp_path, clock=clock)
    clock.now = 2.0
    process(tmp_path, 1, "qemu-aarch64-static", 11)
    process(tmp_path, 2, "buildkit-qemu-s390x", 2)
    process(tmp_path, 3, ".buildkit_qemu_emulator", 1)
    assert load.processors() == pytest.approx(2.0)
    assert load.processes == 3
    clock.now = 4.0
    assert load.processors() == 0.0


def test_children_that_ended_in_between_count_with_their_parent(tmp_path):
    """A shell that starts one short program after the other uses little itself."""
    clock = Clock()
    process(tmp_path, 1, "qemu-arm", 1)
    load = EmulatorLoad(proc=tmp_path, clock=clock)
    clock.now = 2.0
    process(tmp_path, 1, "qemu-arm", 1, children=3)
    assert load.processors() == pytest.approx(1.5)


@pytest.mark.parametrize("program", ["make", "qemu-system-aarch64", "sh", "notqemu-arm"])
def test_other_programs_are_no_emulators(tmp_path, program):
    clock = Clock()
    load = EmulatorLoad(proc=tmp_path, clock=clock)
    clock.now = 1.0
    process(tmp_path, 1, program, 100)
    assert load.processors() == 0.0


def test_a_broken_entry_counts_for_nothing(tmp_path):
    process(tmp_path, 1, "qemu-arm", 5)
    (tmp_path / "1" / "stat").write_text("1 (x)")
    (tmp_path / "2").mkdir()
    (tmp_path / "self").mkdir()
    assert EmulatorLoad(proc=tmp_path, clock=Clock()).processors() == 0.0


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
