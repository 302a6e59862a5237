import pytest

from multibuild.buildx.attempt_retries import must_run_alone
from multibuild.failures.classes import CLASSES
from multibuild.failures.classify import classify, failure_of, wrong_base
from multibuild.failures.evidence import Evidence
from multibuild.failures.signatures import EXIT_CODES, MESSAGE_SIGNATURES, OUTPUT_SIGNATURES

DIGEST = "sha256:" + "a1" * 32
RETRY = {row.name: row.retry for row in CLASSES}
HEAD = 'failed to solve: failed to do request: Head "https://registry.example.org/v2/base/manifests/1": '


def outside(message: str, step: str = "[internal] load metadata for registry.example.org/base:1") -> Evidence:
    return Evidence(message=message, step=step, tail=())


def run(*tail: str, command: str = "make", code: int = 1) -> Evidence:
    message = (
        f'failed to solve: process "/bin/sh -c {command}" did not complete successfully: exit code: {code}'
    )
    return Evidence(message=message, step=f"[build 3/5] RUN {command}", tail=tail)


def run_message(message: str) -> Evidence:
    return Evidence(message=f"failed to solve: {message}", step="[build 3/5] RUN make", tail=())


UNAVAILABLE = "failed to receive status: rpc error: code = Unavailable desc = error reading from server: "
SSH = (
    "command [ssh -l build -p 2222 -o ConnectTimeout=30 -T -- arm64-host docker system dial-stdio] has exited with exit "
    "status 255, make sure the URL is valid, and Docker 18.09 or later is installed on the remote host: "
)


