"""Idle time of processors, from a /proc/stat as the kernel writes it."""

import os

import pytest

from multibuild.buildx.cpu_idle import MIN_IDLE_PROCESSORS, WINDOW_S, Processors

CPUS = os.cpu_count()


class Machine:
    """A /proc/stat and a clock that a test advances."""

    def __init__(self, folder):
        self.stat = folder / "stat"
        self.now = 100.0
        self._ticks = [1000, 5, 300, 9000, 50, 0, 7, 0, 0, 0]
        self.write()

    def write(self):
        words = " ".join(map(str, self._ticks))
        self.stat.write_text(f"cpu  {words}\ncpu0 {words}\nintr 1 2 3\n")

    def spend(self, seconds, *, idle, kind=3):
        """Advance the clock by seconds in which `idle` processors were idle."""
        self.now += seconds
        self._ticks[kind] += round(100 * seconds * idle)
        self._ticks[0] += round(100 * seconds * (CPUS - idle))
        self.write()

    def processors(self):
        return Processors(stat=self.stat, clock=lambda: self.now)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


@pytest.mark.parametrize(
    ("idle", "has_room"),
    [(0, False), (MIN_IDLE_PROCESSORS - 0.1, False), (MIN_IDLE_PROCESSORS + 0.1, True), (1, True)],
)
@pytest.mark.parametrize("kind", [3, 4])
def test_idle_time_and_waiting_for_disks_count_as_idle(machine, idle, has_room, kind):
    processors = machine.processors()
    machine.spend(1, idle=idle, kind=kind)
    assert processors.has_idle_time() is has_room


def test_one_build_starts_in_each_window(machine):
    processors = machine.processors()
    machine.spend(WINDOW_S, idle=1)
    assert processors.has_idle_time()
    assert not processors.has_idle_time()
    machine.spend(WINDOW_S, idle=0)
    assert not processors.has_idle_time()
    machine.spend(WINDOW_S, idle=1)
    assert processors.has_idle_time()


def test_a_long_window_does_not_count(machine):
    processors = machine.processors()
    machine.spend(20, idle=CPUS)
    assert not processors.has_idle_time()
    machine.spend(WINDOW_S, idle=0)
    assert not processors.has_idle_time()
    machine.spend(WINDOW_S, idle=1)
    assert processors.has_idle_time()


def test_a_short_window_does_not_count(machine):
    processors = machine.processors()
    machine.spend(WINDOW_S / 2, idle=1)
    assert not processors.has_idle_time()


@pytest.mark.parametrize("text", [None, "", "cpu 1 2\n", "cpu a b c d e\n", "intr 1 2 3 4 5 6\n"])
def test_without_statistics_there_is_always_idle_time(machine, text):
    machine.stat.unlink() if text is None else machine.stat.write_text(text)
    processors = machine.processors()
    assert processors.has_idle_time()
    assert processors.has_idle_time()


def test_a_file_that_disappears_is_idle_time(machine):
    processors = machine.processors()
    machine.stat.unlink()
    machine.now += WINDOW_S
    assert processors.has_idle_time()


def test_this_machines_statistics_are_read():
    assert Processors().has_idle_time() is False
