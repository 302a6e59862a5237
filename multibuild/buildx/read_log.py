"""Reads a log that somebody else's buildx printed, rawjson or plain, and says what ended it."""

from __future__ import annotations

import re

from multibuild.buildx.classify import Failure, classify
from multibuild.buildx.progress import TAIL_LINES, Evidence, Progress

_PLAIN_STEP = re.compile(r"^#(\d+) (\[[^\]]*\] .+|exporting .+|pushing .+)$")
_PLAIN_LOG = re.compile(r"^#(\d+) [\d.]+ (.*)$")
_PLAIN_ERROR = re.compile(r"^#(\d+) ERROR: (.*)$")
_OWN_STEP = re.compile(r"^--- (\[[^\]]*\] .+?|exporting .+?|pushing .+?)(?: (?:[\d.]+s|CACHED))?$")
_OWN_ERROR = re.compile(r"^--- (.+?): ((?:process|failed|error|unexpected).*)$")


def explain_log(content: bytes) -> Failure:
    """Classify a build log: rawjson, `--progress plain`, or one of our own."""
    progress = Progress(write=_ignored, started=_ignored)
    for line in content.splitlines():
        progress.feed(line)
    progress.finish()
    evidence = progress.evidence()
    if not evidence.step:
        evidence = _plain(content.decode("utf-8", "replace")) or evidence
    return classify(evidence)


def _ignored(_text: str) -> None:
    """Only the evidence is wanted."""


def _plain(text: str) -> Evidence | None:
    """Find the failing step of a plain log, its own last lines and the last error."""
    names: dict[str, str] = {}
    tails: dict[str, list[str]] = {}
    failing, message, current = "", "", ""
    for line in text.splitlines():
        if found := _PLAIN_ERROR.match(line):
            failing, message = found[1], found[2]
        elif found := _PLAIN_STEP.match(line):
            names[found[1]] = found[2]
        elif found := _PLAIN_LOG.match(line):
            tails.setdefault(found[1], []).append(found[2])
        elif found := _OWN_ERROR.match(line):
            failing, message = found[1], found[2]
            names[failing] = found[1]
        elif found := _OWN_STEP.match(line):
            current = found[1]
        elif line.startswith("ERROR: "):
            message = line.removeprefix("ERROR: ")
        elif current:
            tails.setdefault(current, []).append(line)
    if not message and not failing:
        return None
    return Evidence(
        message=message, step=names.get(failing, ""), tail=tuple(tails.get(failing, ())[-TAIL_LINES:])
    )
