"""A mistake a person makes, and what must be said of it: one shape for the catalogues of unit and e2e tests."""

import os
import re
from dataclasses import dataclass

AS_ANYBODY = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.getuid() == 0 else ()
"""Begins a command that permissions stop, although the tests may run as root."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """What must be said: `names` in the first line (the thing that is wrong), `then` in the hint (what to do)."""

    code: int
    names: tuple[str, ...]
    then: str


def said(code, *names, then):
    return Said(code=code, names=names, then=then)


def check(expected, code, stderr):
    """Check the last two lines: an error, a hint; nothing a person has to scroll for, and no traceback."""
    *before, error, hint = stderr.splitlines() or [""]
    assert code == expected.code, stderr
    assert error.startswith("error: "), stderr
    assert hint.startswith("hint:  "), stderr
    for name in expected.names:
        assert name in error, stderr
    assert expected.then in hint, stderr
    assert "Traceback" not in stderr
    assert not re.search(r"[A-Za-z]+Error\b|\bNone\b|<[a-z]+ object|\bErrno\b", error + hint), stderr
    assert not any(line.startswith(("error:", "hint:")) for line in before), stderr
    return before
