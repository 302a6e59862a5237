"""The page of `report.json`: every key of a report, each with its meaning.

A key without a meaning here is an error, so that none is added without documentation.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from docs.generator.markdown import code, page, table
from multibuild.journal.entry import JournalEntry, read_event
from multibuild.prove.origin.content_origin import Cause, ContentOrigin, TracedLine
from multibuild.report.images import RUN_WIDE
from multibuild.report.report import make_report

MEANINGS: Final = {
    "schema": "the version of this format: 1, or 2 for several images; keys may be added to it, those here stay",
    "run": "the run's id",
    "status": "`succeeded`, `partial` (an optional platform is missing), `failed`, `interrupted` or `running`",
    "image": "the repository, without tag",
    "tags": "the tags asked for",
    "started": "start time, RFC 3339",
    "seconds": "how long the run took",
    "fingerprint": "digest of everything that goes into the plan",
    "index": "what was published; null if the run did not get that far",
    "index.digest": "its digest: what to sign, deploy and compare",
    "index.mediaType": "OCI image index, or Docker manifest list",
    "index.size": "bytes of the index itself",
    "index.entries": "how many entries it has, attestations and `also_as` included",
    "index.manifests": "its descriptors, as published",
    "signed": "one for each destination, where the config has `sign`",
    "signed[].repository": "the repository",
    "signed[].digests": "what has a signature there: the index, then its images",
    "signed[].new": "those of them that had no valid signature before this run",
    "published": "one for each tag and destination",
    "published[].ref": "the tag, with registry and repository",
    "published[].before": "the digest it held before; null when there was no such tag",
    "published[].after": "the digest it holds now, or would hold if `planned`",
    "published[].status": "`moved`, `unchanged`, `put-back` (a later one failed), `left` (new, and the registry cannot"
    " delete tags), `failed`, or `planned`: the run was killed meanwhile, and it holds one of both",
    "platforms": "one for each platform, in the order of the config",
    "platforms[].platform": "in normal form",
    "platforms[].status": "`succeeded`, `failed`, `reused` (by `--resume`), `carried` (from an earlier index),"
    " `skipped` or `cancelled`",
    "platforms[].required": "whether its failure fails the run",
    "platforms[].digest": "the child as pushed: a manifest, or the small index that holds it and its attestations",
    "platforms[].manifest": "the image manifest itself",
    "platforms[].bytes": "of the image: manifest, config and compressed layers",
    "platforms[].seconds": "from its first attempt to its end, waits included",
    "platforms[].emulated": "whether an emulator ran its steps",
    "platforms[].node": "the builder it was built on",
    "platforms[].reason": "why it has its status, where there is more to say",
    "platforms[].attempts": "each attempt",
    "platforms[].attempts[].number": "from 1",
    "platforms[].attempts[].node": "the builder it ran on",
    "platforms[].attempts[].seconds": "how long it took",
    "platforms[].attempts[].began": "seconds after the run began",
    "platforms[].attempts[].outcome": "`ok`, `failed`, `timeout`, `stalled` or `cancelled`",
    "platforms[].attempts[].class": "the [failure class](failures.md); null when it did not fail",
    "platforms[].attempts[].retry": "whether that class is retried",
    "platforms[].attempts[].evidence": "the lines that decided",
    "platforms[].attempts[].hint": "what to do",
    "platforms[].attempts[].log": "the attempt's log, relative to the run's directory",
    "platforms[].attempts[].then": "what followed the failure: another attempt and after how long, or none",
    "platforms[].waits": "the waits between attempts",
    "platforms[].waits[].number": "of the attempt that failed",
    "platforms[].waits[].began": "seconds after the run began",
    "platforms[].waits[].seconds": "how long",
    "platforms[].waits[].reason": "why another attempt is made",
    "platforms[].test": "the configured test",
    "platforms[].test.status": "`passed`, `failed` or `skipped`",
    "platforms[].test.seconds": "how long it took",
    "platforms[].test.class": "the [failure class](failures.md) of what kept the test from running to its end, as"
    " when the builder went away; absent when the test itself failed",
    "platforms[].test.detail": "what went wrong",
    "platforms[].test.hint": "what to do, where the test could not be run",
    "platforms[].content": "the proof that its programs are of its platform",
    "platforms[].content.status": "`passed`, `failed` or `skipped`",
    "platforms[].content.checked": "how many programs were looked at",
    "platforms[].content.foreign": "those of another platform",
    "platforms[].content.detail": "what went wrong",
    "platforms[].content.origins": "of a failed proof: where its foreign files come from, those that the image starts"
    " first, 20 at most; what is not certain is left out",
    "platforms[].content.origins[].path": "the file",
    "platforms[].content.origins[].text": "the sentence that the terminal shows",
    "platforms[].content.origins[].layer": "the number of its layer, from 1",
    "platforms[].content.origins[].created_by": "what the image's history says of that layer, without build arguments",
    "platforms[].content.origins[].dockerfile": "the Dockerfile that the lines are of",
    "platforms[].content.origins[].instruction": "the instruction of the last stage that put it there",
    "platforms[].content.origins[].line": "its line",
    "platforms[].content.origins[].source_line": "for a COPY from another stage, the line there that made the file",
    "platforms[].content.origins[].stage_line": "the FROM of that stage, or of the base image that has the file",
    "platforms[].content.origins[].image": "the image it was copied from, or the base image that has it or whose"
    " ONBUILD put it there",
    "platforms[].content.origins[].likely": "true where `source_line` is no more than likely",
    "platforms[].content.origins[].rule": "the [lint rule](lint.md) that explains it",
    "platforms[].content.origins[].rule_line": "the line of that finding",
    "platforms[].content.origins[].message": "what lint says",
    "platforms[].gates": "the gates that ran, in the order of their ends; absent where the config has none",
    "platforms[].gates[].name": "of the gate",
    "platforms[].gates[].status": "`passed`, `failed` (it says no) or `not-run` (it gave no answer)",
    "platforms[].gates[].required": "whether the child is held back without a yes",
    "platforms[].gates[].seconds": "how long its program took",
    "platforms[].gates[].reason": "why, in a line; of a limit on the size also where it passed",
    "platforms[].gates[].detail": "the last lines of what the program printed, where it did not pass",
    "platforms[].gates[].hint": "what to do, where it could not be run",
    "platforms[].gates[].log": "what the program printed, relative to the run's directory",
    "steps": "the steps of each platform's last attempt",
    "steps[].platform": "the platform",
    "steps[].name": "as the Dockerfile has it",
    "steps[].seconds": "how long it took",
    "steps[].cached": "whether it came out of the cache",
    "steps[].began": "seconds after the run began",
    "steps[].vertex": "BuildKit's digest of the step: platforms that have the same one share its work",
    "steps[].base": "the vertex of the base image of its file system",
    "steps[].ran_before": "true where an earlier run did the same work, and this one again; absent otherwise",
    "savings": "what the build time could have been without; absent where nothing shows 5 seconds or more. They"
    " overlap: ways out, not a sum",
    "savings[].way": "`cross-compile`, `native-node` or `cache`",
    "savings[].subject": "the stage to cross-compile, or the platform to give a machine; else empty",
    "savings[].seconds": "of build time, all platforms together, at most",
    "savings[].basis": "`measured` (each step beside its native one), `estimated` (some steps by this run's slow-down)"
    " or `recorded` (an earlier run made these steps)",
    "savings[].steps": "how many steps that is about",
    "savings[].change": "the line to write in the Dockerfile, the builder's profile or the config",
    "stages": "the stages of the run",
    "stages[].name": "`setup`, `build`, `test`, `publish` and so on",
    "stages[].seconds": "how long it took",
    "stages[].began": "seconds after the run began",
    "environment": "versions of multibuild, docker, buildx, BuildKit; the builder; the emulator of each platform",
    "error": "what ended the run, when something did",
    "error.message": "the error",
    "error.hint": "the next step",
    "error.exit_code": "the [exit code](exit-codes.md) of the command",
}

_OPEN: Final = frozenset({"environment", "index.manifests", "platforms[].content.foreign"})
"""Keys whose content is described elsewhere."""


def report_page() -> str:
    """Return the page; KeyError names a key of the report that has no meaning here."""
    return page(
        "report.json",
        "`multibuild report --json` prints it, `--report FILE` of `all` and `build` writes it, and it is in the run's"
        " directory as `report.json`. Times are in seconds, sizes in bytes.",
        table(("key", "meaning"), ((code(key), _meaning(key)) for key in report_keys())),
        "## Several images",
        "A run of a file with `images` has `schema` 2: "
        + ", ".join(code(key) for key in RUN_WIDE)
        + " are the"
        " run's, and every other key is in a list `images`, once for each image, with its `name` and a `status` of its"
        " own. An image is `succeeded` or `partial` when its tags are in place; `built` when its platforms are complete"
        " and its tags did not move, as another image failed; `failed` or `interrupted` otherwise. A run is `partial`"
        " if some of its images are published and others are not. Logs are in `images/NAME/logs`.",
    )


def _meaning(key: str) -> str:
    if key not in MEANINGS:
        raise KeyError(f"report.json has a key {key}: add its meaning to {Path(__file__).name}")
    return MEANINGS[key]


def report_keys() -> list[str]:
    """Return the path of every key that a report can have."""
    return list(dict.fromkeys(key_paths(_sample())))


def key_paths(value: Any, path: str = "") -> Iterator[str]:
    """Yield the path of every key of a report, as the page has it."""
    if path in _OPEN:
        return
    if isinstance(value, list):
        for item in value:
            yield from key_paths(item, f"{path}[]")
    if isinstance(value, dict):
        for key, item in value.items():
            inner = f"{path}.{key}".lstrip(".")
            yield inner
            yield from key_paths(item, inner)


_ORIGIN: Final = ContentOrigin(
    path="/app",
    architecture="amd64",
    layer=2,
    layers=2,
    created_by="COPY /app /app",
    file="Dockerfile",
    lines=(TracedLine(instruction="COPY --from=build", line=9), TracedLine(instruction="RUN make", line=4)),
    source="likely",
    name="debian",
    stage_line=1,
    cause=Cause(rule="target-arg-default", line=3, message="…"),
)


_GATE: Final = ("reason", "detail", "hint", "log")


def _sample() -> dict[str, Any]:
    """Return the report of a run in which everything happens once."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    platform = {"platform": "linux/arm64"}
    step = {
        "name": "[2/2] RUN make",
        "seconds": 9.0,
        "cached": False,
        "vertex": "…",
        "base": "…",
        "ran_before": True,
    }
    failure = {
        "outcome": "failed",
        "class": "network",
        "retry": "transient",
        "evidence": "…",
        "hint": "…",
        "log": "…",
    }
    records: list[tuple[str, dict[str, Any]]] = [
        ("run.started", {"environment": {}}),
        ("stage.started", {"stage": "build"}),
        ("attempt.started", {**platform, "number": 1, "node": "n", "log": "…"}),
        ("attempt.ended", {**platform, "number": 1, "seconds": 1.0, **failure}),
        ("attempt.waiting", {**platform, "number": 1, "seconds": 5.0, "reason": "…"}),
        ("platform.ended", {**platform, "status": "failed", "reason": "…", "steps": [step]}),
        ("test.ended", {**platform, "status": "failed", "class": "network", "detail": "…", "hint": "…"}),
        ("content.ended", {**platform, "status": "failed", "detail": "…", "origins": [_ORIGIN.to_json()]}),
        ("gate.ended", {**platform, "gate": "scan", "status": "failed", **dict.fromkeys(_GATE, "…")}),
        ("stage.ended", {"stage": "build", "seconds": 1.0}),
        ("index.composed", {"digest": "…", "mediaType": "…", "size": 1, "entries": 1, "manifests": []}),
        ("image.signed", {"repository": "…", "digests": [], "new": []}),
        ("tag.ended", {"ref": "…", "before": None, "after": "…", "status": "moved"}),
        ("run.ended", {"status": "failed", "error": {"message": "…", "hint": "…", "exit_code": 4}}),
    ]
    events = [
        JournalEntry(time=begin + timedelta(seconds=number), event=read_event(name, fields))
        for number, (name, fields) in enumerate(records)
    ]
    return make_report("run", {"platforms": [platform]}, events)
