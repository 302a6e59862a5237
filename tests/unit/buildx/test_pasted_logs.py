"""What people paste: pieces of logs, several builds, logs that end early, and texts that are no log."""

import io

import pytest
from unit.buildx.log_forms import rawjson, run

from multibuild.buildx.read_log.explain import explain_log


def explained(text):
    return explain_log(io.BytesIO(text.encode()))


EXIT = 'process "/bin/sh -c make deps" did not complete successfully: exit code: 2'
RESET = "curl: (56) Recv failure: Connection reset by peer"

PIECES = {
    "the error alone": (f"ERROR: failed to solve: {EXIT}", "step-failed"),
    "the error of a step alone": (f"#13 ERROR: {EXIT}", "step-failed"),
    "the error as GitHub's summary has it": (f"buildx failed with: ERROR: failed to solve: {EXIT}", "step-failed"),
    "the same, marked": (f"Error: buildx failed with: ERROR: failed to build: failed to solve: {EXIT}", "step-failed"),
    "compose's error": (f"failed to solve: {EXIT}", "step-failed"),
    "compose's error of a target": (f"target app: failed to solve: {EXIT}", "step-failed"),
    "an error in a sentence": (f"Since Tuesday I get `ERROR: failed to solve: {EXIT}`. Any idea?", "step-failed"),
    "the classic builder's error in a sentence": (
        "It failed at this step: `Build failed: The command '/bin/sh -c make deps' returned a non-zero code: 2`",
        "step-failed",
    ),
    "compose's error of the classic builder": (
        "ERROR: Service 'web' failed to build : The command '/bin/sh -c make deps' returned a non-zero code: 137",
        "out-of-memory",
    ),
    "a block without its rule": (f" > [build 3/4] RUN make deps:\n#14 2.345 {RESET}\n------\nERROR: failed to solve: {EXIT}", "network"),
    "a block of an old version without its begin": (
        f"[build 3/4] RUN make deps:\n#14 2.345 {RESET}\n------\nerror: failed to solve: {EXIT}",
        "network",
    ),
    "numbered lines of a step without its name": (
        f"#14 2.345 {RESET}\n#14 2.400 make: *** [Makefile:2: deps] Error 56\n------\nerror: failed to solve: {EXIT}",
        "network",
    ),
    "numbered lines of a step without its name, and the Dockerfile's": (
        (f"#14 2.345 {RESET}\n#14 2.400 make: *** [Makefile:2: deps] Error 56\n------\nDockerfile:75\n--------------------\n"
        f"  74 |     \n  75 | >>> RUN make deps\n  76 |     \n--------------------\nerror: failed to solve: {EXIT}"),
        "network",
    ),
    "a block with the number 0": (
        (f"------\n > [build 3/4] RUN make deps:\n#0 2.345 {RESET}\n#0 2.400 make: *** [Makefile:2: deps] Error 56\n------\n"
        f"Dockerfile:75\n--------------------\n  75 | >>> RUN make deps\n--------------------\nERROR: failed to solve: {EXIT}"),
        "network",
    ),
    "lines of a step without the rest": (f"2.345 {RESET}\n2.400 make: *** [Makefile:2: deps] Error 56\n", "network"),
    "a tool's line alone": (RESET, "network"),
    "a row of the terminal without a block": (
        f"[+] Building 3.1s (4/6) FINISHED\n => ERROR [build 3/4] RUN make deps      2.9s\n => => # {RESET}\nfailed to solve: {EXIT}",
        "network",
    ),
    "a command of several lines": (
        f"#9 [build 3/4] RUN set -e\n#9 0.3 {RESET}\n#9 ERROR: executor failed running [/bin/sh -c set -e;\n   make deps]: exit code: 2\n",
        "network",
    ),
    "an error that the terminal broke": (
        ('------\n > [build 3/4] RUN make deps:\n2.345 x.c:1:2: error: boo\n------\nERROR: failed to solve: process "/bin/sh -c make deps" did not com\n'
        "plete successfully: exit code: 2\nuser@host:~$ \n"),
        "step-failed",
    ),
    "a BuildKit that does not know the exit code": (
        ("#9 [build 3/4] RUN make deps\n#9 0.3 x.c:1:2: error: boo\n------\n > [build 3/4] RUN make deps:\n------\nfailed to solve: rpc error: code = "
        "Unknown desc = executor failed running [/bin/sh -c make deps]: runc did not terminate sucessfully"),
        "step-failed",
    ),
    "a command with a here-document": (
        "#9 [2/2] RUN <<EOF (curl https://example.org...)\n#9 0.3 " + RESET + '\n#9 ERROR: process "/bin/sh -c curl https://example.org\\nmake" did not '
        "complete successfully: exit code: 56\n------\n > [2/2] RUN <<EOF (curl https://example.org...):\n0.3 " + RESET + "\n------\nERROR: failed to "
        'solve: process "/bin/sh -c curl https://example.org\\nmake" did not complete successfully: exit code: 56\n',
        "network",
    ),
    "a daemon that is not there": (
        "ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        "builder-gone",
    ),
    "the classic builder's COPY": (
        ("Step 1/2 : FROM x\n ---> 3dbf\nStep 2/2 : COPY app.conf /etc\nCOPY failed: file not found in build context or excluded by .dockerignore: "
        "stat app.conf: file does not exist\n"),
        "missing-file",
    ),
    "the classic builder's FROM": (
        ("Step 1/2 : FROM registry.example.org/x\npull access denied for registry.example.org/x, repository does not exist or may require 'docker login': "
        "denied: requested access to the resource is denied\n"),
        "denied",
    ),
    "an old podman": (
        f'STEP 2: RUN make deps\n{RESET}\nError: error building at STEP "RUN make deps": error while running runtime: exit status 2\n',
        "network",
    ),
    "a kaniko with dates": (
        (f"INFO[2022-02-18T03:28:37Z] RUN make deps\nINFO[2022-02-18T03:28:37Z] args: [-c make deps]\n{RESET}\nerror building image: error building stage: "
        "failed to execute command: waiting for process to exit: exit status 2\n"),
        "network",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", PIECES)
def test_a_piece_of_a_log_is_enough(what):
    text, name = PIECES[what]
    explanation = explained(text)
    assert explanation.failure is not None
    assert explanation.failure.kind.name == name
    assert explanation.outcome == "failed"
    if name == "network":
        assert RESET in explanation.failure.evidence


def test_the_body_of_a_registrys_answer_belongs_to_the_error():
    explanation = explained(
        "ERROR: failed to solve: failed to push reg.example.org/a: unexpected status: 400 Bad Request:\n"
        '{"errors":[{"code":"TAG_INVALID","message":"manifest tag did not match URI"}]}\n'
        "make: *** [Makefile:3: push] Error 1\n"
    )
    assert explanation.failure is not None
    assert "manifest tag did not match" in explanation.failure.evidence
    assert "Makefile" not in explanation.failure.evidence


CANCELED = """#1 [internal] load build definition from Dockerfile
#1 DONE 0.0s

#5 [linux/arm64 build 2/3] RUN make
#5 0.4 cc -c a.c

#6 [linux/amd64 build 2/3] RUN make
#6 0.4 cc -c a.c
#6 CANCELED

#7 [linux/amd64->arm64 tool 2/2] RUN make tool
#7 CANCELED

#5 [linux/arm64 build 2/3] RUN make
#5 9.1 qemu: uncaught target signal 11 (Segmentation fault) - core dumped
#5 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 2

#8 [linux/s390x build 2/3] RUN make
#8 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 137: context canceled: context canceled
ERROR: failed to build: failed to solve: process "/bin/sh -c make" did not complete successfully: exit code: 2
"""


def test_the_cause_comes_first_then_what_was_cancelled_for_it():
    explanation = explained(CANCELED)
    assert explanation.failure is not None
    assert explanation.failure.kind.name == "qemu-crash"
    assert explanation.step == "[linux/arm64 build 2/3] RUN make"
    assert (explanation.platform, explanation.emulated) == ("linux/arm64", True)
    assert [(other.platform, other.outcome) for other in explanation.others] == [
        ("linux/amd64", "canceled"),
        ("linux/amd64", "canceled"),
        ("linux/s390x", "canceled"),
    ]


@pytest.mark.parametrize(
    ("name", "command", "emulated"),
    [
        ("[linux/arm64 2/3]", "/bin/sh -c make", True),
        ("[linux/amd64 2/3]", "/bin/sh -c make", False),
        ("[linux/386 2/3]", "/bin/sh -c make", False),
        ("[linux/amd64->arm64 2/3]", "/bin/sh -c make", False),
        ("[app linux/arm/v7 build 2/3]", "/bin/sh -c make", True),
        ("[2/3]", "/bin/sh -c make", None),
        ("[2/3]", "/dev/.buildkit_qemu_emulator /bin/sh -c make", True),
        ("[linux/amd64 2/3]", "/dev/.buildkit_qemu_emulator /bin/sh -c make", True),
    ],
)
def test_whether_the_step_was_emulated(name, command, emulated):
    log = f'#5 {name} RUN make\n#5 ERROR: process "{command}" did not complete successfully: exit code: 2\n'
    assert explained(log).emulated is emulated


def test_a_stage_for_another_platform_shows_what_the_builder_is():
    log = CANCELED.replace("linux/amd64->arm64 tool", "linux/arm64->amd64 tool")
    assert (
        explained(
            log.replace("qemu: uncaught target signal 11 (Segmentation fault)", "x.c:1: error: y")
        ).emulated
        is False
    )


CI_LINES = """multibuild | == build
linux/amd64 | building on default
linux/arm64 | building on default
linux/arm64 | 1/2 FROM registry.example.org/base:1
linux/arm64 | 2/2 RUN make deps
linux/amd64 | 2/2 RUN make deps
linux/amd64 | curl: (22) The requested URL returned error: 404
linux/arm64 | {line}
linux/amd64 | succeeded in 3.0s
linux/arm64 | attempt 1 failed ({name}): {line}
linux/arm64 | failed in 3.0s
"""


@pytest.mark.parametrize(
    ("line", "name"), [(RESET, "network"), ("a.c:1:2: error: expected ';'", "step-failed")]
)
def test_multibuilds_own_lines_of_several_platforms(line, name):
    explanation = explained(CI_LINES.format(line=line, name=name))
    assert explanation.failure is not None
    assert (explanation.failure.kind.name, explanation.platform) == (name, "linux/arm64")
    assert "404" not in explanation.failure.evidence


def test_an_arrow_of_another_program_begins_no_build():
    step = run("make deps", [RESET], 2)
    explanation = explained(rawjson(step) + "=> done\n")
    assert explanation.failure is not None
    assert explanation.failure.kind.name == "network"


def test_a_build_that_was_interrupted_was_killed():
    explanation = explained("#5 [1/2] RUN make\n#5 0.4 cc -c a.c\n#5 CANCELED\n")
    assert explanation.failure is not None
    assert (explanation.failure.kind.name, explanation.step) == ("killed", "[1/2] RUN make")


def test_a_cache_that_is_not_there_is_no_failure():
    missing = (
        "#5 importing cache manifest from registry.example.org/a:cache\n"
        "#5 ERROR: failed to configure registry cache importer: registry.example.org/a:cache: not found\n"
    )
    assert explained(missing + SUCCEEDED["plain"]).outcome == "succeeded"
    explanation = explained(
        missing
        + f"#7 [1/2] RUN make deps\n#7 0.3 {RESET}\n#7 ERROR: {EXIT}\nERROR: failed to solve: {EXIT}\n"
    )
    assert explanation.failure is not None
    assert explanation.failure.kind.name == "network"


def test_two_targets_that_failed_are_both_named():
    explanation = explained(
        "#5 [app 2/3] RUN make\n#5 ERROR: " + EXIT.replace("make deps", "make") + "\n#6 [web 2/3] COPY x y\n"
        '#6 ERROR: failed to calculate checksum of ref a::b: "/x": not found\n'
        'ERROR: target web: failed to solve: failed to compute cache key: failed to calculate checksum of ref a::b: "/x": not found\n'
    )
    assert explanation.failure is not None
    assert explanation.failure.kind.name == "missing-file"
    assert [(other.step, other.outcome) for other in explanation.others] == [("[app 2/3] RUN make", "failed")]


@pytest.mark.parametrize("first", ["succeeds", "fails"])
def test_the_last_failed_build_of_several_counts(first):
    end = (
        "#5 DONE 0.3s\n#6 exporting to image\n#6 naming to a done\n#6 DONE 0.1s\n"
        if first == "succeeds"
        else f"#5 ERROR: {EXIT}\nERROR: failed to solve: {EXIT}\n"
    )
    log = (
        "#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\n#5 [1/2] RUN make deps\n" + end +
        "#1 [internal] load build definition from Dockerfile.web\n#1 DONE 0.0s\n#5 [2/2] RUN npm ci\n#5 0.3 npm error code EAI_AGAIN\n"
        '#5 ERROR: process "/bin/sh -c npm ci" did not complete successfully: exit code: 1\n'
        'ERROR: failed to solve: process "/bin/sh -c npm ci" did not complete successfully: exit code: 1\n'
    )  # fmt: skip
    explanation = explained(log)
    assert explanation.step == "[2/2] RUN npm ci"


SUCCEEDED = {
    "plain": "#1 [internal] load build definition\n#1 DONE 0.0s\n#2 [1/2] FROM x\n#2 CACHED\n#3 [2/2] RUN make\n#3 0.1 error: only a warning\n#3 DONE 1.0s\n"
    "#4 exporting to image\n#4 exporting layers 0.1s done\n#4 naming to registry.example.org/a done\n#4 DONE 0.3s\n",
    "plain without an image": "#1 [internal] load build definition\n#1 DONE 0.0s\n#2 [1/2] FROM x\n#2 CACHED\n#3 [2/2] RUN make\n#3 DONE 1.0s\n",
    "terminal": "[+] Building 3.1s (4/4) FINISHED\n => [internal] load build definition   0.0s\n => CACHED [1/2] FROM x  0.0s\n => [2/2] RUN make  2.9s\n"
    " => exporting to image  0.1s\n => => naming to registry.example.org/a  0.0s\n",
    "classic": "Step 1/2 : FROM x\n ---> 3dbf\nStep 2/2 : RUN make\n ---> Running in 1a2b\nok\nRemoving intermediate container 1a2b\n ---> 4dbf\n"
    "Successfully built 4dbf\nSuccessfully tagged a:latest\n",
    "buildah": "STEP 1/2: FROM x\nSTEP 2/2: RUN make\nok\nCOMMIT a\n--> 4dbf\nSuccessfully tagged localhost/a:latest\n4dbf\n",
    "kaniko": "INFO[0001] Retrieving image x\nINFO[0002] RUN make\nINFO[0003] Taking snapshot of full filesystem...\nINFO[0004] Pushing image to a\nINFO[0005] Pushed a@sha256:11\n",
    "own log": "--- [2/2] RUN make\nok\n--- [2/2] RUN make 1.0s\n--- exporting to image\n--- exporting to image 0.3s\n",
    "a command that failed before, in the CI": "Error: No such container: x\n#3 [2/2] RUN make\n#3 DONE 1.0s\n#4 exporting to image\n#4 DONE 0.3s\n",
}  # fmt: skip


@pytest.mark.parametrize("form", SUCCEEDED)
def test_a_build_that_succeeded_is_told_so(form):
    explanation = explained(SUCCEEDED[form])
    assert (explanation.outcome, explanation.failure) == ("succeeded", None)


def test_a_push_that_fails_after_the_build_is_a_failure():
    explanation = explained(SUCCEEDED["classic"] + "denied: requested access to the resource is denied\n")
    assert explanation.failure is not None
    assert explanation.failure.kind.name == "denied"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "\ufeff",
        "\x00\x01",
        "all is well\n",
        "Dear all,\n\nlunch is at noon.\n",
        "{",
        "\x1b[31mred\x1b[0m",
        "#1 DONE 0.0s\n",
        "#\n",
        "> \n",
    ],
)
def test_a_text_that_is_no_log_is_told_so(text):
    explanation = explained(text)
    assert (explanation.outcome, explanation.failure) == ("no-log", None)


