"""No regular expression of the package takes more than linear time, whatever text it is given.

The patterns are found in the modules themselves, and each gets texts that are made from it. Time is that of this
process alone, and the bounds are far from what a linear pattern needs (0.01 to 0.2 s for a MB).
"""

import re
import signal
import time
from collections.abc import Callable

import pytest
from unit.patterns import Use, all_uses, shapes

LENGTH = 8192
FACTOR = 4
MAX_S_PER_MB = 5.0
MAX_GROWTH = 10.0
"""Of the time when the text grows by FACTOR: 4 for a linear pattern, 16 for a quadratic one."""

MIN_MEASURABLE_S = 0.004


class TooSlow(BaseException):
    """Raised by the timer; a pattern that is tried again and again checks for signals."""


def cpu_seconds(action: Callable[[str], object], text: str) -> float:
    """Return the processor time of an action, cut shortly behind its bound."""

    def stop(_number, _frame):
        raise TooSlow

    previous = signal.signal(signal.SIGPROF, stop)
    began = time.process_time()
    try:
        signal.setitimer(signal.ITIMER_PROF, 1.6 * MAX_S_PER_MB * len(text) / 1e6)
        action(text)
    except TooSlow:
        pass
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)
    return time.process_time() - began


def fault_of(use: Use) -> str:
    """Return for which text a pattern takes too long; "" if there is none."""
    for shape in shapes(use.pattern):
        text, longer = shape.text(LENGTH), shape.text(FACTOR * LENGTH)
        if cpu_seconds(use.apply, text) < MIN_MEASURABLE_S:
            continue
        more = cpu_seconds(use.apply, longer)
        bound = MAX_S_PER_MB * len(longer) / 1e6
        if more < bound and more < MAX_GROWTH * MIN_MEASURABLE_S:
            continue
        seconds = min(cpu_seconds(use.apply, text) for _ in range(3))
        more = min(cpu_seconds(use.apply, longer) for _ in range(2))
        if more > bound or more > MAX_GROWTH * max(seconds, MIN_MEASURABLE_S):
            return (
                f"{seconds:.3f} s for {len(text)}, {more:.3f} s for {len(longer)} characters: {text[:60]!r}…"
            )
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
        (r"a:[/]+.*/x\Z", "match"),
        (rb"(\d+)(\d+)x", "match"),
        (r"\$\{\w+-([^}]*)\}", "sub"),
    ],
)
def test_a_pattern_that_tries_again_and_again_is_found(pattern, method):
    assert fault_of(Use("here", re.compile(pattern), method)) != ""


def test_patterns_of_every_kind_are_found():
    """Attributes of modules, fields of tables, arguments of calls."""
    places = {use.place.partition(":")[0] for use in all_uses()}
    assert {"failures.classify._RUN", "failures.matching", "terminal._ESCAPES", "lint.toolchains"} <= places