# One or more real messages for each class.
# fmt: off
ROWS: list[tuple[str, list[Evidence]]] = [
    ("no-space", [
        outside("failed to solve: write /var/lib/buildkit/runc-overlayfs/content/ingest/x: no space left on device",
                "exporting to image"),
        outside("failed to solve: mkdir /var/lib/buildkit/x: disk quota exceeded"),
    ]),
    ("out-of-memory", [
        run_message('process "/bin/sh -c make" did not complete successfully: cannot allocate memory'),
        run_message("ResourceExhausted: runc run failed: signal: killed"),
    ]),
    ("qemu-illegal-instruction", [run("qemu: uncaught target signal 4 (Illegal instruction) - core dumped")]),
    ("qemu-crash", [
        run("qemu: uncaught target signal 11 (Segmentation fault) - core dumped"),
        run("qemu: uncaught target signal 6 (Aborted) - core dumped"),
    ]),
    ("exec-format", [
        run_message("runc run failed: exec user process caused: exec format error"),
        outside('failed to solve: exec "/bin/sh": exec format error', ""),
    ]),
    ("no-such-program", [
        run_message("runc run failed: exec /bin/sh: no such file or directory"),
        run_message('runc run failed: starting container process caused: exec: "/bin/bash": stat /bin/bash: '
                    "no such file or directory"),
    ]),
    ("connection-lost", [
        outside(UNAVAILABLE + SSH + "stderr=Connection to 192.0.2.7 closed by remote host."),
        outside("failed to solve: Unavailable: error reading from server: " + SSH
                + "stderr=client_loop: send disconnect: Broken pipe"),
        outside(UNAVAILABLE + SSH + "stderr=Timeout, server arm64-host not responding."),
        outside('error during connect: Get "http://docker.example.com/v1.51/containers/buildx_buildkit_m0/json": ' + SSH
                + "stderr=ssh: connect to host arm64-host port 22: Connection refused"),
        outside('error during connect: Get "http://docker.example.com/v1.51/containers/buildx_buildkit_m0/json": ' + SSH
                + "stderr=kex_exchange_identification: read: Connection reset by peer"),
        outside("Cannot connect to the Docker daemon at http://docker.example.com. Is the docker daemon running?"),
        run_message(UNAVAILABLE + SSH + "stderr="),
    ]),
    ("rate-limited", [
        outside("failed to solve: unexpected status from HEAD request to https://registry.example.org/v2/base/"
                "manifests/1: 429 Too Many Requests"),
        outside("failed to copy: toomanyrequests: You have reached your pull rate limit."),
    ]),
    ("registry-unavailable", [
        outside("failed to solve: unexpected status from HEAD request to https://registry.example.org/v2/base/"
                "manifests/1: 503 Service Unavailable"),
        outside("failed to push: unexpected status: 502 Bad Gateway", "exporting to image"),
        outside("received unexpected HTTP status: 500 Internal Server Error"),
        outside("failed to fetch anonymous token: unexpected status from GET request to https://auth.example.org/"
                "token: 504 Gateway Timeout"),
    ]),
    ("tls", [
        outside(HEAD + "tls: failed to verify certificate: x509: certificate signed by unknown authority"),
        outside(HEAD + "http: server gave HTTP response to HTTPS client"),
    ]),
    ("connection-refused", [outside(HEAD + "dial tcp 192.0.2.1:443: connect: connection refused")]),
    ("dns", [
        outside(HEAD + "dial tcp: lookup registry.example.org on 127.0.0.11:53: server misbehaving"),
        outside(HEAD + "dial tcp: lookup registry.example.org: Temporary failure in name resolution"),
    ]),
    ("no-such-host", [outside(HEAD + "dial tcp: lookup registry.example.org: no such host")]),
    ("builder-gone", [
        outside("failed to solve: dial unix /run/buildkit/buildkitd.sock: connect: no such file or directory"),
        outside("failed to receive status: rpc error: code = Unavailable desc = transport is closing"),
        outside("failed to list workers: rpc error: code = Unavailable desc = error reading from server: EOF"),
        outside("failed to build: failed to solve: Unavailable: closing transport due to: connection error: desc = "
                '"error reading from server: EOF", received prior goaway: code: NO_ERROR, debug data: "graceful_stop"', ""),
        outside("failed to build: listing workers: failed to list workers: Unavailable: connection error: desc = "
                '"error reading server preface: EOF"', ""),
        outside("failed to build: Error response from daemon: Container 3b755026c731 is restarting, wait until the "
                "container is running", "[internal] booting buildkit"),
        outside("failed to build: Error response from daemon: container 3b755026c731 is not running", ""),
        outside("failed to build: Error response from daemon: Container buildx_buildkit_a0 is paused, unpause the "
                "container before exec", ""),
        outside("failed to build: Error response from daemon: No such container: buildx_buildkit_a0", ""),
        outside("failed to build: Error response from daemon: container is marked for removal and cannot be started", ""),
        outside("failed to build: Error response from daemon: removal of container 3b755026c731 is already in progress", ""),
        outside("failed to build: Error response from daemon: cannot start a paused container, try unpause instead", ""),
        outside('failed to build: Error response from daemon: Conflict. The container name "/buildx_buildkit_a0" is '
                'already in use by container "3b755026c731". You have to remove (or rename) that container to be able '
                "to reuse that name.", "[internal] booting buildkit"),
        outside("failed to build: Error response from daemon: can not get logs from container which is dead or marked "
                "for removal", ""),
        outside("failed to build: OCI runtime exec failed: exec failed: unable to start container process: cannot exec "
                "in a stopped container: unknown", ""),
        outside("failed to build: driver not running", ""),
        outside("failed to build: unable to upgrade to tcp, received 409", "[internal] booting buildkit"),
        outside("failed to build: failed to bootstrap *docker.Driver driver in attempts", ""),
        outside("failed to solve: no such job q3f"),
        outside("failed to solve: no active session for q3f: context deadline exceeded"),
    ]),
    ("network", [
        outside(HEAD + "net/http: TLS handshake timeout"),
        outside(HEAD + "dial tcp 192.0.2.1:443: i/o timeout"),
        outside(HEAD + "net/http: request canceled while waiting for connection (Client.Timeout exceeded while "
                "awaiting headers)"),
        outside(HEAD + "context deadline exceeded"),
        outside("failed to push: write tcp 10.0.0.2:1->192.0.2.1:443: write: connection reset by peer"),
        outside("failed to push: write tcp 10.0.0.2:1->192.0.2.1:443: write: broken pipe"),
        outside("failed to copy: use of closed network connection"),
        outside("failed to copy: short read: expected 812 bytes but got 100: unexpected EOF"),
        outside(HEAD + "EOF"),
        outside(HEAD + "dial tcp 192.0.2.1:443: connect: no route to host"),
        outside(HEAD + "dial tcp 192.0.2.1:443: connect: network is unreachable"),
        outside("failed to copy: httpReadSeeker: failed open: failed to do request: i/o timeout"),
    ]),
    ("cache-service", [
        outside("error writing layer blob: maximum timeout reached", "exporting to GitHub Actions Cache"),
        outside("failed to export cache: the service text no", "exporting cache to registry"),
    ]),
    ("token", [outside("failed to fetch oauth token: unexpected status: 400 Bad Request")]),
    ("unauthorized", [
        outside("failed to push registry.example.org/app: unexpected status from POST request to "
                "https://registry.example.org/v2/app/blobs/uploads/: 401 Unauthorized", "exporting to image"),
        outside("failed to authorize: no basic auth credentials"),
    ]),
    ("denied", [
        outside("failed to push registry.example.org/app: push access denied, repository does not exist or may "
                "require authorization", "exporting to image"),
        outside("failed to push: unexpected status from PUT request to https://r/v2/app: 403 Forbidden"),
        outside("denied: requested access to the resource is denied"),
    ]),
    ("lost-blob", [
        outside(f"failed to push: content digest {DIGEST}: not found", "exporting to image"),
        outside(f"unknown blob {DIGEST} in history"),
        outside("failed to solve: exceeded retry timeout"),
        outside("failed to push: MANIFEST_BLOB_UNKNOWN: blob unknown to registry"),
        outside("failed commit on ref: unexpected status from PUT request: 400 Bad Request\nerrors:\n"
                "unknown: provided digest did not match uploaded content\nunknown: blob unknown to registry"),
    ]),
    ("lost-snapshot", [
        outside("failed to solve: failed to commit sea3nv0 to oyhpxfa during finalize: failed to stat active key "
                "during commit: snapshot sea3nv0 does not exist: not found", "exporting to image"),
        outside("failed to solve: failed to compute cache key: failed to apply diffs: failed to stat lower "
                "snapshot oqp2tt0: snapshot oqp2tt0 does not exist: not found"),
        outside("failed to solve: failed to restore missing snapshot oyhpxfay3qj0bb1f2ggsea3nv: no blob available"),
        outside("failed to solve: failed to prepare extraction snapshot: parent snapshot a:b does not exist: not found"),
    ]),
    ("base-without-platform", [
        outside(f"failed to solve: registry.example.org/base:1: no match for platform in manifest {DIGEST}: not found"),
        outside("no matching manifest for linux/riscv64 in the manifest list entries"),
    ]),
    ("dockerfile", [
        outside("failed to solve: dockerfile parse error on line 3: unknown instruction: RUNN", ""),
        outside("failed to solve: failed to read dockerfile: open Dockerfile: no such file or directory", ""),
        outside('failed to solve: target stage "runtme" could not be found', ""),
        outside("failed to solve: circular dependency detected on stage: a", ""),
        outside("failed to solve: dockerfile parse error on line 2: unknown flag: --mont", ""),
        outside("failed to build: failed to solve: no build stage in current context", ""),
    ]),
    ("missing-file", [
        outside(f"failed to solve: failed to compute cache key: failed to calculate checksum of ref {DIGEST}: "
                '"/app.c": not found', "[build 2/5] COPY app.c ."),
    ]),
    ("not-found", [
        outside("failed to solve: registry.example.org/base:9: failed to resolve source metadata for "
                "registry.example.org/base:9: registry.example.org/base:9: not found"),
        outside("manifest unknown"),
    ]),
    ("usage", [
        outside("unknown flag: --frobnicate", ""),
        outside("docker: unknown command: docker buildx", ""),
        outside('invalid argument "x" for "--shm-size" flag: invalid size', ""),
    ]),
    ("no-builder", [
        outside('no builder "multibuild" found', ""),
        outside("no valid drivers found", ""),
        outside('failed to find driver "docker-container"', ""),
    ]),
    ("driver", [
        outside("push-by-digest is currently not implemented for docker driver, please create a new builder", ""),
        outside("Multi-platform build is not supported for the docker driver.", ""),
    ]),
    ("entitlement", [outside("failed to solve: granting entitlement network.host is not allowed", "")]),
    ("registry-refuses", [
        outside("failed to push: MANIFEST_INVALID: manifest invalid", "exporting to image"),
        outside("failed to push: NAME_INVALID: invalid repository name", "exporting to image"),
        outside("mediaType in manifest does not match manifest contents", "exporting to image"),
    ]),
]
# fmt: on


