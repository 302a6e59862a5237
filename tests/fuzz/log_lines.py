"""Logs of builds: BuildKit's status as JSON, plain logs, our own; as they are, or pasted from a CI system."""

import base64
import io
import json
import random
from collections.abc import Sequence
from typing import Any

from fuzz.harness import Target, mutated, mutated_json
from multibuild.buildx.prune_lost_snapshot import _RECORD
from multibuild.buildx.rawjson_progress import (
    MAX_OPEN_STEPS,
    MAX_WARNINGS,
    Progress,
)
from multibuild.buildx.read_log.explain import Explanation, explain_log
from multibuild.buildx.split_progress import BatchProgress
from multibuild.buildx.vertex import TAIL_LINES
from multibuild.failures.classes import CLASSES
from multibuild.failures.classify import Failure, classify, failure_of, wrong_base
from multibuild.failures.evidence import Evidence
from multibuild.failures.shown import (
    EVIDENCE_LINES,
    MAX_CAUSE_CHARACTERS,
    MAX_CAUSES,
    MAX_SHOWN_CHARACTERS,
)
from multibuild.terminal import printable

MAX_CASE_BYTES = 1 << 20
"""What repeats what was repeated grows to a hundred MB."""

DIGEST = "sha256:" + "a1" * 32
MESSAGES = (
    'process "/bin/sh -c make" did not complete successfully: exit code: 137',
    'process "', '" did not complete successfully: exit code: ' + "9" * 5000, "exec /x: exec format error",
    "starting container process caused: exec: ", "unexpected status from HEAD request to ", "blob sha256:", "no builder ",
    "Retry-After: " + "9" * 400, "failed to push x: 503 Service Unavailable", "context canceled", "InvalidBaseImagePlatform: ",
    'pulled with platform "linux/arm64", expected "linux/amd64"', "qemu: uncaught target signal 11", "\ud800", "\x1b[31m",
)  # fmt: skip
PREFIXES = (
    b"2026-01-01T00:00:00.0000000Z ",
    b"    ",
    b"\x1b[36m",
    b"##[error]",
    b"build\tUNKNOWN STEP\t",
    b"[12:00:01] ",
    b"> ",
)
WORDS = (
    b"#1 ", b"#1 ERROR: ", b"ERROR: ", b"------\n", b"--- ", b"[t 1/2] RUN ", b"[t] exporting to image", b'{"vertexes":[', b"]",
    b"------\n > [t 1/2] RUN make:\n", b"=> ERROR [t 1/2] RUN make  1.2s", b"Step 1/2 : RUN make\n", b"STEP 1/2: RUN make\n",
    b"The command '/bin/sh -c make' returned a non-zero code: 2\n", b"INFO[0001] RUN make\n", b"linux/arm64 | 1/2 RUN make\n", b"&gt; ",
    b"executor failed running [/bin/sh -c make]: exit code: 2", b"--------------------\n   7 | >>> RUN make\n", b"\x1b[1A", b"##[error]",
    b"pushing manifest for x@" + DIGEST.encode(), b"ERROR: target t: ", b"\n", b"\r", b"#" + b"9" * 5000 + b" ",
)  # fmt: skip


def _make(generator: random.Random, seeds: Sequence[bytes]) -> bytes:
    if generator.random() < 0.5:
        lines = [
            json.dumps(mutated_json(generator, document, changes=2)).encode()
            for document in _documents(generator)
        ]
        log = b"\n".join(
            [*lines, b"ERROR: target t: " + generator.choice(MESSAGES).encode("utf-8", "replace")]
        )
    else:
        log = mutated(generator, generator.choice(seeds), words=WORDS)
    if generator.random() < 0.3:
        prefix = generator.choice(PREFIXES)
        log = b"\n".join(prefix + line for line in log.split(b"\n"))
    return log[:MAX_CASE_BYTES]


def _documents(generator: random.Random) -> list[dict[str, Any]]:
    name = generator.choice(
        ("[t 1/2] RUN make", "[u] exporting to image", "[t] exporting to image", "[t internal] load")
    )
    text = generator.choice(MESSAGES) * generator.choice((1, 1, 20))
    vertex = {"digest": DIGEST, "name": name, "inputs": ["a"], "started": "2026-01-01T10:00:00Z"}
    data = base64.b64encode(text.encode("utf-8", "replace")).decode()
    many = [
        {"digest": str(number), "name": f"[t {number}/9] RUN x"}
        for number in range(generator.choice((1, 1, 600)))
    ]
    return [
        {"vertexes": [vertex]},
        {"vertexes": many},
        {"logs": [{"vertex": DIGEST, "data": data}], "warnings": [{"short": data}]},
        {
            "statuses": [
                {
                    "id": f"pushing manifest for x@{DIGEST}",
                    "vertex": DIGEST,
                    "completed": "2026-01-01T10:00:01Z",
                }
            ]
        },
        {"vertexes": [{**vertex, "completed": "2026-01-01T10:00:02.5Z", "error": text}]},
    ]


def _run(case: bytes) -> None:
    _check_explanation(explain_log(io.BytesIO(case)))
    written: list[str] = []
    progress = {name: Progress(written.append, written.append, written.append) for name in ("t", "u")}
    batch = BatchProgress(progress)
    for line in case.split(b"\n"):
        for target, digest in batch.feed(line):
            assert target in progress
            assert digest.startswith("sha256:")
    for one in progress.values():
        one.finish()
        evidence = one.evidence()
        assert len(evidence.tail) <= TAIL_LINES
        assert len(one.steps()) <= MAX_OPEN_STEPS
        json.dumps([step.as_json() for step in one.steps()], allow_nan=False)
        assert len(one.warnings) <= MAX_WARNINGS
        for warning in one.warnings:
            wrong_base(warning)
        _check(classify(evidence))
        _check(
            classify(
                Evidence(message=evidence.message, step="[1/2] RUN apt-get x", tail=tuple(written[-50:]))
            )
        )
    "\n".join(written).encode()  # what a log file takes


def _check_explanation(explanation: Explanation) -> None:
    assert (explanation.failure is None) == (explanation.outcome in {"succeeded", "no-log"})
    if explanation.failure is not None:
        _check(explanation.failure)
    shown = f"{explanation.step}{[other.step for other in explanation.others]}"
    assert printable(shown) == shown


def _check(failure: Failure) -> None:
    assert failure.kind == failure_of(failure.kind.name, "").kind
    assert failure.kind in CLASSES
    assert failure.retry_after is None or 0 <= failure.retry_after < 1e9
    assert len(failure.evidence) < (EVIDENCE_LINES + MAX_CAUSES + 3) * (MAX_SHOWN_CHARACTERS + 10)
    assert len(failure.cause) < MAX_CAUSE_CHARACTERS + 10
    _RECORD.findall(failure.evidence)


TARGETS = (Target(name="log-lines", make=_make, run=_run),)
