"""Every event of a run: the journal holds them, displays show them, the report is folded from them.

The journal's form of a field is its name and its value. A field whose default is None is absent while it is None; every
other field is always there. A field that a journal lacks has its default, or is None where None is one of its types.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields
from typing import Any, Protocol, TypeVar, dataclass_transform

from multibuild.frozen import frozen

JSON_KEYS = {"failure_class": "class", "media_type": "mediaType", "step": "name"}
"""The journal's keys of fields whose key cannot be their name."""

EVENTS: dict[str, type[Event]] = {}
"""Events by name."""


class Event:
    """Something that happened in a run; `event` sets the class's properties."""

    __slots__ = ()

    name: str
    durable = True
    journaled = True

    def to_json(self) -> dict[str, Any]:
        """Return the fields as the journal has them."""
        values = ((item, getattr(self, item.name)) for item in fields(self))  # type: ignore[arg-type]
        return {
            JSON_KEYS.get(item.name, item.name): list(value) if isinstance(value, tuple) else value
            for item, value in values
            if value is not None or item.default is not None
        }


E = TypeVar("E", bound=Event)


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(field,))
def event(name: str, *, durable: bool = True, journaled: bool = True) -> Callable[[type[E]], type[E]]:
    """Register a class as the event that the journal calls `name`, with its docstring as documentation.

    After a `durable` event the run goes on only once it is on the disk, with all before it: an fsync takes up to ten
    ms. Others are written at once too, and are on the disk with the next durable one. What is not `journaled` is only
    displayed.
    """

    def register(cls: type[E]) -> type[E]:
        cls = frozen(cls)
        cls.name, cls.durable, cls.journaled = name, durable, journaled
        EVENTS[name] = cls
        return cls

    return register


@frozen
class ImageEvent(Event):
    """Something that happened to one image of a run, or a stage of it; every other event belongs to the run."""


@frozen
class PlatformEvent(ImageEvent):
    """Something that happened to a platform of an image."""

    platform: str


@event("run.started")
class RunStarted(Event):
    """A run begins; `command` is build, publish or merge, absent in an imported run. `--if-changed`, the report."""

    command: str | None = None
    image: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)


@event("host.ready")
class HostReady(Event):
    """The host is set up: versions, builders and emulators, for the report."""

    environment: Mapping[str, Any]


@event("run.planned")
class RunPlanned(ImageEvent):
    """The plan is made: the live table's rows; `settings` are digests by key, which `--if-changed` compares."""

    platforms: tuple[str, ...]
    jobs: int
    settings: Mapping[str, str] = field(default_factory=dict)


@event("run.ended")
class RunEnded(Event):
    """The run is over: succeeded, partial, failed or interrupted. `error` has message, hint and exit_code.

    A run without it was killed; `--resume` reuses the children of runs that did not succeed.
    """

    status: str
    error: Mapping[str, Any] | None = None


@event("run.confirmed")
class RunConfirmed(Event):
    """`--if-changed` found that this run's result still holds."""

    command: str


@event("stage.started", durable=False)
class StageStarted(ImageEvent):
    """A stage begins: shown, and in the report."""

    stage: str


@event("stage.ended")
class StageEnded(ImageEvent):
    """A stage ended, well or not, after `seconds` of wall time: in the report."""

    stage: str
    seconds: float


@event("inputs.named")
class InputsNamed(ImageEvent):
    """The inputs were read; `--resume` reuses a killed run's children while `stamp`, of their times, is the same."""

    stamp: str


@event("platform.inputs", durable=False)
class PlatformInputs(PlatformEvent):
    """A platform's inputs by digest, for `--resume`, `--if-changed` and batches; null because of `unknown`."""

    inputs: str | None
    parts: Mapping[str, str]
    unknown: str = ""


@event("inputs.held")
class InputsHeld(ImageEvent):
    """No file changed while builds read it: `--resume` reuses the children whatever the files' times are."""


@event("inputs.changed")
class InputsChanged(ImageEvent):
    """A file changed while builds read it: `--resume` and `--if-changed` pass over the run."""


@event("wave.started", durable=False)
class BatchStarted(ImageEvent):
    """Platforms of a node are built in one bake process, because of `why`: cached or context. Shown."""

    node: str
    platforms: tuple[str, ...]
    why: str


@event("attempt.started", durable=False)
class AttemptStarted(PlatformEvent):
    """An attempt begins; `log` is relative to the run. Shown; without an end, the report counts it as cancelled."""

    number: int
    node: str
    log: str


@event("step", journaled=False)
class StepStarted(PlatformEvent):
    """BuildKit begins a step: shown."""

    step: str


@event("log", journaled=False)
class LogLine(PlatformEvent):
    """A step printed a line: shown, and in the attempt's log."""

    text: str


@event("attempt.ended")
class AttemptEnded(PlatformEvent):
    """An attempt ended: ok, failed, timeout, stalled or cancelled; a failed one with its class. Shown, in the report.

    Later runs start first what failed, then what took longest.
    """

    number: int
    seconds: float
    outcome: str
    log: str
    failure_class: str | None = None
    retry: str | None = None
    evidence: str | None = None
    hint: str | None = None