@pytest.mark.parametrize(
    ("name", "evidence"),
    [pytest.param(name, text, id=f"{name}-{n}") for name, rows in ROWS for n, text in enumerate(rows)],
)
def test_a_message_is_of_its_rows_class(name, evidence):
    failure = classify(evidence)
    assert failure.kind.name == name
    assert failure.retry == RETRY[name]
    assert failure.hint
    assert evidence.message[:100] in failure.evidence


def test_every_class_that_is_used_exists_once():
    names = [row.name for row in CLASSES]
    assert len(names) == len(set(names))
    assert {row.name for row in (*MESSAGE_SIGNATURES, *OUTPUT_SIGNATURES)} | set(EXIT_CODES.values()) <= set(
        names
    )


@pytest.mark.parametrize(
    ("name", "retry"),
    [
        ("network", "transient"),
        ("registry-unavailable", "transient"),
        ("rate-limited", "transient"),
        ("builder-gone", "transient"),
        ("cache-service", "transient"),
        ("lost-snapshot", "transient"),
        ("no-such-host", "once"),
        ("lost-blob", "once"),
        ("qemu-crash", "once"),
        ("out-of-memory", "once"),
        ("token", "auth"),
        ("unauthorized", "auth"),
        ("qemu-illegal-instruction", "permanent"),
        ("exec-format", "permanent"),
        ("base-without-platform", "permanent"),
        ("dockerfile", "permanent"),
        ("step-failed", "permanent"),
        ("unknown", "permanent"),
        ("unknown-transfer", "transient"),
    ],
)
def test_the_retry_of_a_class(name, retry):
    assert failure_of(name, "").retry == retry


