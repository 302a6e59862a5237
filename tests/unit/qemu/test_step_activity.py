"""The processor time of one step, from a tree like /proc."""

import os
from pathlib import Path

import pytest

from multibuild.qemu.activity import program_name
from multibuild.qemu.step_activity import StepActivity

TICKS = os.sysconf("SC_CLK_TCK")
STEP = '[build 2/5] RUN apt-get update && apt-get install -y gcc "a b"'
SCRIPT = "apt-get update && apt-get install -y $COMPILER 'a b'"


class Machine:
    """A /proc that a test fills, and a clock."""

    def __init__(self, folder):
        self.folder = folder
        self.now = 0.0
        (folder / "self").mkdir()
        (folder / "self" / "cgroup").write_text("0::/user\n")

    def process(self, pid, program, *command, used, container="a"):
        folder = self.folder / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "exe").unlink(missing_ok=True)
        (folder / "exe").symlink_to(f"/usr/bin/{program}")
        (folder / "cmdline").write_bytes(b"\0".join(map(os.fsencode, (program, *command))) + b"\0")
        (folder / "cgroup").write_text(f"0::/docker/buildkit/{container}\n")
        (folder / "stat").write_text(f"{pid} (a) b) S {' '.join(['0'] * 10)} {int(used * TICKS)} 0 0 0 0\n")

    def shell(self, pid, script, **more):
        self.process(pid, "qemu-aarch64", "/bin/sh", "/bin/sh", "-c", script, **more)

    def activity(self, qemu="aarch64"):
        return StepActivity(qemu, proc=self.folder, clock=lambda: self.now)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_a_step_is_measured_beside_another_under_the_same_emulator(machine):
    machine.shell(1, SCRIPT, used=1)
    machine.shell(2, "make", used=1, container="b")
    activity = machine.activity()
    activity.processors(STEP)
    machine.now = 10.0
    machine.shell(2, "make", used=9, container="b")
    assert activity.processors(STEP) == 0.0
    machine.now = 20.0
    machine.shell(1, SCRIPT, used=3)
    assert activity.processors(STEP) == pytest.approx(0.2)


def test_native_programs_of_the_steps_container_count(machine):
    machine.shell(1, SCRIPT, used=1)
    machine.process(2, "cc1", used=1)
    activity = machine.activity()
    activity.processors(STEP)
    machine.now = 10.0
    machine.process(2, "cc1", used=6)
    machine.process(3, "cc1", used=6, container="b")
    assert activity.processors(STEP) == pytest.approx(0.5)


@pytest.mark.parametrize("step", ["[2/5] RUN <<EOF (echo a...)", '[2/5] RUN ["/app", "check"]', "RUN"])
def test_all_steps_under_the_emulator_count_where_none_has_the_command(machine, step):
    machine.shell(1, SCRIPT, used=1)
    machine.shell(2, "make", used=1, container="b")
    activity = machine.activity()
    activity.processors(step)
    machine.now = 10.0
    machine.shell(2, "make", used=6, container="b")
    assert activity.processors(step) == pytest.approx(0.5)


def test_a_command_that_the_shell_became_is_found(machine):
    """`sh -c "sleep 1000"` executes sleep in its place."""
    machine.process(1, "qemu-aarch64", "/bin/busybox", "sleep", "1000", used=1)
    machine.shell(2, "make", used=1, container="b")
    activity = machine.activity()
    activity.processors("[2/2] RUN sleep 1000")
    machine.now = 10.0
    machine.shell(2, "make", used=9, container="b")
    assert activity.processors("[2/2] RUN sleep 1000") == 0.0


def test_buildkits_own_emulator_is_one_of_every_architecture(machine):
    machine.process(1, ".buildkit_qemu_emulator", "/bin/sh", "-c", SCRIPT, used=1)
    assert machine.activity().processors(STEP) is not None


def test_without_cgroups_only_emulated_programs_count(machine):
    """Where multibuild and the step are in one cgroup, so is everything else of the machine."""
    (machine.folder / "self" / "cgroup").write_text("0::/docker/buildkit/a\n")
    machine.shell(1, SCRIPT, used=1)
    machine.process(2, "postgres", used=1)
    activity = machine.activity()
    activity.processors(STEP)
    machine.now = 10.0
    machine.process(2, "postgres", used=9)
    assert activity.processors(STEP) == 0.0


@pytest.mark.parametrize("qemu", ["s390x", ""])
def test_without_an_emulator_nothing_is_seen(machine, qemu):
    machine.process(1, "sh", "-c", SCRIPT, used=1)
    machine.process(2, "qemu-system-aarch64", used=1)
    assert machine.activity(qemu).processors(STEP) is None


def test_without_a_proc_nothing_is_seen(tmp_path):
    assert StepActivity("aarch64", proc=tmp_path / "none").processors(STEP) is None


def test_the_program_of_another_account_is_known_by_its_first_argument():
    """The link to it is root's alone; run by root, this test looks at pid 1 as another account."""
    first = Path("/proc/1/cmdline").read_bytes().split(b"\0")[0].decode()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setresuid(65534, 65534, 65534)
            os.write(writer, program_name(Path("/proc/1")).encode())
        finally:
            os._exit(0)
    os.close(writer)
    os.waitpid(child, 0)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == first.rpartition("/")[2].removesuffix("-static")