@event("attempt.waiting")
class AttemptWaiting(PlatformEvent):
    """A failed attempt is followed by another one after `seconds`, because of `reason`. Shown, in the report.

    `patience` is what the next attempt is given, in words, where that is less than usual.
    """

    number: int
    seconds: float
    reason: str
    alone: bool = False
    patience: str | None = None


@event("attempt.given_up")
class AttemptGivenUp(PlatformEvent):
    """A failed attempt was the last one, because of `reason`. Shown, in the report."""

    number: int
    reason: str


@event("record.forgotten")
class RecordForgotten(PlatformEvent):
    """BuildKit had lost a part of its cache: the record `id` was pruned before the next attempt. Shown."""

    id: str


@event("platform.ended")
class PlatformEnded(PlatformEvent):
    """A platform succeeded, failed or was cancelled; or its child was reused, or carried over from an older index.

    `digest` is the child in `repository`, null without one. The report, `--resume`, `merge`, `test`, `clean` and
    `--if-changed` find children by it.
    """

    status: str
    required: bool | None = None
    digest: str | None
    repository: str = ""
    seconds: float = 0.0
    emulated: bool | None = None
    node: str | None = None
    steps: tuple[Mapping[str, Any], ...] | None = None
    reason: str | None = None


@event("child.read", durable=False)
class ChildRead(PlatformEvent):
    """A child was read; `manifest` is its image's digest, `bytes` its size. `--if-changed`, the report."""

    manifest: str
    bytes: int


@event("test.waiting")
class SmokeTestWaiting(PlatformEvent):
    """A failure (`class`) prevented a test: it is run again after `seconds`. Shown."""

    number: int
    failure_class: str
    seconds: float
    alone: bool = False


@event("test.given_up")
class SmokeTestGivenUp(PlatformEvent):
    """A failure (`class`) prevented a test, which is not run again, because of `reason`. Shown."""

    number: int
    failure_class: str
    reason: str


@event("test.ended", durable=False)
class SmokeTestEnded(PlatformEvent):
    """A test passed (`merge` does not repeat it), failed or was skipped; `class` of what prevented it. The report."""

    status: str
    seconds: float = 0.0
    detail: str | None = None
    failure_class: str | None = None
    hint: str | None = None


@event("content.ended", durable=False)
class ContentEnded(PlatformEvent):
    """A proof of content passed (`merge` does not repeat it), failed (`foreign`: the wrong files) or was skipped.

    `origins` of a failed one: where foreign files come from. Shown, in the report.
    """

    status: str
    checked: int = 0
    foreign: tuple[str, ...] = ()
    detail: str | None = None
    origins: tuple[Mapping[str, Any], ...] | None = None


@event("child.handed_over")
class HandedOver(PlatformEvent):
    """A proved child waits for `merge --handed-over` of another machine: `ref` holds its record. Shown; `clean`."""

    ref: str
    digest: str


@event("gate.started", journaled=False)
class GateStarted(PlatformEvent):
    """The program of a gate begins: shown."""

    gate: str


@event("gate.ended", durable=False)
class GateEnded(PlatformEvent):
    """A gate passed, failed (it says no) or was not-run, because of `reason`; `detail` is the end of its output.

    Shown, in the report. No later run reads it: gates run again.
    """

    gate: str
    status: str
    required: bool = True
    seconds: float = 0.0
    reason: str | None = None
    detail: str | None = None
    hint: str | None = None
    log: str | None = None


@event("index.composed")
class IndexComposed(ImageEvent):
    """The index is made, with its descriptors, and not pushed yet. Shown, in the report; `clean` keeps its entries."""

    digest: str
    media_type: str
    size: int
    entries: int
    manifests: tuple[Mapping[str, Any], ...] = ()


@event("image.signed", durable=False)
class ImageSigned(ImageEvent):
    """Everything of an index has a signature in a `repository`, before any tag moves. Shown, in the report.

    `digests` are the index and its images, `new` those that had no valid signature before.
    """

    repository: str
    digests: tuple[str, ...]
    new: tuple[str, ...]


@event("tag.planned")
class TagPlanned(ImageEvent):
    """The digest of a tag `before` any tag moves, null without such a tag: a resumed run rolls back to it."""

    ref: str
    before: str | None
    after: str


@event("tag.ended")
class TagEnded(ImageEvent):
    """A tag was moved, unchanged, put back, left or failed; again at a rollback. Shown; `--if-changed`, the report."""

    ref: str
    before: str | None
    after: str | None
    status: str


@frozen
class UnknownEvent(Event):
    """An event of another version: kept as it is."""

    name: str
    fields: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as they were read."""
        return dict(self.fields)


class Emit(Protocol):
    """Records events."""

    def __call__(self, event: Event, /) -> None:
        """Record an event now."""
