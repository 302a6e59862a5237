"""What a build prints may be meant to stop who reads it: long lines, endless steps, values of no sense."""

import base64
import io
import json
import time

import pytest

from multibuild.buildx.rawjson_progress import (
    MAX_NAME_CHARACTERS,
    MAX_OPEN_STEPS,
    MAX_WARNINGS,
    Progress,
)
from multibuild.buildx.read_log.explain import explain_log
from multibuild.buildx.read_log.steps import MAX_STEPS, StepBook
from multibuild.buildx.split_progress import BatchProgress
from multibuild.buildx.vertex import TAIL_LINES
from multibuild.failures.classify import classify, wrong_base
from multibuild.failures.evidence import Evidence
from multibuild.failures.signatures import MESSAGE_SIGNATURES, OUTPUT_SIGNATURES

MAX_CPU_S = 5.0
"""Ten times what each takes, or more; before, some took minutes. Of a megabyte."""

LONG_BYTES = 1 << 18
"""Enough to be far over the limit if something is tried at every place."""

STARTS = (
    "starting container process caused: exec: ", "blob sha256:", "blob unknown", "no builder ", "invalid argument ", "target stage ",
    "failed to resolve source metadata for ", "unexpected status from GET request to ", "exec ", 'process "', "x509", " ", "9", "\n",
    "unknown blob ", 'InvalidBaseImagePlatform: pulled with platform "', "Retry-After: ", "[1 1/1] RUN ", "--- [a] x: ",
)  # fmt: skip


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("step", ["", "[1/2] RUN make", "exporting to image"])
def test_a_long_line_is_classified_in_good_time(start, step):
    text = (start * (1 << 20))[: 1 << 20]
    began = time.process_time()
    classify(Evidence(message=text, step=step and step + text, tail=(text,) * TAIL_LINES))
    wrong_base(text)
    assert time.process_time() - began < MAX_CPU_S


def test_a_row_of_the_table_bounds_what_stands_between_its_words():
    assert [row.name for row in (*MESSAGE_SIGNATURES, *OUTPUT_SIGNATURES) if ".*" in row.pattern] == []


@pytest.mark.parametrize("length", [100, 2000, 60_000])
def test_the_words_at_both_ends_of_a_long_message_decide(length):
    command = "x " * length
    message = f'failed to solve: process "/bin/sh -c {command}" did not complete successfully: exit code: 137'
    assert classify(Evidence(message=message, step="[1/2] RUN x", tail=())).kind.name == "out-of-memory"
    pushed = f"failed to push {'a' * length}: unexpected status: 503 Service Unavailable"
    assert (
        classify(Evidence(message=pushed, step="exporting to image", tail=())).kind.name
        == "registry-unavailable"
    )


@pytest.mark.parametrize("code", ["9" * 5000, "٣", "-1", "", "1e9", "0x89"])
def test_an_exit_code_of_no_sense_is_the_commands_own_failure(code):
    message = f'process "x" did not complete successfully: exit code: {code}'
    assert classify(Evidence(message=message, step="[1/2] RUN x", tail=())).kind.name == "step-failed"


def test_a_wait_of_no_sense_is_bounded():
    failure = classify(Evidence(message="429 Too Many Requests, Retry-After: " + "9" * 400, step="", tail=()))
    assert failure.retry_after is not None
    assert failure.retry_after < 1e9


HOSTILE = (
    b"#1 ", b"#1 ERROR: x\n", b"--- [a] 1.1s ", b"--- x: ", b"#7 [t] RUN x\n#7 0.1 y\n", b"ERROR: failed to resolve source metadata for ",
    b"\r", b"\r\n", b'{"vertexes":', b"[", b"------\n > [a 1/2] RUN x\n", b"--------------------\n", b"=> ERROR [a 1/2] RUN x\n",
    b"Step 1/2 : RUN x\n", b'ERROR: failed to solve: process "x\n', b"> ", b"&gt;", b"\x1b[1A", b"\x1b[31m", b"[0m", b"<pre>",
    b"section_start:1:x\r", b"linux/arm64 | 1/2 RUN x\n", b"The command '/bin/sh -c ", b"executor failed running [", b"failed to solve",
    b"2024-01-02T03:04:05Z ", b"| ", b"#1 0.1 error: fatal: killed\n", b"error: fatal: connection reset by peer timed out\n",
    b"a | b\n", b"#1 sha256:", b"\xff\xfe", b"\x00", b'{"log": "x"}\n', b'STEP 1: RUN x\nError: building at STEP "', b"\xc3\x28",
)  # fmt: skip
"""Begins, ends and middles of what the readers of a log look for."""


