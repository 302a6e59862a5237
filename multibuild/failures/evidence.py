"""The evidence of a failure: what BuildKit and the failing step said."""

from __future__ import annotations

import re
from collections import deque

from multibuild.failures.signatures import SIGNATURES
from multibuild.frozen import frozen

MAX_DECISIVE_LINES = 16
"""Lines kept of a step because a signature knows them: half of them the first, half the last."""

MAX_DECISIVE_CHARACTERS = 2000
"""Of such a line; the rest is not looked at."""

_DECISIVE = re.compile(
    "|".join(f"(?:{row.pattern})" for row in SIGNATURES if row.scope == "run"), re.IGNORECASE
)


@frozen
class Evidence:
    """The basis for the class of a failure.

    `message` is the last error text, `step` the failing step's name (empty: no step failed), `tail` its last lines,
    `decisive` those lines of the whole step that a signature knows.
    """

    message: str
    step: str
    tail: tuple[str, ...]
    decisive: tuple[str, ...] = ()


class DecisiveLines:
    """Collector of a step's decisive lines in bounded memory: the cause may be hundreds of lines above the end."""

    def __init__(self) -> None:
        """Start without lines."""
        self._first: list[str] = []
        self._last: deque[str] = deque(maxlen=MAX_DECISIVE_LINES // 2)

    def add(self, line: str) -> None:
        """Keep a line if a signature knows it."""
        line = line[:MAX_DECISIVE_CHARACTERS]
        if _DECISIVE.search(line) is None:
            return
        if len(self._first) < MAX_DECISIVE_LINES // 2:
            self._first.append(line)
        else:
            self._last.append(line)

    @property
    def lines(self) -> tuple[str, ...]:
        """Return the lines kept, in their order."""
        return (*self._first, *self._last)
