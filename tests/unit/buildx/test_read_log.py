import base64
import json

import pytest

from multibuild.buildx.progress import Progress
from multibuild.buildx.read_log import explain_log

STEP = "[build 2/2] RUN apt-get update"
PROCESS = 'process "/bin/sh -c apt-get update" did not complete successfully: exit code: 100'
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


FORMS = pytest.mark.parametrize("form", [rawjson, plain, own])


@FORMS
def test_a_network_error_of_a_run_that_fetches(form):
    failure = explain_log(form(STEP, OUTPUT + "\n", PROCESS))
    assert (failure.kind.name, failure.retry) == ("network", "transient")
    assert OUTPUT in failure.evidence
    assert STEP in failure.evidence


@FORMS
def test_a_run_whose_command_fails(form):
    error = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
    failure = explain_log(form("[build 2/2] RUN make", "a.c:1: error: connection reset by peer\n", error))
    assert (failure.kind.name, failure.retry) == ("step-failed", "permanent")


@FORMS
def test_a_crash_of_qemu(form):
    output = "qemu: uncaught target signal 11 (Segmentation fault) - core dumped\n"
    error = 'process "/bin/sh -c make" did not complete successfully: exit code: 139'
    assert explain_log(form("[build 2/2] RUN make", output, error)).kind.name == "qemu-crash"


@FORMS
def test_a_push_that_a_server_refuses_temporarily(form):
    error = (
        "failed to push registry.example.org/app: unexpected status from PUT request to "
        "https://registry.example.org/v2/app/manifests/1: 503 Service Unavailable"
    )
    failure = explain_log(form("exporting to image", "", error))
    assert (failure.kind.name, failure.retry) == ("registry-unavailable", "transient")


def test_a_log_of_the_message_only():
    log = b"ERROR: failed to solve: base:1: failed to resolve source metadata for base:1: base:1: not found\n"
    assert explain_log(log).kind.name == "not-found"


def test_an_invalid_dockerfile():
    log = b"""#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s
Dockerfile:3
ERROR: failed to build: failed to solve: dockerfile parse error on line 3: unknown instruction: RUNN
"""
    assert explain_log(log).kind.name == "dockerfile"


def test_a_usage_error_of_docker():
    assert explain_log(b"unknown flag: --frobnicate\n\nUsage: docker buildx build\n").kind.name == "usage"


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
