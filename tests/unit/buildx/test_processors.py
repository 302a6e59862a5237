"""Whether there is time for another build, by a /proc/stat as the kernel writes it."""

import os

import pytest

from multibuild.buildx.processors import MIN_IDLE_PROCESSORS, WINDOW_S, Processors

CPUS = os.cpu_count()


class Machine:
    """A /proc/stat and a clock that go on when they are told."""

    def __init__(self, folder):
        self.stat = folder / "stat"
        self.now = 100.0
        self._ticks = [1000, 5, 300, 9000, 50, 0, 7, 0, 0, 0]
        self.write()

    def write(self):
        words = " ".join(map(str, self._ticks))
        self.stat.write_text(f"cpu  {words}\ncpu0 {words}\nintr 1 2 3\n")

    def spend(self, seconds, *, idle, kind=3):
        """Let time pass in which so many processors were idle."""
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
    ("idle", "enough"),
    [(0, False), (MIN_IDLE_PROCESSORS - 0.1, False), (MIN_IDLE_PROCESSORS + 0.1, True), (1, True)],
)
@pytest.mark.parametrize("kind", [3, 4])
def test_idle_time_and_waiting_for_disks_make_room(machine, idle, enough, kind):
    processors = machine.processors()
    machine.spend(1, idle=idle, kind=kind)
    assert processors.has_idle_time() is enough


def test_what_was_let_in_shows_before_the_next(machine):
    processors = machine.processors()
    machine.spend(WINDOW_S, idle=1)
    assert processors.has_idle_time()
    assert not processors.has_idle_time()
    machine.spend(WINDOW_S, idle=0)
    assert not processors.has_idle_time()
    machine.spend(WINDOW_S, idle=1)
    assert processors.has_idle_time()


def test_what_was_while_nobody_asked_says_nothing_of_now(machine):
    processors = machine.processors()
    machine.spend(20, idle=CPUS)
    assert not processors.has_idle_time()
    machine.spend(WINDOW_S, idle=0)
    assert not processors.has_idle_time()
    machine.spend(WINDOW_S, idle=1)
    assert processors.has_idle_time()


def test_nothing_is_said_of_a_moment(machine):
    processors = machine.processors()
    machine.spend(WINDOW_S / 2, idle=1)
    assert not processors.has_idle_time()


@pytest.mark.parametrize("text", [None, "", "cpu 1 2\n", "cpu a b c d e\n", "intr 1 2 3 4 5 6\n"])
def test_where_nothing_is_known_there_is_always_time(machine, text):
    machine.stat.unlink() if text is None else machine.stat.write_text(text)
    processors = machine.processors()
    assert processors.has_idle_time()
    assert processors.has_idle_time()


def test_a_file_that_goes_away_stops_nobody(machine):
    processors = machine.processors()
    machine.stat.unlink()
    machine.now += WINDOW_S
    assert processors.has_idle_time()


def test_this_machine_can_be_looked_at():
    assert Processors().has_idle_time() is False
