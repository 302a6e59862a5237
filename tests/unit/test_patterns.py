"""No regular expression of the package takes more than linear time, whatever text it is given.

The patterns are found in the modules themselves, and each gets texts that are made from it. What counts is how the
processor time of this process grows with the text, not how long it is: a busy machine makes both texts slower.
"""

import math
import re
import signal
import time
from collections.abc import Callable

import pytest
from unit.patterns import Shape, Use, all_uses, shapes

LENGTHS = (1024, 4096)
"""Of the first look, at every text."""

LONG_LENGTHS = (4096, 16384)
"""Of the second look: a part that repeats up to some thousand times grows no more at these."""

SUSPICIOUS_GROWTH = 7.0
MAX_GROWTH = 10.0
"""Of the time when the text grows fourfold: 4 for a linear pattern, 16 for a quadratic one."""

MIN_MEASURABLE_S = 0.00002
"""Of the shorter text: the timer itself takes 3 µs. With 0.5 ms a quadratic pattern (1.3 ms at the first look) was hidden."""

MAX_S_PER_MB = 200.0
"""Wall time at which an action is cut, and counts as one without end. A linear pattern takes 0.01 to 5 s."""


class TooSlow(BaseException):
    """Raised by the timer; a pattern that is tried again and again checks for signals."""


def cpu_seconds(action: Callable[[str], object], text: str) -> float:
    """Return the processor time of an action; infinity if it was cut at its bound.

    The timer is one of wall time: while one of processor time is armed, Linux counts processor time in ticks of 4 ms.
    """

    def stop(_number, _frame):
        raise TooSlow

    previous = signal.signal(signal.SIGALRM, stop)
    began = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_REAL, MAX_S_PER_MB * len(text) / 1e6)
        action(text)
    except TooSlow:
        return math.inf
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
    return time.process_time() - began


def growth(use: Use, shape: Shape, lengths: tuple[int, int], times: int) -> float:
    """Return how many times as long the longer text takes, by the least of some measurements; 0 if both take nothing.

    The short one is measured twice more: what disturbs it would hide a growth, and it takes little.
    """
    short, long = map(shape.text, lengths)
    more = min(cpu_seconds(use.apply, long) for _ in range(times))
    if more == math.inf:
        return math.inf
    if more < MAX_GROWTH * MIN_MEASURABLE_S:
        return 0.0
    seconds = min(cpu_seconds(use.apply, short) for _ in range(times + 2))
    return more / max(seconds, MIN_MEASURABLE_S)


def lasting_growth(use: Use, shape: Shape) -> float:
    """Return the growth at long texts if it is too much each time that it is looked at, else 0.

    Steal on a virtual machine counts as processor time of this process: one look out of some is free of it. An action
    that is cut took a hundred times what the slowest linear one takes.
    """
    found = 0.0
    for times in (1, 3, 3):
        found = growth(use, shape, LONG_LENGTHS, times)
        if found <= MAX_GROWTH:
            return 0.0
        if found == math.inf:
            break
    return found


def fault_of(use: Use) -> str:
    """Return for which text a pattern takes too long; "" if there is none."""
    for shape in shapes(use.pattern):
        if growth(use, shape, LENGTHS, 1) < SUSPICIOUS_GROWTH:
            continue
        if found := lasting_growth(use, shape):
            return f"{found:.1f} times the time for 4 times the text: {shape.text(60)!r}…"
    return ""


@pytest.mark.parametrize("use", all_uses(), ids=lambda use: f"{use.place} {use.method}")
def test_a_pattern_takes_linear_time(use):
    assert fault_of(use) == ""


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"first.*second", "search"),
        (r"\w+=", "search"),
        (r"(a|ab|b)*c", "match"),
        (r"\$\{\w+-([^}]*)\}", "sub"),
    ],
)
def test_a_pattern_that_tries_again_and_again_is_found(pattern, method):
    assert fault_of(Use("here", re.compile(pattern), method)) != ""


def test_patterns_of_every_kind_are_found():
    """Attributes of modules, fields of tables, arguments of calls."""
    places = {use.place.partition(":")[0] for use in all_uses()}
    assert {"failures.classify._RUN", "failures.matching", "terminal._ESCAPES", "lint.toolchains"} <= places
