"""Text of events and steps for the live table and the plain lines."""

from __future__ import annotations

import re

from multibuild.journal.entry import JournalEntry
from multibuild.journal.events import (
    AttemptEnded,
    AttemptGivenUp,
    AttemptStarted,
    AttemptWaiting,
    BatchStarted,
    ContentEnded,
    Event,
    GateEnded,
    GateStarted,
    HandedOver,
    ImageSigned,
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
from multibuild.report.failure_lines import failed_proof, retry_manner
from multibuild.report.gates import gate_end
from multibuild.terminal import human_seconds, last_line, one_line

_STEP = re.compile(r"^\[(?:[^\]]* )?(\d+/\d+)\] (.*)$", re.DOTALL)
_BATCHES = {"cached": "inputs that were built before", "context": "a large context, one upload"}


def row_name(image: str, platform: str) -> str:
    """Return the name of a platform among those of its run."""
    return f"{image} {platform}" if image else platform


def line_text(entry: JournalEntry) -> str | None:
    """Return the text of an event of no platform in one line, with its image; None for one that is not shown.

    Where a run has several images, the stages of each are not: their rows show them.
    """
    if entry.image and isinstance(entry.event, StageStarted):
        return None
    text = sentence(entry.event)
    return f"{entry.image}: {text}" if entry.image and text is not None else text


def sentence(event: Event) -> str | None:
    """Return the text of an event in one line, without its platform; None for an event without one."""
    text = None
    match event:
        case PlatformEvent():
            text = gate_text(event) or _platform_text(event)
        case StageStarted():
            text = f"== {event.stage}"
        case BatchStarted():
            text = f"{_BATCHES[event.why]}: {len(event.platforms)} platforms in one process"
        case IndexComposed():
            text = f"index {event.digest} with {event.entries} entries"
        case ImageSigned():
            text = (
                f"{event.repository}: {len(event.digests)} digests are signed, {len(event.new)} of them now"
            )
        case TagEnded():
            text = f"{event.ref}: {event.status}"
    return text


def _platform_text(event: PlatformEvent) -> str | None:
    text = None
    match event:
        case AttemptStarted(number=number):
            text = f"building on {event.node}" + (f", attempt {number}" if number > 1 else "")
        case AttemptEnded(failure_class=str(name)):
            text = f"attempt {event.number} {event.outcome} ({name}): {last_line(event.evidence)}"
        case AttemptWaiting():
            how = retry_manner(alone=event.alone, patience=event.patience)
            text = f"{event.reason}, trying again in {human_seconds(event.seconds)}{how}"
        case AttemptGivenUp():
            text = f"not tried again: {event.reason}"
        case RecordForgotten():
            text = f"BuildKit had lost a part of its cache: record {event.id} was taken out of it"
        case PlatformEnded():
            text = f"{event.status} in {human_seconds(event.seconds)}"
        case SmokeTestWaiting():
            text = f"test not run: {event.failure_class}, trying again in {human_seconds(event.seconds)}"
        case SmokeTestGivenUp():
            text = f"test not tried again: {event.reason}"
        case SmokeTestEnded(status="passed" | "failed"):
            text = proof_end("test", event.status, event.failure_class)
        case HandedOver():
            text = f"handed over as {event.ref}"
        case ContentEnded(status="failed"):
            text = f"content failed: {event.detail or ''}"
    return text


def gate_text(event: PlatformEvent) -> str | None:
    """Return that a gate runs, or how it ended; None for another event."""
    if isinstance(event, GateStarted):
        return f"gate {event.gate} runs"
    return gate_end({**event.to_json(), "name": event.gate}) if isinstance(event, GateEnded) else None


def proof_end(what: str, status: str, failure_class: str | None = None) -> str:
    """Return how a test or a proof of content ended."""
    return failed_proof(what, failure_class) if status == "failed" else f"{what} {status}"


def short_step(name: str) -> str:
    """Return "4/9 RUN make" for BuildKit's "[builder 4/9] RUN make"; other names as they are, printable."""
    match = _STEP.match(name)
    return one_line(f"{match[1]} {match[2]}" if match else name)


def final_text(line: str) -> str:
    """Return the last state of a line with carriage returns (progress bars), printable."""
    return one_line(line.rstrip("\r").rpartition("\r")[2])
