"""Every event of a run: the journal holds them, displays show them, the report is folded from them.

The journal's form of a field is its name and its value. A field whose default is None is absent while it is None; every
other field is always there. A field that a journal lacks has its default, or is None where None is one of its types.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, field, fields
from datetime import UTC, datetime
from functools import cache
from types import UnionType
from typing import Any, Protocol, get_args, get_origin, get_type_hints

from multibuild.frozen import frozen

JSON_KEYS = {"failure_class": "class", "media_type": "mediaType", "step": "name"}
"""The journal's keys of fields whose key cannot be their name."""


class Event:
    """Something that happened in a run."""

    __slots__ = ()

    name: str = ""
    """What the journal calls it."""

    durable = True
    """Whether the run goes on only once the event is on the disk, and all before it; an fsync takes up to ten ms.

    What is not durable is written at once too, and is on the disk with the next durable event.
    """

    journaled = True
    """Whether it is in the journal, not only on the display."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields as the journal has them."""
        values = ((item, getattr(self, item.name)) for item in fields(self))  # type: ignore[arg-type]
        return {
            JSON_KEYS.get(item.name, item.name): list(value) if isinstance(value, tuple) else value
            for item, value in values
            if value is not None or item.default is not None
        }


@frozen
class PlatformEvent(Event):
    """Something that happened to a platform."""

    platform: str


@frozen
class RunStarted(Event):
    """A run begins; `command` is build, publish or merge, and absent in a run that was imported.

    `--if-changed` looks only at runs of its own command; the report takes the environment.
    """

    name = "run.started"
    command: str | None = None
    image: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)


@frozen
class HostReady(Event):
    """The host is set up: versions, builders and emulators, for the report."""

    name = "host.ready"
    environment: Mapping[str, Any]


@frozen
class RunPlanned(Event):
    """The plan is made; `settings` are digests by key.

    The live table has a row for each platform; `--if-changed` compares the settings.
    """

    name = "run.planned"
    platforms: tuple[str, ...]
    jobs: int
    settings: Mapping[str, str]


@frozen
class RunEnded(Event):
    """The run is over: succeeded, partial, failed or interrupted. `error` has message, hint and exit_code.

    A run without it was killed: `--resume` takes over what runs left that did not succeed.
    """

    name = "run.ended"
    status: str
    error: Mapping[str, Any] | None = None


@frozen
class RunConfirmed(Event):
    """`--if-changed` found that this run's result still holds: for people who read the journal."""

    name = "run.confirmed"
    command: str


@frozen
class StageStarted(Event):
    """A stage begins: shown, and in the report."""

    name = "stage.started"
    durable = False
    stage: str


@frozen
class StageEnded(Event):
    """A stage ended, well or not, after `seconds` of wall time: in the report."""

    name = "stage.ended"
    stage: str
    seconds: float


@frozen
class InputsNamed(Event):
    """The files that go into the builds were read; `stamp` is that of their modification times.

    `--resume` takes over children of a killed run while the stamp is the same.
    """

    name = "inputs.named"
    stamp: str


@frozen
class PlatformInputs(PlatformEvent):
    """What goes into a platform: the digest of all its inputs, null where `unknown` says what cannot be known.

    `--resume`, `--if-changed` and the choice of cached batches compare it with a later run's.
    """

    name = "platform.inputs"
    durable = False
    inputs: str | None
    parts: Mapping[str, str]
    unknown: str = ""


@frozen
class InputsHeld(Event):
    """No file changed while builds read it: `--resume` takes over the children whatever the files' times are."""

    name = "inputs.held"


@frozen
class InputsChanged(Event):
    """A file changed while builds read it: `--resume` and `--if-changed` pass over the run."""

    name = "inputs.changed"


@frozen
class BatchStarted(Event):
    """Platforms of a node are built in one bake process, because of `why`: cached, shared or context. Shown."""

    name = "wave.started"
    durable = False
    node: str
    platforms: tuple[str, ...]
    why: str


