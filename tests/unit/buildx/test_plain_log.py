import base64
import json

import pytest

from multibuild.buildx.plain_log import explain_log
from multibuild.buildx.rawjson_progress import Progress

STEP = "[build 2/2] RUN apt-get update"
PROCESS = 'process "/bin/sh -c apt-get update" did not complete successfully: exit code: 100'
MAKE = "[build 2/2] RUN make"
EXIT = 'process "/bin/sh -c make" did not complete successfully: exit code: {}'
REFUSED_PUSH = (
    "failed to push registry.example.org/app: unexpected status from PUT request to "
    "https://registry.example.org/v2/app/manifests/1: 503 Service Unavailable"
)
OUTPUT = "E: Failed to fetch http://deb.example.org/x.deb  Connection timed out"


def rawjson(step: str, output: str, error: str) -> bytes:
    documents = [
        {"vertexes": [{"digest": "d1", "name": "[internal] load build definition", "completed": None}]},
        {"vertexes": [{"digest": "d2", "name": step, "started": "2026-01-01T10:00:00Z"}]},
        {"logs": [{"vertex": "d2", "stream": 2, "data": base64.b64encode(output.encode()).decode()}]},
        {
            "vertexes": [
                {
                    "digest": "d2",
                    "name": step,
                    "started": "2026-01-01T10:00:00Z",
                    "completed": "2026-01-01T10:00:07.5Z",
                    "error": error,
                }
            ]
        },
    ]
    lines = [json.dumps(document) for document in documents]
    return "\n".join([*lines, f"ERROR: failed to build: failed to solve: {error}"]).encode()


def plain(step: str, output: str, error: str) -> bytes:
    return f"""#0 building with "multibuild" instance using docker-container driver

#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 100B done
#1 DONE 0.0s

#2 [build 1/2] FROM registry.example.org/base:1
#2 CACHED

#3 {step}
#3 0.105 Get:1 http://deb.example.org stable
#3 7.412 {output}
#3 ERROR: {error}
------
 > {step}:
7.412 {output}
------
Dockerfile:2
--------------------
   1 |     FROM registry.example.org/base:1
   2 | >>> RUN apt-get update
--------------------
ERROR: failed to build: failed to solve: {error}
""".encode()


def own(step: str, output: str, error: str) -> bytes:
    """Return the log in multibuild's own format."""
    lines: list[str] = []
    progress = Progress(write_log=lines.append, on_step=lambda _: None)
    for line in rawjson(step, output, error).splitlines():
        progress.feed(line)
    progress.finish()
    return "\n".join(lines).encode()


@pytest.mark.parametrize("form", [rawjson, plain, own])
@pytest.mark.parametrize(
    ("step", "output", "error", "name", "retry"),
    [
        (STEP, OUTPUT + "\n", PROCESS, "network", "transient"),
        (MAKE, "a.c:1: error: connection reset by peer\n", EXIT.format(2), "step-failed", "permanent"),
        (
            MAKE,
            "qemu: uncaught target signal 11 (Segmentation fault)\n",
            EXIT.format(139),
            "qemu-crash",
            "once",
        ),
        ("exporting to image", "", REFUSED_PUSH, "registry-unavailable", "transient"),
    ],
    ids=["a network error of a RUN that fetches", "a failing command", "a crash of QEMU", "a refused push"],
)
def test_a_log_of_each_form(form, step, output, error, name, retry):
    failure = explain_log(form(step, output, error))
    assert (failure.kind.name, failure.retry) == (name, retry)
    assert step in failure.evidence
    assert output.strip() in failure.evidence


@pytest.mark.parametrize(
    ("log", "name"),
    [
        (
            "ERROR: failed to solve: base:1: failed to resolve source metadata for base:1: base:1: not found\n",
            "not-found",
        ),
        (
            "#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\nDockerfile:3\nERROR: failed to build: failed to solve: dockerfile parse error on line 3: unknown instruction: RUNN\n",
            "dockerfile",
        ),
        ("unknown flag: --frobnicate\n\nUsage: docker buildx build\n", "usage"),
    ],
)
def test_a_log_without_a_failing_step(log, name):
    assert explain_log(log.encode()).kind.name == name


def test_retry_after_is_read():
    log = plain("[internal] load metadata for base:1", "x", "429 Too Many Requests, Retry-After: 60")
    failure = explain_log(log)
    assert failure.kind.name == "rate-limited"
    assert failure.retry_after == 60


@pytest.mark.parametrize(
    "log",
    [b"", b"\n\n", b"\xff\xfe\x00\x01", b"#1 DONE 0.0s\n", b"{", b"all is well\n", b"\x1b[31mred\x1b[0m"],
)
def test_a_log_without_evidence_is_unknown(log):
    failure = explain_log(log)
    assert (failure.kind.name, failure.retry) == ("unknown", "permanent")


def test_the_lines_of_other_steps_are_no_evidence():
    log = plain(STEP, "done", PROCESS).replace(b"#2 CACHED", b"#2 0.1 Failed to fetch: Connection timed out")
    assert explain_log(log).kind.name == "step-failed"


def test_a_log_with_windows_line_ends():
    log = plain(STEP, OUTPUT, PROCESS).replace(b"\n", b"\r\n")
    assert explain_log(log).kind.name == "network"


def test_a_large_log_is_read_in_good_time():
    noise = b"".join(b"#3 1.%d compiling %d\n" % (n, n) for n in range(50_000))
    log = noise + plain(STEP, OUTPUT, PROCESS)
    assert explain_log(log).kind.name == "network"