@pytest.mark.parametrize("piece", HOSTILE, ids=repr)
def test_hostile_text_is_explained_in_good_time(piece):
    log = (piece * LONG_BYTES)[:LONG_BYTES]
    for text in (log, b"#3 [t] RUN x\n#3 0.1 " + log, b"Step 1/2 : RUN x\n" + log, b"------\n" + log):
        began = time.process_time()
        explain_log(io.BytesIO(text + b"\n#3 ERROR: x\n"))
        assert time.process_time() - began < MAX_CPU_S * LONG_BYTES / (1 << 20)


def test_ever_new_steps_take_bounded_memory():
    book = StepBook()
    for number in range(20 * MAX_STEPS):
        step = book.open(str(number), f"[{number}/9] RUN x")
        if number % 3 == 0:
            book.fail(step, "error")
    assert len(list(book)) <= MAX_STEPS


def nested(depth):
    return json.loads("[" * depth + "]" * depth)


@pytest.mark.parametrize(
    "document",
    [
        {"vertexes": [{"digest": ["list"], "name": {"a": 1}}] * 2},
        {"vertexes": [{"digest": nested(900), "name": nested(900), "error": nested(900)}]},
        {"vertexes": [{"digest": "d", "name": "[t] x", "error": "\ud800", "started": "\udfff"}]},
        {"vertexes": [{"digest": "d", "inputs": [None, {}, nested(900)] * 1000}]},
        {
            "vertexes": [
                {"digest": "d", "started": "9999-12-31T23:59:59Z", "completed": "0001-01-02T00:00:00+14:00"}
            ]
        },
        {"logs": [{"vertex": nested(900), "data": "eAo="}]},
        {"statuses": [{"vertex": "d", "id": nested(900), "name": {}, "completed": True}]},
        {"warnings": [{"short": nested(900)}, {"short": ["x"]}, {"short": {"a": 1}}]},
    ],
    ids=lambda document: json.dumps(document)[:40],
)
def test_a_document_of_another_shape_is_no_error(document):
    written: list[str] = []
    full = Progress(written.append, written.append)
    for number in range(MAX_OPEN_STEPS):
        full.apply({"vertexes": [{"digest": str(number)}]})
    progress = {name: Progress(written.append, written.append) for name in ("t", "u")}
    batch = BatchProgress(progress)
    for line in (json.dumps(document).encode(), b"ERROR: target t: failed to solve: \xff"):
        list(batch.feed(line))
        full.feed(line)
        progress["t"].feed(line)
    for one in (full, progress["t"]):
        one.finish()
        classify(one.evidence())
        json.dumps([step.as_json() for step in one.steps()], allow_nan=False)
    "\n".join(written).encode()


def test_endless_steps_take_bounded_memory():
    progress = {name: Progress(lambda _: None, lambda _: None) for name in ("t", "u")}
    batch = BatchProgress(progress)
    long = "x" * (2 * MAX_NAME_CHARACTERS)
    for number in range(0, 40 * MAX_OPEN_STEPS, 1000):
        vertexes: list[dict[str, object]] = [
            {"digest": f"{number + n}", "name": f"[t 1/2] RUN {n}"} for n in range(1000)
        ]
        vertexes.append(
            {"digest": long + str(number), "name": f"[t] {long}", "error": long, "inputs": [long] * 100}
        )
        list(batch.feed(json.dumps({"vertexes": vertexes}).encode()))
    assert len(batch._owners) <= 2 * MAX_OPEN_STEPS
    assert len(progress["t"]._vertices) == MAX_OPEN_STEPS
    assert len(progress["t"].error) <= MAX_NAME_CHARACTERS


def test_endless_warnings_take_bounded_memory():
    written: list[str] = []
    progress = Progress(written.append, lambda _: None)
    short = base64.b64encode(b"w" * 100).decode()
    progress.apply({"warnings": [{"short": short}] * (2 * MAX_WARNINGS)})
    assert len(progress.warnings) == MAX_WARNINGS
    assert len(written) == 2 * MAX_WARNINGS, "the log has all of them"
