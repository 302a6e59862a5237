"""Sample runs: events of journals, and reports folded from them."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from fakes.images import OCI_INDEX

from multibuild.journal.entry import JournalEntry, read_event
from multibuild.report.images import make_run_report
from multibuild.report.report import make_report

START = datetime(2026, 11, 24, 15, 45, 1, tzinfo=UTC)
CHILD = "sha256:" + "a" * 64
INDEX = "sha256:" + "b" * 64


def plan(*platforms, optional=()):
    rows = [
        {"platform": name, "required": name not in optional, "emulated": name != "linux/amd64", "node": "n", "slug": "-"}
        for name in platforms
    ]  # fmt: skip
    return {"image": "r.example/app", "tags": ["1", "latest"], "fingerprint": "f" * 64, "platforms": rows}


def events(*rows):
    """Return journal entries from (seconds after the start, name, fields as the journal has them)."""
    return [
        JournalEntry(time=START + timedelta(seconds=after), event=read_event(name, fields))
        for after, name, fields in rows
    ]


def attempt(platform, number, began, ended, **fields):
    log = f"logs/{platform.replace('/', '-')}.{number}.log"
    same = {"platform": platform, "number": number, "log": log}
    return (
        (began, "attempt.started", {**same, "node": "n"}),
        (ended, "attempt.ended", {**same, "seconds": ended - began, **fields}),
    )


def built(platform, began, ended, number=1):
    steps = [{"name": "RUN make", "seconds": 2.0, "cached": False}]
    fields = {"platform": platform, "status": "succeeded", "digest": CHILD, "seconds": ended - began}
    return (
        *attempt(platform, number, began, ended, outcome="ok"),
        (ended, "platform.ended", {**fields, "emulated": True, "node": "n", "reason": None, "steps": steps}),
    )


def retried(platform, **failure):
    """Return the events of a platform that failed from 1 s to 2 s and was built from 3 s to 4 s."""
    return (*attempt(platform, 1, 1, 2, **failure), *built(platform, 3, 4, number=2))


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
    index = {"digest": INDEX, "mediaType": OCI_INDEX, "size": 900, "entries": 2}
    tag = {"ref": "r.example/app:latest", "before": None, "after": INDEX, "status": "moved"}
    return ((at, "index.composed", index), (at, "tag.ended", tag))


STARTED = (0, "run.started", {"environment": {"multibuild": "0.1"}})

RUN = "20261124-154501-3f2a"


def report_of(document, *rows):
    return make_report(RUN, document, events(*rows))


NAMES = ("linux/amd64", "linux/arm/v7", "linux/mips64le")


def partial_run():
    """Return the report of three platforms, published without the last, an optional one that failed."""
    rows = (*built(NAMES[0], 1, 4), *built(NAMES[1], 1, 64), *broken(NAMES[2], 2, 9), *published(70))
    document = plan(*NAMES, optional={NAMES[2]})
    return report_of(document, STARTED, *rows, (71, "run.ended", {"status": "succeeded"}))


def older_report():
    """Return the report of `partial_run` as an older version wrote it, without some keys."""
    report = partial_run()
    del report["error"]
    for one in (attempt for row in report["platforms"] for attempt in row["attempts"]):
        del one["began"], one["hint"]
        if one["outcome"] == "ok":
            del one["class"], one["retry"], one["evidence"]
    return report


TRACE = "/app is amd64: `COPY --from=build` in line 9 (layer 2 of 2), built by line 4; line 3: <why> [a-rule]"


def traced_run(count=1):
    """Return a report of a failed proof whose files were traced."""
    name = "linux/arm64"
    origins = [{"path": f"/app{number}", "text": TRACE, "layer": 2, "line": 9} for number in range(count)]
    foreign = [f"/app{number}: amd64" for number in range(count)]
    ended = {"platform": name, "status": "succeeded", "steps": [], "digest": CHILD, "seconds": 1.0}
    content = {
        "platform": name,
        "status": "failed",
        "checked": 1,
        "foreign": foreign,
        "detail": "what it starts",
    }
    return report_of(
        plan(name),
        STARTED,
        (1, "platform.ended", ended),
        (2, "content.ended", {**content, "origins": origins}),
    )


HOSTILE = (
    "\x1b[2J<script>alert(1)</script>|`x`\n# head\n```\n![i](http://e) @team \"'&{0}{title} </svg></style>"
    + "w" * 300
)


def hostile_report():
    """Return a report in which every text of a build, a registry or a config is an attack."""
    name = "linux/amd64"
    report = report_of(plan(name, "linux/arm64"), STARTED, *broken(name, 1, 2), *published(3))
    report |= dict.fromkeys(("image", "status", "run", "started", "fingerprint"), HOSTILE)
    report["environment"] = {HOSTILE: HOSTILE, "emulators": {HOSTILE: HOSTILE}}
    report["error"] = {"message": HOSTILE, "hint": HOSTILE, "exit_code": 1}
    report["index"]["digest"] = report["index"]["mediaType"] = HOSTILE
    platform = {"os": HOSTILE, "architecture": HOSTILE, "os.version": HOSTILE}
    entry = {"digest": HOSTILE, "size": 1, "platform": platform, "annotations": {HOSTILE: HOSTILE}}
    attestation = {**entry, "annotations": {"vnd.docker.reference.digest": HOSTILE}}
    report["index"]["manifests"] = [entry, entry, attestation]
    report["published"][0] |= {"ref": HOSTILE, "status": HOSTILE, "before": HOSTILE}
    report["stages"] = [{"name": HOSTILE, "seconds": 1.0, "began": 0.0}]
    row = report["platforms"][0]
    row |= {"digest": HOSTILE, "node": HOSTILE, "reason": HOSTILE}
    row["attempts"][0] |= dict.fromkeys(("outcome", "class", "retry", "evidence", "hint", "log"), HOSTILE)
    row["waits"] = [{"began": 1.0, "seconds": 1.0, "reason": HOSTILE, "number": 1}]
    row["test"] = {"status": "failed", "seconds": 0.0, "detail": HOSTILE}
    row["content"] = {"status": "failed", "checked": 1, "foreign": [HOSTILE] * 9}
    row["content"]["origins"] = [{"path": HOSTILE, "text": HOSTILE, "layer": 1}] * 9
    report["platforms"].append({**report["platforms"][1], "platform": HOSTILE, "status": HOSTILE})
    step = {"platform": name, "name": f"[1/2] RUN {HOSTILE}", "seconds": 1.0, "cached": False}
    report["steps"] = [{**step, "began": 1.0, "vertex": HOSTILE, "base": HOSTILE}]
    return report


def step(name, began, seconds, *, vertex, base="", cached=False):
    started = (START + timedelta(seconds=began)).isoformat()
    same = {"name": name, "seconds": seconds, "cached": cached}
    return {**same, "started": started, "vertex": vertex, "base": base}


def compiled(platform, slowness, *, began=2.0, native_base="B"):
    """Return events of a platform with a shared step, a cross-compiled one, an emulated one (unless slowness is 1), and a push."""
    make, base = 4.0 * slowness, native_base if slowness == 1 else f"B {platform}"
    last = began + 3 + make
    steps = [
        step("[tools 2/2] RUN fetch", began, 1.0, vertex="shared", base=native_base),
        step(f"[cross 2/2] RUN TARGET={platform} cc", began + 1, 2.0, vertex=f"cross {platform}", base=native_base),
        step(f"[stage-1 2/3] RUN make {platform}", began + 3, make, vertex=f"make {platform}", base=base),
        step("[stage-1 3/3] RUN tidy", last, 0.02 * slowness, vertex=f"tidy {platform}", base=base),
        step("[stage-1 1/3] FROM base", began, 0.1, vertex=base, base=base, cached=True),
        step("exporting to image", last + 1, 1.0, vertex=f"export {platform}"),
    ]  # fmt: skip
    ended = last + 2.5
    fields = {"platform": platform, "status": "succeeded", "digest": CHILD, "seconds": ended - began}
    return (
        *attempt(platform, 1, began, ended, outcome="ok"),
        (ended, "platform.ended", {**fields, "emulated": slowness != 1, "node": "n", "steps": steps}),
        (ended, "child.read", {"platform": platform, "manifest": CHILD, "bytes": 12_345_678}),
        (ended, "test.ended", {"platform": platform, "status": "passed", "seconds": 0.4, "detail": ""}),
        (ended, "content.ended", {"platform": platform, "status": "passed", "checked": 12, "foreign": []}),
    )


def run_of(count):
    """Return the report of `count` platforms, the first native, each later one slower, published."""
    names = ["linux/amd64", *(f"linux/arm64/v{number}.0" for number in range(2, count + 1))]
    stages = [
        (0, "stage.started", {"stage": "setup"}),
        (1.5, "stage.ended", {"stage": "setup", "seconds": 1.5}),
        (1.5, "stage.started", {"stage": "build"}),
        (40, "stage.ended", {"stage": "build", "seconds": 38.5}),
    ]
    rows = [row for number, name in enumerate(names) for row in compiled(name, 1 + number / 4)]
    entries = [
        {"digest": CHILD[:-2] + f"{number:02}", "size": 669, "platform": dict(zip(("os", "architecture", "variant"), name.split("/"), strict=False))}
        for number, name in enumerate(names)
    ]  # fmt: skip
    (at, name, index), tag = published(40)
    end = ((at, name, {**index, "manifests": entries}), tag, (42, "run.ended", {"status": "succeeded"}))
    return report_of(plan(*names), STARTED, *stages, *rows, *end)


SIX = ("linux/amd64", "linux/arm64", "linux/arm/v7", "linux/mips64le", "linux/ppc64le", "linux/s390x")


def entries_of(image, *rows):
    return [replace(entry, image=image) for entry in events(*rows)]


def published_image(name, at):
    """Return the events of an index and its two tags."""
    (_, _, index), (_, _, tag) = published(at)
    digest = "sha256:" + hashlib.sha256(name.encode()).hexdigest()
    tags = [
        {**tag, "ref": f"r.example/team/{name}:{tag_name}", "after": digest}
        for tag_name in ("1.4.2", "latest")
    ]
    return (
        (at, "index.composed", {**index, "digest": digest, "entries": 6}),
        *((at + 1, "tag.ended", one) for one in tags),
    )


def many_images(count=20, *, together="image"):
    """Return the report of `count` images of six platforms: a few failed, was skipped, was retried, or is optional.

    `together` is whether what succeeded was published ("image"), or nothing ("all").
    """
    names = [f"service-{number:02}" for number in range(1, count + 1)]
    images = [{"name": name, **plan(*SIX, optional={SIX[3]})} for name in names]
    journal = entries_of("", STARTED)
    for number, name in enumerate(names):
        began = 2.0 + 7 * (number % 10)
        rows = [
            row for place, one in enumerate(SIX) for row in compiled(one, 1 + place / 2, began=began + place)
        ]
        if number == 6:
            rows = [row for row in rows if row[2]["platform"] != SIX[4]]
            rows += broken(SIX[4], began, began + 9)
        elif number == 7:
            skipped: dict[str, object] = {
                "status": "skipped",
                "digest": None,
                "seconds": 0.0,
                "steps": [],
                "reason": "service-07 failed",
            }
            rows = [(began, "platform.ended", {"platform": one, **skipped}) for one in SIX]
        elif number == 11:
            rows = [row for row in rows if row[2]["platform"] not in SIX[2:4]]
            rows += retried(SIX[2], **FAILURE)
            rows += broken(SIX[3], began, began + 4)
        stage = {"stage": "build"}
        journal += entries_of(
            name,
            (began, "stage.started", stage),
            *rows,
            (began + 30, "stage.ended", {**stage, "seconds": 30.0}),
        )
        if together == "image" and number not in {6, 7}:
            journal += entries_of(name, *published_image(name, 98))
    error = {"message": f"service-07: {SIX[4]} (step-failed)", "hint": "mend the step", "exit_code": 4}
    journal += entries_of("", (100, "run.ended", {"status": "failed", "error": error}))
    return make_run_report(RUN, {"schema": 2, "images": images}, journal)