@frozen
class AttemptStarted(PlatformEvent):
    """An attempt begins on `node`; `log` is relative to the run's directory. Shown.

    The report counts an attempt without an end as cancelled.
    """

    name = "attempt.started"
    durable = False
    number: int
    node: str
    log: str


@frozen
class StepStarted(PlatformEvent):
    """BuildKit begins a step: shown."""

    name = "step"
    journaled = False
    step: str


@frozen
class LogLine(PlatformEvent):
    """A step printed a line: shown, and in the attempt's log."""

    name = "log"
    journaled = False
    text: str


@frozen
class AttemptEnded(PlatformEvent):
    """An attempt ended: ok, failed, timeout, stalled or cancelled; a failed one with its class. Shown, in the report.

    Later runs start first what failed, then what took longest.
    """

    name = "attempt.ended"
    number: int
    seconds: float
    outcome: str
    log: str
    failure_class: str | None = None
    retry: str | None = None
    evidence: str | None = None
    hint: str | None = None


@frozen
class AttemptWaiting(PlatformEvent):
    """A failed attempt is followed by another one after `seconds`, because of `reason`. Shown, in the report."""

    name = "attempt.waiting"
    number: int
    seconds: float
    reason: str
    alone: bool = False


@frozen
class AttemptGivenUp(PlatformEvent):
    """A failed attempt was the last one, because of `reason`. Shown, in the report."""

    name = "attempt.given_up"
    number: int
    reason: str


@frozen
class RecordForgotten(PlatformEvent):
    """BuildKit had lost a part of its cache: the record `id` was pruned before the next attempt. Shown."""

    name = "record.forgotten"
    id: str


@frozen
class PlatformEnded(PlatformEvent):
    """A platform succeeded, failed or was cancelled; or its child was reused, or carried over from an older index.

    `digest` is the child in `repository`, null without one. The report, `--resume`, `merge`, `test`, `clean` and
    `--if-changed` find children by it.
    """

    name = "platform.ended"
    status: str
    required: bool | None = None
    digest: str | None
    repository: str = ""
    seconds: float = 0.0
    emulated: bool | None = None
    node: str | None = None
    steps: tuple[Mapping[str, Any], ...] | None = None
    reason: str | None = None


@frozen
class ChildRead(PlatformEvent):
    """A child was read back; `manifest` is the image's digest, `bytes` its size. `--if-changed`, the report."""

    name = "child.read"
    durable = False
    manifest: str
    bytes: int


@frozen
class SmokeTestWaiting(PlatformEvent):
    """Something else kept a test from its end: it is run again after `seconds`. Shown."""

    name = "test.waiting"
    number: int
    failure_class: str
    seconds: float
    alone: bool = False


@frozen
class SmokeTestGivenUp(PlatformEvent):
    """Something else kept a test from its end, and it is not run again, because of `reason`. Shown."""

    name = "test.given_up"
    number: int
    failure_class: str
    reason: str


@frozen
class SmokeTestEnded(PlatformEvent):
    """A test passed, failed or was skipped; with a class when something else kept it from its end.

    Shown, in the report; `merge` does not repeat a test that passed.
    """

    name = "test.ended"
    durable = False
    status: str
    seconds: float = 0.0
    detail: str | None = None
    failure_class: str | None = None
    hint: str | None = None


@frozen
class ContentEnded(PlatformEvent):
    """The proof of content passed, failed or was skipped after `checked` binaries; `foreign` lists the wrong ones.

    Shown, in the report; `merge` does not repeat a proof that passed.
    """

    name = "content.ended"
    durable = False
    status: str
    checked: int = 0
    foreign: tuple[str, ...] = ()
    detail: str | None = None


@frozen
class IndexComposed(Event):
    """The index is made, with its descriptors, and not pushed yet. Shown, in the report; `clean` keeps its entries."""

    name = "index.composed"
    digest: str
    media_type: str
    size: int
    entries: int
    manifests: tuple[Mapping[str, Any], ...] = ()


