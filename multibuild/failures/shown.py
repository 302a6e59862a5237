"""What a failure shows of its evidence: the cause first, a status never lost behind a long URL."""

from __future__ import annotations

import re
from collections.abc import Iterable

from multibuild.failures.evidence import LIKELY, Evidence, cut

EVIDENCE_LINES = 8
"""Lines of a failing step that are shown: its last ones, and above them those that decided."""

MAX_CAUSES = 3
"""Lines above the last ones that are shown because they look like the cause."""

MAX_SHOWN_CHARACTERS = 500
SHOWN_HEAD_CHARACTERS = 200
"""How much of a long line is shown, and how much of that from its beginning."""

MAX_CAUSE_CHARACTERS = 240
"""Of the one line of a failure, in a summary or an error."""

_MAX_URL_CHARACTERS = 80
_URL = re.compile(r"https?://[^\s\"']+")
_PREFIXES = ("failed to build: ", "failed to solve: ")
_PERHAPS = re.compile(
    r"\b(?:error|fatal|failed|failure|cannot|could not|undefined|not found|no such|denied|missing|invalid|unable|panic"
    r"|exception)\b|\*\*\* ",
    re.IGNORECASE,
)


def evidence_text(evidence: Evidence, causes: Iterable[str]) -> str:
    """Return the step, the lines that decided where they stand above its last ones, these, and the message."""
    tail = [line for line in evidence.tail[-EVIDENCE_LINES:] if line.strip()] if evidence.step else []
    known = {*tail, evidence.message, ""}
    above = [line for line in dict.fromkeys(causes) if line.strip() and line not in known][:MAX_CAUSES]
    if above:
        tail = tail[len(above) + 1 - EVIDENCE_LINES :]
    parts = [evidence.step, *above, *(["…"] if above and tail else []), *tail, evidence.message]
    return "\n".join(_shortened(part) for part in parts if part)


def likely_causes(evidence: Evidence) -> list[str]:
    """Return the lines of a failure of no known class that look most like its cause: the first ones in it."""
    lines = [line for line in dict.fromkeys((*evidence.decisive, *evidence.tail)) if line.strip()]
    likely = [line for line in lines if LIKELY.search(line)]
    return (likely or [line for line in lines if _PERHAPS.search(line)])[:MAX_CAUSES]


def last_words(evidence: Evidence) -> str:
    """Return the line to show of a failure of no known class: the first that looks like its cause, else the last."""
    lines = [line for line in evidence.tail if line.strip()] if evidence.step else []
    likely = [line for line in (*evidence.decisive, *lines) if LIKELY.search(line)]
    return next(iter((*likely, *reversed(lines))), evidence.message)


def cause_line(text: str) -> str:
    """Return a cause as one short line: without BuildKit's prefixes, its end kept, which says why."""
    line = " ".join(text.split())
    for prefix in _PREFIXES:
        line = line.rpartition(prefix)[2]
    return _middle_out(_without_long_urls(line), MAX_CAUSE_CHARACTERS, MAX_CAUSE_CHARACTERS // 2)


def _shortened(text: str) -> str:
    return _middle_out(_without_long_urls(text), MAX_SHOWN_CHARACTERS, SHOWN_HEAD_CHARACTERS)


def _without_long_urls(text: str) -> str:
    """Shorten URLs to their host: an upload's has hundreds of characters of state before the status."""
    return _URL.sub(lambda match: _short_url(match[0]), cut(text, 16384))


def _middle_out(text: str, length: int, head: int) -> str:
    """Shorten a long line in its middle: Go's errors begin with the action and end with the cause."""
    return text if len(text) <= length else f"{text[:head]} … {text[head - length :]}"


def _short_url(url: str) -> str:
    """Return a URL without its path and query if it is long; a colon at its end is the sentence's."""
    end = url[-1:] if url.endswith((":", ",")) else ""
    if len(url) <= _MAX_URL_CHARACTERS:
        return url
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('/')[0][:255]}/…{end}"
