"""Classification of a build log from a file: rawjson, `--progress plain`, or multibuild's own."""

from __future__ import annotations

import re
from collections import defaultdict, deque

from multibuild.buildx.rawjson_progress import Progress
from multibuild.buildx.vertex import TAIL_LINES
from multibuild.failures.classify import Failure, classify
from multibuild.failures.evidence import Evidence
from multibuild.redact import redacted

MAX_LOG_BYTES = 64 << 20
"""Of a log that is read as a whole; its lines take several times the room."""

_PLAIN_STEP = re.compile(r"^#(\d+) (\[[^\]]*\] .+|exporting .+|pushing .+)$")
_PLAIN_LOG = re.compile(r"^#(\d+) [\d.]+ (.*)$")
_PLAIN_ERROR = re.compile(r"^#(\d+) ERROR: (.*)$")
_OWN_STEP = re.compile(r"^--- (\[[^\]]*\] .+?|exporting .+?|pushing .+?)(?: (?:[\d.]+s|CACHED))?$")
_OWN_ERROR = re.compile(r"^--- (.+?): ((?:process|failed|error|unexpected).*)$")


def explain_log(content: bytes) -> Failure:
    """Return the failure that ended a build log."""
    progress = Progress(write_log=_ignored, on_step=_ignored)
    for line in content.splitlines():
        progress.feed(line)
    progress.finish()
    evidence = progress.evidence()
    if not evidence.step:
        evidence = _plain(redacted(content.decode("utf-8", "replace"))) or evidence
    return classify(evidence)


def _ignored(_text: str) -> None:
    """Discard output: only the evidence is needed."""


def _plain(text: str) -> Evidence | None:
    """Return the failing step of a plain log, its last lines and the last error."""
    names: dict[str, str] = {}
    tails: dict[str, deque[str]] = defaultdict(lambda: deque(maxlen=TAIL_LINES))
    failing, message, current = "", "", ""
    for line in text.splitlines():
        if match := _PLAIN_ERROR.match(line):
            failing, message = match[1], match[2]
        elif match := _PLAIN_STEP.match(line):
            names[match[1]] = match[2]
        elif match := _PLAIN_LOG.match(line):
            tails[match[1]].append(match[2])
        elif match := _OWN_ERROR.match(line):
            failing, message = match[1], match[2]
            names[failing] = match[1]
        elif match := _OWN_STEP.match(line):
            current = match[1]
        elif line.startswith("ERROR: "):
            message = line.removeprefix("ERROR: ")
        elif current:
            tails[current].append(line)
    if not message and not failing:
        return None
    return Evidence(message=message, step=names.get(failing, ""), tail=tuple(tails.get(failing, ())))