# What decides where several rows match, or none. gRPC capitalizes a code that a registry writes in lower case.
# fmt: off
DECISIONS = {
    "a full disk inside a RUN": (run("cp: write error: No space left on device"), "no-space"),
    "a full disk behind other errors": (
        outside("failed to compute cache key: failed to copy: write /var/lib/x: no space left on device", "[2/3] COPY a b"),
        "no-space",
    ),
    "a network error of a RUN before its last lines": (
        run("W: Failed to fetch http://deb.example.org  Connection timed out", *(f"cc -c {n}.c" for n in range(20)),
            command="apt-get update; make"),
        "step-failed",
    ),
    "a registry's errors in a RUN's output": (
        run("401 Unauthorized", "denied: no", "dockerfile parse error", "manifest unknown"), "step-failed"
    ),
    "a builder that disappears during a RUN": (
        run_message("rpc error: code = Unavailable desc = error reading from server: EOF"), "builder-gone"
    ),
    "gRPC's Unavailable": (
        outside("failed to build: failed to solve: Unavailable: error reading from server: EOF"), "builder-gone"
    ),
    "another signal of QEMU": (run("qemu: uncaught target signal 40 (Unknown)"), "qemu-crash"),
    "a program of another platform, in the step's log": (
        run("exec /bin/sh: exec format error", command="true", code=255), "exec-format"
    ),
    "a missing program, in the step's log": (
        run("exec /bin/sh: no such file or directory", command="true", code=255), "no-such-program"
    ),
    "the step's log where the message is unknown": (
        Evidence(message="failed to solve: failed", step="exporting to image",
                 tail=("pushing", "503: x", "write: broken pipe")),
        "network",
    ),
    "a server error behind a metadata failure": (
        outside("failed to resolve source metadata for registry.example.org/base:1: unexpected status from HEAD "
                "request to https://registry.example.org/v2/base/manifests/1: 502 Bad Gateway"),
        "registry-unavailable",
    ),
    "a build cancelled from outside": (outside("failed to solve: Canceled: context canceled", ""), "killed"),
    "hostile text, quickly": (
        outside("exec " * 2000 + "blob sha256:" * 2000 + "target stage " * 2000), "unknown-transfer"
    ),
}
# fmt: on


