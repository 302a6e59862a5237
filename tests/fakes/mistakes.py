"""The error message expected for a user's mistake: one form for the catalogues of unit, contract and e2e tests."""

import os
import re
from dataclasses import dataclass

UNPRIVILEGED = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.getuid() == 0 else ()
"""Prefix of a command that obeys permissions, although the tests may run as root."""


@dataclass(frozen=True, kw_only=True)
class ExpectedError:
    """An expected error: `names` are in the error (what is wrong), `hint` in the hint (what to do)."""

    code: int
    names: tuple[str, ...]
    hint: str


def error(code, *names, hint):
    return ExpectedError(code=code, names=names, hint=hint)


def check(expected, code, stderr):
    """Check the last two lines, an error and a hint, and that there is no traceback. Return the lines before."""
    *before, message, hint = stderr.splitlines() or [""]
    assert code == expected.code, stderr
    assert message.startswith("error: "), stderr
    assert hint.startswith("hint:  "), stderr
    for name in expected.names:
        assert name in message, stderr
    assert expected.hint in hint, stderr
    assert "Traceback" not in stderr
    assert not re.search(r"[A-Za-z]+Error\b|\bNone\b|<[a-z]+ object|\bErrno\b", message + hint), stderr
    assert not any(line.startswith(("error:", "hint:")) for line in before), stderr
    return before