RUNNING = "#1 [internal] load build definition\n#1 DONE 0.0s\n#5 [linux/arm64 2/3] RUN npm run build\n#5 1.0 > build\n"
CRASH = "#5 2.0 qemu: uncaught target signal 11 (Segmentation fault) - core dumped\n"


@pytest.mark.parametrize(
    ("end", "name"),
    [
        ("", "unknown"),
        ("##[error]The operation was canceled.\nPost job cleanup.\n", "killed"),
        ("ERROR: Job failed: execution took longer than 1h0m0s seconds\n", "timeout"),
        ("Build timed out (after 60 minutes). Marking the build as failed.\nFinished: FAILURE\n", "timeout"),
        ("Too long with no output (exceeded 10m0s): context deadline exceeded\n", "timeout"),
        (
            "##[error]The hosted runner lost communication with the server. Anything may have starved it.\n",
            "killed",
        ),
        (CRASH + "##[error]The operation was canceled.\n", "qemu-crash"),
        (
            CRASH
            + "#5 3.0 nothing\n" * 100
            + "ERROR: Job failed: execution took longer than 1h0m0s seconds\n",
            "qemu-crash",
        ),
        (CRASH, "qemu-crash"),
    ],
)
def test_a_log_that_ends_in_a_step(end, name):
    explanation = explained(RUNNING + end)
    assert explanation.failure is not None
    assert (explanation.outcome, explanation.failure.kind.name) == ("unfinished", name)
    assert explanation.step == "[linux/arm64 2/3] RUN npm run build"


def test_an_unknown_failure_shows_the_lines_that_look_most_like_a_cause():
    lines = [
        "Welcome",
        "frobnicator: cannot frobnicate: the moon is not full",
        *("ok" for _ in range(20)),
        "bye",
    ]
    explanation = explained("\n".join(lines))
    assert explanation.failure is not None
    assert explanation.failure.kind.name == "unknown"
    assert "the moon is not full" in explanation.failure.evidence
    assert "see the log" not in explanation.failure.hint


def test_no_secret_and_no_command_to_a_terminal_is_shown():
    explanation = explained(
        "#5 [2/3] RUN git clone https://me:hunter22@git.example.org/x\n#5 1.0 fatal: https://me:hunter22@git.example.org/x: \x1b]0;title\x07\x9b31mno\n"
        '#5 ERROR: process "/bin/sh -c git clone https://me:hunter22@git.example.org/x" did not complete successfully: exit code: 128\n'
    )
    text = f"{explanation}"
    assert "hunter22" not in text
    assert "\x1b" not in text
    assert "\x9b" not in text