@pytest.mark.parametrize(("evidence", "name"), DECISIONS.values(), ids=DECISIONS)
def test_the_deciding_evidence(evidence, name):
    assert classify(evidence).kind.name == name


# A RUN is classified by its last lines.


@pytest.mark.parametrize(
    "command",
    [
        "apt-get update && apt-get install -y gcc",
        "apk add curl",
        "pip install -r r.txt",
        "curl -fO https://x/y",
    ],
)
@pytest.mark.parametrize(
    "text",
    [
        "E: Failed to fetch http://deb.example.org/x.deb  Connection timed out",
        "curl: (56) Recv failure: Connection reset by peer",
        "curl: (6) Could not resolve host: example.org",
        "read tcp 10.0.0.2:1->192.0.2.1:443: read: connection reset by peer",
        "Temporary failure resolving 'deb.example.org'",
        "HTTP 502 Bad Gateway",
    ],
)
def test_network_errors_in_a_run_that_fetches_are_retried(command, text):
    failure = classify(run("Get:1 http://deb.example.org stable", text, command=command, code=100))
    assert (failure.kind.name, failure.retry) == ("network", "transient")


@pytest.mark.parametrize(
    "text",
    [
        'net.c:14:9: error: "connection reset by peer" undeclared',
        "FAIL: test_timeout: i/o timeout expected, got none",
        "assertion failed: Connection refused != ok",
    ],
)
def test_a_compiler_error_with_network_words_is_permanent(text):
    failure = classify(run("cc -c net.c", text, "make: *** [net.o] Error 1", command="make -j4", code=2))
    assert (failure.kind.name, failure.retry) == ("step-failed", "permanent")


@pytest.mark.parametrize(
    "text",
    [
        "dial tcp 192.0.2.1:443: connect: connection refused",
        "dial tcp 192.0.2.1:443: connect: network is unreachable",
        "dial tcp: lookup proxy.example.org on 127.0.0.11:53: server misbehaving",
        "dial tcp: lookup proxy.example.org: no such host",
    ],
)
def test_network_errors_of_go_in_a_run_that_fetches(text):
    assert classify(run(f"go: example.org/x@v1: {text}", command="go mod download")).retry != "permanent"


def test_unknown_text_of_a_run_is_a_failure_of_the_command():
    failure = classify(run("something new under the sun"))
    assert (failure.kind.name, failure.retry) == ("step-failed", "permanent")


SIGNALS = sorted(code for code in EXIT_CODES if code > 128)


@pytest.mark.parametrize("code", SIGNALS)
def test_an_exit_code_of_a_signal_under_emulation(code):
    failure = classify(run("working", code=code), emulated=True)
    assert failure.kind.name == EXIT_CODES[code]
    assert failure.retry == ("permanent" if code == 132 else "once")


@pytest.mark.parametrize("code", sorted(set(SIGNALS) - {137}))
def test_a_crash_without_emulation_is_the_programs(code):
    failure = classify(run("working", code=code), emulated=False)
    assert (failure.kind.name, failure.retry) == ("crash", "permanent")


@pytest.mark.parametrize("code", [126, 127])
@pytest.mark.parametrize("emulated", [True, False, None])
def test_an_exit_code_of_the_shell(code, emulated):
    failure = classify(run("working", code=code), emulated=emulated)
    assert (failure.kind.name, failure.retry) == (EXIT_CODES[code], "permanent")