@frozen
class TagPlanned(Event):
    """What a tag held before any tag moves, null for no such tag: a resumed run rolls back to it."""

    name = "tag.planned"
    ref: str
    before: str | None
    after: str


@frozen
class TagEnded(Event):
    """A tag was moved, unchanged, put back, left or failed; again when it is rolled back. Shown, in the report.

    `--if-changed` asks for what tags hold.
    """

    name = "tag.ended"
    ref: str
    before: str | None
    after: str | None
    status: str


EVENTS: Mapping[str, type[Event]] = {
    cls.name: cls
    for cls in (
        *(RunStarted, HostReady, RunPlanned, RunEnded, RunConfirmed, StageStarted, StageEnded),
        *(InputsNamed, PlatformInputs, InputsHeld, InputsChanged, BatchStarted),
        *(
            AttemptStarted,
            StepStarted,
            LogLine,
            AttemptEnded,
            AttemptWaiting,
            AttemptGivenUp,
            RecordForgotten,
        ),
        *(PlatformEnded, ChildRead, SmokeTestWaiting, SmokeTestGivenUp, SmokeTestEnded, ContentEnded),
        *(IndexComposed, TagPlanned, TagEnded),
    )
}
"""Events by name."""


@frozen
class UnknownEvent(Event):
    """An event of another version: kept as it is."""

    name: str
    fields: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the fields as they were read."""
        return dict(self.fields)


class MalformedEvent(ValueError):
    """An event `name` whose fields are not those of its class."""

    def __init__(self, name: str) -> None:
        """Keep the name of the event."""
        super().__init__(f"a field of {name} is missing or of another type")
        self.name = name


def read_event(name: str, values: Mapping[str, Any]) -> Event:
    """Return an event from its journal form; MalformedEvent when a field is missing or of another type."""
    cls = EVENTS.get(name)
    if cls is None:
        return UnknownEvent(name=name, fields=dict(values))
    arguments = {}
    for item in fields(cls):  # type: ignore[arg-type]
        key = JSON_KEYS.get(item.name, item.name)
        if key not in values and (item.default is not MISSING or item.default_factory is not MISSING):
            continue
        value = values.get(key)
        if not _is_of_type(value, types_of(name)[item.name]):
            raise MalformedEvent(name)
        arguments[item.name] = tuple(value) if isinstance(value, list) else value
    return cls(**arguments)


@cache
def types_of(name: str) -> Mapping[str, Any]:
    """Return the types of an event's fields by their names."""
    return get_type_hints(EVENTS[name])


def _is_of_type(value: Any, hint: Any) -> bool:
    # A bool is an int to Python, and an int a float to JSON.
    if type(value) is hint or hint is Any or (hint is float and type(value) is int):
        return True
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return any(_is_of_type(value, one) for one in arguments)
    if origin is tuple:
        return isinstance(value, list) and all(_is_of_type(item, arguments[0]) for item in value)
    if origin is Mapping:
        return isinstance(value, dict) and all(_is_of_type(item, arguments[1]) for item in value.values())
    return False


@frozen
class JournalEntry:
    """An event and when it happened; `time` is aware and in UTC."""

    time: datetime
    event: Event

    def to_json(self) -> dict[str, Any]:
        """Return the journal's form. The fields stay apart: some events have a field `name` of their own."""
        time = self.time.isoformat(timespec="milliseconds")
        return {"time": time, "name": self.event.name, "fields": self.event.to_json()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> JournalEntry:
        """Read the journal's form; KeyError, TypeError or ValueError for anything else."""
        time, name, values = document["time"], document["name"], document["fields"]
        if not isinstance(name, str) or not isinstance(values, Mapping):
            raise TypeError("an entry is a time, a name and fields")
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            raise ValueError(f"'{time}' names no time zone")
        return cls(time=moment.astimezone(UTC), event=read_event(name, values))


class Emit(Protocol):
    """Records events."""

    def __call__(self, event: Event, /) -> None:
        """Record an event now."""
