"""Events and steps in words: what the live table and the plain lines have in common."""

from __future__ import annotations

import re

from multibuild.journal.events import (
    AttemptEnded,
    AttemptGivenUp,
    AttemptStarted,
    AttemptWaiting,
    BatchStarted,
    ContentEnded,
    Event,
    IndexComposed,
    PlatformEnded,
    PlatformEvent,
    RecordForgotten,
    SmokeTestEnded,
    SmokeTestGivenUp,
    SmokeTestWaiting,
    StageStarted,
    TagEnded,
)
from multibuild.report.failure_lines import failed_proof
from multibuild.terminal import human_seconds, last_line, one_line

_STEP = re.compile(r"^\[(?:[^\]]* )?(\d+/\d+)\] (.*)$", re.DOTALL)


_BATCHES = {
    "cached": "inputs that were built before",
    "context": "a large context, one upload",
}


def sentence(event: Event) -> str | None:
    """Put an event into words, one line, without its platform; None for what is not worth one."""
    match event:
        case PlatformEvent():
            return _of_platform(event)
        case StageStarted():
            return f"== {event.stage}"
        case BatchStarted():
            return f"{_BATCHES[event.why]}: {len(event.platforms)} platforms in one process"
        case IndexComposed():
            return f"index {event.digest} with {event.entries} entries"
        case TagEnded():
            return f"{event.ref}: {event.status}"
    return None


def _of_platform(event: PlatformEvent) -> str | None:
    words = None
    match event:
        case AttemptStarted(number=number):
            words = f"building on {event.node}" + (f", attempt {number}" if number > 1 else "")
        case AttemptEnded(failure_class=str(name)):
            words = f"attempt {event.number} {event.outcome} ({name}): {last_line(event.evidence)}"
        case AttemptWaiting():
            alone = ", alone" if event.alone else ""
            words = f"{event.reason}, trying again in {human_seconds(event.seconds)}{alone}"
        case AttemptGivenUp():
            words = f"not tried again: {event.reason}"
        case RecordForgotten():
            words = f"BuildKit had lost a part of its cache: record {event.id} was taken out of it"
        case PlatformEnded():
            words = f"{event.status} in {human_seconds(event.seconds)}"
        case SmokeTestWaiting():
            words = f"test not run: {event.failure_class}, trying again in {human_seconds(event.seconds)}"
        case SmokeTestGivenUp():
            words = f"test not tried again: {event.reason}"
        case SmokeTestEnded(status="passed" | "failed"):
            words = proof_end("test", event.status, event.failure_class)
        case ContentEnded(status="failed"):
            words = f"content failed: {event.detail or ''}"
    return words


def proof_end(what: str, status: str, failure_class: str | None = None) -> str:
    """Return how a test or a proof of content ended."""
    return failed_proof(what, failure_class) if status == "failed" else f"{what} {status}"


def short_step(name: str) -> str:
    """Give "4/9 RUN make" of BuildKit's "[builder 4/9] RUN make"; other names as they are, printable."""
    found = _STEP.match(name)
    return one_line(f"{found[1]} {found[2]}" if found else name)


def as_shown(line: str) -> str:
    """Give what a terminal would have left of a line that was written over (progress bars), printable."""
    return one_line(line.rstrip("\r").rpartition("\r")[2])
