"""The journal of a run, to fold and to render."""

from datetime import UTC, datetime, timedelta

from multibuild.record.events import Event

START = datetime(2026, 11, 24, 15, 45, 1, tzinfo=UTC)
CHILD = "sha256:" + "a" * 64
INDEX = "sha256:" + "b" * 64


def plan(*platforms, optional=()):
    rows = [
        {"platform": name, "required": name not in optional, "emulated": name != "linux/amd64", "node": "n", "slug": "-"}
        for name in platforms
    ]  # fmt: skip
    return {
        "image": "r.example/app",
        "tags": ["1", "latest"],
        "destinations": [],
        "fingerprint": "f" * 64,
        "platforms": rows,
    }


def events(*told):
    """Each is (seconds after the start, name, fields)."""
    return [
        Event(time=START + timedelta(seconds=after), name=name, fields=fields) for after, name, fields in told
    ]


def attempt(platform, number, began, ended, **fields):
    log = f"logs/{platform.replace('/', '-')}.{number}.log"
    same = {"platform": platform, "number": number, "log": log}
    return (
        (began, "attempt.started", {**same, "node": "n"}),
        (ended, "attempt.ended", {**same, "seconds": ended - began, **fields}),
    )


def built(platform, began, ended):
    steps = [{"name": "RUN make", "seconds": 2.0, "cached": False}]
    fields = {"platform": platform, "status": "succeeded", "digest": CHILD, "seconds": ended - began}
    return (
        *attempt(platform, 1, began, ended, outcome="ok"),
        (ended, "platform.ended", {**fields, "emulated": True, "node": "n", "reason": None, "steps": steps}),
    )


FAILURE = {
    "outcome": "failed",
    "class": "step-failed",
    "retry": "permanent",
    "evidence": "cc: \x1b[31merror\nno <b>luck</b> | `here`",
    "hint": "look at the step",
}


def broken(platform, began, ended):
    fields = {"platform": platform, "status": "failed", "digest": None, "seconds": ended - began, "steps": []}
    return (*attempt(platform, 1, began, ended, **FAILURE), (ended, "platform.ended", fields))


def published(at):
    index = {
        "digest": INDEX,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "size": 900,
        "entries": 2,
    }
    tag = {"ref": "r.example/app:latest", "before": None, "after": INDEX, "status": "moved"}
    return ((at, "index.composed", index), (at, "tag.ended", tag))


STARTED = (0, "run.started", {"environment": {"multibuild": "0.1"}})