def test_exit_137_is_memory_on_any_machine_and_the_retry_is_alone():
    failure = classify(run("working", code=137), emulated=False)
    assert failure.kind.name == "out-of-memory"
    assert failure.kind.alone_after_failures == 1


def test_a_qemu_crash_is_retried_and_then_built_alone():
    crash = failure_of("qemu-crash", "")
    assert not must_run_alone([crash])
    assert must_run_alone([crash, crash])
    assert must_run_alone([failure_of("out-of-memory", "")])
    assert not must_run_alone([failure_of("network", "")] * 5)


@pytest.mark.parametrize("words", ["exec format error", "no space left on device", "signal: killed"])
def test_the_text_of_the_command_is_no_evidence(words):
    assert classify(run("not found", command=f"grep '{words}' build.log")).kind.name == "step-failed"


# Outside a RUN.


@pytest.mark.parametrize(
    "step",
    [
        "exporting to image",
        "pushing layers",
        "[internal] load metadata for x",
        "[auth] x",
        "[build 1/3] FROM x",
        "[linux/arm64 build 1/3] FROM x",
        "[1/3] FROM x",
    ],
)
def test_an_unknown_failure_of_a_transfer_is_retried(step):
    failure = classify(outside("failed to solve: something new under the sun", step))
    assert (failure.kind.name, failure.retry) == ("unknown-transfer", "transient")


@pytest.mark.parametrize("step", ["", "[build 2/5] COPY a b", "[build 2/5] WORKDIR /x"])
def test_an_unknown_failure_of_anything_else_is_permanent(step):
    failure = classify(outside("failed to solve: something new under the sun", step))
    assert (failure.kind.name, failure.retry) == ("unknown", "permanent")


@pytest.mark.parametrize("verb", ["pull", "push"])
def test_an_unauthorized_repository_is_not_retried_for_the_whole_budget(verb):
    text = (
        f"{verb} access denied, repository does not exist or may require authorization: server message: "
        "insufficient_scope: authorization failed"
    )
    assert classify(outside(text)).retry in {"auth", "permanent"}


@pytest.mark.parametrize("code", [130, 137, 143, -2, -9, -15])
def test_buildx_killed_by_another_process_is_retried(code):
    failure = classify(outside("failed to solve: something", ""), code=code)
    assert (failure.kind.name, failure.retry) == ("killed", "transient")


def test_without_output_the_evidence_is_the_exit_code():
    assert "-9" in classify(Evidence(message="", step="", tail=()), code=-9).evidence


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("429 Too Many Requests, Retry-After: 37", 37.0),
        ('429 Too Many Requests (retry-after: "120")', 120.0),
        ("toomanyrequests: retry after 5 s", 5.0),
        ("toomanyrequests: come back some day", None),
    ],
)
def test_retry_after_of_the_server_is_read(text, seconds):
    failure = classify(outside(f"failed to solve: {text}"))
    assert failure.kind.name == "rate-limited"
    assert failure.kind.waits_minutes
    assert failure.retry_after == seconds


def test_evidence_is_the_step_its_last_lines_and_the_message():
    evidence = run("old", *(f"line {n}" for n in range(8)), "", command="make")
    shown = classify(evidence).evidence.splitlines()
    assert shown[0] == "[build 3/5] RUN make"
    assert shown[1] == "line 1"
    assert shown[-2:] == ["line 7", evidence.message]


def test_evidence_of_long_lines_is_shortened():
    assert len(classify(run("x" * 100_000)).evidence) < 2000


def warning(pulled: str, expected: str) -> str:
    return (
        f'InvalidBaseImagePlatform: Base image registry.example.org/base:1 was pulled with platform "{pulled}", '
        f'expected "{expected}" for current build'
    )


def test_a_base_of_another_architecture_is_reported():
    text = wrong_base(warning("linux/amd64", "linux/riscv64"))
    assert text == "the base image is linux/amd64, not linux/riscv64"


@pytest.mark.parametrize(
    "text",
    [warning("linux/arm64/v8", "linux/arm64"), warning("linux/arm/v6", "linux/arm/v7"), "", "JSONArgs: x"],
)
def test_a_base_of_another_variant_and_other_warnings_are_none(text):
    assert wrong_base(text) is None


AT_5000 = "http://localhost:5000/v2/x"


@pytest.mark.parametrize("step", ["exporting to image", "pushing localhost:5000/x with docker", ""])
@pytest.mark.parametrize(
    "text",
    [
        (
            'unexpected status from PUT request to URL: 400 Bad Request: {"errors":[{"code":"DIGEST_INVALID",'
            '"message":"provided digest did not match uploaded content"}]}'
        ),
        "digest invalid: provided digest did not match uploaded content",
        "failed to push x: manifest blob unknown: blob unknown to registry",
        (
            'unexpected status from PUT request to URL: 400 Bad Request\nserver message: {"errors":'
            '[{"code":"MANIFEST_BLOB_UNKNOWN","message":"blob unknown to registry"}]}'
        ),
        "failed to push x: unknown: blob unknown to registry",
        "errors:\nblob unknown: blob unknown to registry\nblob unknown: blob unknown to registry",
    ],
)
def test_a_registry_that_loses_a_blob_is_retried_once(step, text):
    message = "failed to solve: " + text.replace("URL", f"{AT_5000}/blobs/uploads/u")
    failure = classify(outside(message, step))
    assert (failure.kind.name, failure.retry) == ("lost-blob", "once")


@pytest.mark.parametrize("step", ["exporting to image", ""])
@pytest.mark.parametrize(
    ("status", "name"),
    [
        ("400 Bad Request", "registry-answer"),
        ("401 Unauthorized", "unauthorized"),
        ("403 Forbidden", "denied"),
        ("408 Request Timeout", "network"),
        ("429 Too Many Requests", "rate-limited"),
        ("500 Internal Server Error", "registry-unavailable"),
        ("503 Service Unavailable", "registry-unavailable"),
    ],
)
def test_a_port_is_not_a_status(step, status, name):
    text = f"failed to solve: failed to push x: unexpected status from PUT request to {AT_5000}/manifests/a: {status}"
    assert classify(outside(text, step)).kind.name == name
    if status.startswith("5"):
        for other in (f"unexpected status: {status}", f"unexpected status code {AT_5000}: {status}"):
            assert classify(outside(other, step)).kind.name == name


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("unauthorized", "unauthorized"),
        ("denied", "denied"),
        ("toomanyrequests", "rate-limited"),
        ("unavailable", "registry-unavailable"),
        ("blob unknown", "lost-blob"),
        ("blob upload unknown", "lost-blob"),
        ("digest invalid", "lost-blob"),
        ("manifest unknown", "not-found"),
        ("name unknown", "no-repository"),
        ("manifest invalid", "registry-refuses"),
        ("unsupported", "registry-refuses"),
        ("unknown", "unknown-transfer"),
    ],
)
def test_a_registrys_error_code_in_words(code, name):
    text = f"failed to build: failed to solve: failed to push localhost:5000/x:y: {code}"
    assert classify(outside(text, "exporting to image")).kind.name == name


@pytest.mark.parametrize(
    "text",
    [
        'failed commit on ref "layer-sha256:aa": something new',
        "failed to copy: unexpected commit digest sha256:aa, expected sha256:bb: failed precondition",
        "failed to push localhost:5000/x: something new",
    ],
)
def test_unknown_errors_of_data_transfers_are_transient(text):
    assert classify(outside(f"failed to solve: {text}", "")).retry == "transient"


def test_a_long_chain_of_errors_is_shown_with_its_cause():
    text = "failed to solve: mount callback failed on " + "/var/lib/x" * 100 + ": no space left on device"
    (_step, message) = classify(outside(text, "exporting to image")).evidence.splitlines()
    assert message.startswith("failed to solve: mount callback failed")
    assert message.endswith(": no space left on device")
    assert len(message) < 510


def test_a_refusal_without_a_message_is_a_refusal():
    failure = classify(outside("failed to solve: failed to push localhost:5000/app:1: unauthorized", ""))
    assert (failure.kind.name, failure.retry) == ("unauthorized", "auth")
