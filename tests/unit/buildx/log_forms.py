"""A failed build in every form in which its log is pasted: of each builder, then as CI systems and people decorate it.

`BUILDERS` make a log of a failure, `PASTES` change a log line by line or as a whole. Forms that lose something of a
failure say what in their docstring; a test that needs it leaves them out.
"""

import base64
import html
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from multibuild.buildx.rawjson_progress import Progress
from multibuild.failures.classify import classify
from multibuild.failures.evidence import DecisiveLines, Evidence
from multibuild.report.failure_lines import failure_lines


@dataclass(frozen=True, kw_only=True)
class FailedStep:
    """A failed build: the step with its place (`[build 2/3] RUN make`), what it printed, BuildKit's error of the step.

    The name is empty for an error of a build of which no step is shown as failed.
    """

    name: str
    output: Sequence[str]
    error: str

    @property
    def instruction(self) -> str:
        return self.name.partition("] ")[2] or self.name

    @property
    def command(self) -> str:
        return self.instruction.removeprefix("RUN ")

    @property
    def code(self) -> str:
        found = re.search(r"exit code: (\d+)", self.error)
        return found[1] if found else "1"

    def placed(self, prefix: str) -> str:
        """Return the name with a platform or a target in it."""
        return f"[{prefix} {self.name[1:]}" if self.name.startswith("[") else self.name

    @property
    def is_run(self) -> bool:
        return "did not complete successfully: exit code" in self.error


def run(command: str, output: Sequence[str], code: int, place: str = "build 2/3") -> FailedStep:
    """Return a RUN that ended with a code."""
    quoted = command.replace("\\", "\\\\").replace('"', '\\"')
    return FailedStep(
        name=f"[{place}] RUN {command}",
        output=output,
        error=f'process "/bin/sh -c {quoted}" did not complete successfully: exit code: {code}',
    )


BLOCK_LINES = 10
"""Last lines of a step in its block (buildx, util/progress: the tail of a vertex's log)."""

# --- builders


def plain(step: FailedStep) -> str:
    """`docker buildx build --progress plain`."""
    return _plain(step, step.name, final=f"ERROR: failed to build: failed to solve: {step.error}")


def plain_of_platforms(step: FailedStep) -> str:
    """Two platforms; the other one is cancelled, and shown before the failure."""
    return _plain(
        step,
        step.placed("linux/arm64"),
        final=f"ERROR: failed to build: failed to solve: {step.error}",
        other=step.placed("linux/amd64"),
    )


def bake(step: FailedStep) -> str:
    """Two targets of a bake file."""
    return _plain(
        step,
        step.placed("app"),
        final=f"ERROR: target app: failed to solve: {step.error}",
        other="[web web 2/3] RUN sleep 20",
    )


def compose(step: FailedStep) -> str:
    """`docker compose build --progress plain`."""
    return _plain(step, step.placed("app"), final=f"failed to solve: {step.error}")


def old_plain(step: FailedStep) -> str:
    """BuildKit 0.8: digests below names, `executor failed running`."""
    error = step.error
    if step.is_run:
        error = f"executor failed running [/bin/sh -c {step.command}]: exit code: {step.code}"
    text = _plain(step, step.name, final=f"error: failed to solve: rpc error: code = Unknown desc = {error}")
    text = text.replace(step.error, error)
    return re.sub(r"(?m)^#(\d+) (\[.*)$", rf"#\1 \2\n#\1 sha256:{'a' * 64}", text)


def build_push_action(step: FailedStep) -> str:
    """docker/build-push-action, which repeats the error."""
    return plain(step) + f"Error: buildx failed with: ERROR: failed to build: failed to solve: {step.error}\n"


def _plain(step: FailedStep, name: str, *, final: str, other: str = "") -> str:
    lines = [
        '#0 building with "default" instance using docker driver',
        "",
        "#1 [internal] load build definition from Dockerfile",
        "#1 transferring dockerfile: 319B done",
        "#1 DONE 0.1s",
        "",
        "#2 [internal] load metadata for registry.example.org/base:1",
        "#2 DONE 0.0s",
        "",
        "#5 [build 1/3] FROM registry.example.org/base:1@sha256:" + "3" * 64,
        "#5 CACHED",
        "",
    ]
    if other:
        lines += [f"#6 {other}", "#6 0.201 other output", "#6 ...", ""]
    if name:
        lines += [f"#7 {name}", *(f"#7 {n / 10 + 1:.3f} {line}" for n, line in enumerate(step.output))]
        lines += [f"#7 ERROR: {step.error}"]
    lines += ["", f"#6 {other}", "#6 CANCELED"] if other else []
    return "\n".join([*lines, *_block(step, name), final, ""])


def _block(step: FailedStep, name: str) -> list[str]:
    if not name:
        return []
    return [
        "------",
        f" > {name}:",
        *(f"{n / 10 + 1:.3f} {line}" for n, line in list(enumerate(step.output))[-BLOCK_LINES:]),
        "------",
        "Dockerfile:7",
        "--------------------",
        "   5 |     FROM registry.example.org/base:1",
        "   6 |     WORKDIR /src",
        f"   7 | >>> {step.instruction}",
        "   8 |     CMD /app",
        "--------------------",
    ]


def block(step: FailedStep) -> str:
    """Only what a terminal shows last. At most the last ten lines of the step."""
    return "\n".join([*_block(step, step.name), f"ERROR: failed to build: failed to solve: {step.error}", ""])


def cut_block(step: FailedStep) -> str:
    """The same, copied from within the block: without the step's name."""
    return block(step).partition(":\n")[2] if step.name else block(step)


def wrapped_block(step: FailedStep) -> str:
    """The block of a narrow terminal, copied with a line end where the name reached its edge."""
    if not step.name:
        return block(step)
    head, _, rest = block(step).partition(":\n")
    first, _, name = head.partition("\n")
    broken = "\n".join(name[at : at + 60] for at in range(0, len(name), 60))
    return f"{first}\n{broken}:\n{rest}"


def terminal(step: FailedStep) -> str:
    """The display of a terminal: names cut at its edge, frames drawn over each other."""
    name = step.placed("linux/arm64")
    frame = (
        "[+] Building {0}.4s (5/8)                                docker:default\n"
        " => [internal] load build definition from Dockerfile            0.0s\n"
        " => => transferring dockerfile: 319B                            0.0s\n"
    )
    if name:
        frame += (
            f" => {{1}}{_braced(step.placed('linux/amd64')[:52])}             {{0}}.2s\n"
            f" => {{2}}{_braced(name[:52])}             {{0}}.2s\n"
        )
    frames = [frame.format(n, "", "") for n in range(3)]
    last = frame.format(3, "CANCELED ", "ERROR ")
    moved = "".join(f"{text}\x1b[1A\x1b[1A\x1b[1A\x1b[1A\x1b[1A\x1b[0G\x1b[?25l" for text in frames)
    rest = "\n".join([*_block(step, name), f"ERROR: failed to build: failed to solve: {step.error}", ""])
    return (moved + last + rest).replace("\n", "\r\n")


def _braced(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def rawjson(step: FailedStep) -> str:
    """`--progress rawjson`."""
    vertex = {"digest": "sha256:" + "2" * 64, "name": step.name, "started": "2026-01-01T10:00:00Z"}
    data = base64.b64encode("".join(f"{line}\n" for line in step.output).encode()).decode()
    documents = [
        {"vertexes": [{"digest": "sha256:" + "1" * 64, "name": "[internal] load build definition"}]},
        {"vertexes": [vertex]},
        {"logs": [{"vertex": vertex["digest"], "stream": 2, "data": data}]},
        {"vertexes": [{**vertex, "completed": "2026-01-01T10:00:07.5Z", "error": step.error}]},
    ]
    final = f"ERROR: failed to build: failed to solve: {step.error}"
    if not step.name:
        documents = documents[:1]
    return "\n".join([*map(json.dumps, documents), final, ""])


def own_log(step: FailedStep) -> str:
    """The log of an attempt of multibuild's."""
    lines: list[str] = []
    progress = Progress(write_log=lines.append, on_step=lambda _: None)
    for line in rawjson(step).splitlines():
        progress.feed(line.encode())
    progress.finish()
    return "\n".join([*lines, ""])


def own_report(step: FailedStep) -> str:
    """The end of multibuild's report. At most ten lines of evidence, the step's name among them."""
    collector = DecisiveLines()
    for line in step.output:
        collector.add(line)
    evidence = Evidence(
        message=step.error, step=step.name, tail=tuple(step.output[-40:]), decisive=collector.lines
    )
    attempt = {
        "number": 1,
        "outcome": "failed",
        "class": "x",
        "then": "not again",
        "log": "logs/linux-arm64.1.log",
    }
    attempt |= {"evidence": classify(evidence).evidence, "hint": "mend it"}
    report: dict[str, object] = {"platform": "linux/arm64", "attempts": [attempt], "status": "failed"}
    report |= {"test": {"status": "skipped"}, "content": {"status": "skipped"}}
    lines = failure_lines(report)
    return "\n".join(
        [
            "run 20260101-100000-abcd: failed",
            "",
            *lines,
            "error: 1 required platform failed to build",
            "",
        ]
    )


def classic(step: FailedStep) -> str:
    """Docker before BuildKit. Only for a RUN."""
    return "\n".join(
        [
            "Sending build context to Docker daemon  4.096kB",
            "Step 1/3 : FROM registry.example.org/base:1",
            " ---> 3dbf153ebd73",
            "Step 2/3 : WORKDIR /src",
            " ---> Using cache",
            " ---> 4dbf153ebd74",
            f"Step 3/3 : {step.instruction}",
            " ---> Running in 40459bcf6e34",
            *(f"\x1b[91m{line}\x1b[0m" for line in step.output),
            f"The command '/bin/sh -c {step.command}' returned a non-zero code: {step.code}",
            "",
        ]
    )


def docker_hub(step: FailedStep) -> str:
    """Docker Hub's automated builds. Only for a RUN."""
    text = classic(step)
    return "\n".join(
        [
            "Building in Docker Cloud's infrastructure...",
            "Cloning into '.'...",
            "KernelVersion: 4.4.0-1060-aws",
            text.replace("The command '", "ERROR: Build failed: The command '").rstrip("\n"),
            "ERROR: Build in 'master' (b8bec0d3) failed in 0:00:42",
            "",
        ]
    )


def buildah(step: FailedStep) -> str:
    """buildah and podman. Only for a RUN."""
    return "\n".join(
        [
            "[1/2] STEP 1/2: FROM registry.example.org/base:1 AS build",
            "[1/2] STEP 2/2: WORKDIR /src",
            "--> 4dbf153ebd74",
            "[2/2] STEP 1/3: FROM registry.example.org/base:1",
            f"[2/2] STEP 2/3: {step.instruction}",
            *step.output,
            f'Error: building at STEP "{step.instruction}": while running runtime: exit status {step.code}',
            "",
        ]
    )


def kaniko(step: FailedStep) -> str:
    """Kaniko. Only for a RUN."""
    return "\n".join(
        [
            "INFO[0000] Retrieving image manifest registry.example.org/base:1",
            "INFO[0004] Built cross stage deps: map[]",
            f"INFO[0009] Unpacking rootfs as cmd {step.instruction} requires it.",
            f"INFO[0012] {step.instruction}",
            "INFO[0012] Taking snapshot of full filesystem...",
            "INFO[0013] cmd: /bin/sh",
            f"INFO[0013] args: [-c {step.command}]",
            *step.output,
            (
                "error building image: error building stage: failed to execute command: "
                f"waiting for process to exit: exit status {step.code}"
            ),
            "",
        ]
    )


Builder = Callable[[FailedStep], str]
BUILDERS: tuple[Builder, ...] = (
    plain, plain_of_platforms, bake, compose, old_plain, build_push_action, block, cut_block, wrapped_block, terminal, rawjson,
    own_log, own_report,
)  # fmt: skip
RUN_BUILDERS: tuple[Builder, ...] = (classic, docker_hub, buildah, kaniko)
"""Builders whose other errors have words of their own."""

BLOCKS: tuple[Builder, ...] = (block, cut_block, wrapped_block, terminal)
"""Forms that lose what a step printed before its last lines."""

MULTI_PLATFORM: tuple[Builder, ...] = (plain_of_platforms, terminal)
"""Forms that name the platform of each step."""


# --- pastes

Paste = Callable[[str], str]
_NOISE_AFTER = {
    "github": "##[error]Process completed with exit code 1.\nPost job cleanup.\n[command]/usr/bin/git version\ngit version 2.43\n"
    "fatal: unable to access 'https://github.com/x/': Could not resolve host\nCleaning up orphan processes\n",
    "gitlab": "Cleaning up project directory and file based variables\nERROR: Job failed: exit code 1\n",
    "jenkins": "[Pipeline] }\n[Pipeline] // stage\nERROR: script returned exit code 1\nFinished: FAILURE\n",
    "azure": "##[error]Bash exited with code '1'.\n##[section]Finishing: Build\n",
    "circleci": "\nExited with code exit status 1\n",
    "buildkite": "\U0001f6a8 Error: The command exited with status 1\nuser command error: exit status 1\n",
    "travis": 'The command "docker build ." exited with 1.\n\nDone. Your build exited with 1.\n',
    "make": "make: *** [Makefile:3: image] Error 1\n",
    "shell": "user@host:~/src$ \n",
}


def _each(prefix: str) -> Paste:
    return lambda text: "".join(f"{prefix}{line}\n" for line in text.splitlines())


def _stamped(after: str, stamp: Callable[[int], str], before: str = "") -> Paste:
    def paste(text: str) -> str:
        lines = (before + text + _NOISE_AFTER.get(after, "")).splitlines()
        return "".join(f"{stamp(number)}{line}\n" for number, line in enumerate(lines))

    return paste


def _github_step(text: str) -> str:
    """As the web page of a run shows it: groups, no times."""
    return (
        "Run docker/build-push-action@v6\n  with:\n    push: true\n  env:\n    A: b\n##[group]Docker info\nClient:\n"
        " Version: 28\n##[endgroup]\n/usr/bin/docker buildx build --platform linux/amd64,linux/arm64 .\n"
        + text
        + _NOISE_AFTER["github"]
    )


def _gitlab_sections(text: str) -> str:
    return (
        "Running with gitlab-runner 16.5.0 (853330f9)\n"
        'section_start:1700000000:step_script\r\x1b[0K\x1b[0K\x1b[36;1mExecuting "step_script" stage of the job script\x1b[0;m\n'
        "\x1b[32;1m$ docker buildx build .\x1b[0;m\n"
        + text
        + "section_end:1700000009:step_script\r\x1b[0Ksection_start:1700000009:cleanup_file_variables\r\x1b[0K\x1b[0K"
        "\x1b[36;1mCleaning up project directory and file based variables\x1b[0;m\n"
        "section_end:1700000010:cleanup_file_variables\r\x1b[0K\x1b[31;1mERROR: Job failed: exit code 1\n\x1b[0;m\n"
    )


def _travis(text: str) -> str:
    return (
        "travis_fold:start:build\r\x1b[0Ktravis_time:start:0a1b\r\x1b[0K$ docker build .\n"
        + text
        + _NOISE_AFTER["travis"]
    )


def _coloured(text: str) -> str:
    return "".join(f"\x1b[31m{line}\x1b[0m\n" for line in text.splitlines())


def _table_row(text: str) -> str:
    return "".join(f"{number:>4} {line}\n" for number, line in enumerate(text.splitlines(), 1))


def _docker_json(text: str) -> str:
    lines = [json.dumps({"log": f"{line}\n", "stream": "stderr"}) for line in text.splitlines()]
    return "\n".join([*lines, ""])


PASTES: dict[str, Paste] = {
    "as it is": lambda text: text,
    "lines ended as on Windows": lambda text: text.replace("\r\n", "\n").replace("\n", "\r\n"),
    "GitHub's raw log": _stamped("github", lambda n: f"2024-01-02T03:{n // 60 % 60:02}:{n % 60:02}.1234567Z "),
    "GitHub's page": _github_step,
    "gh run view --log": _each("build\tBuild and push\t2024-01-02T03:04:05.1234567Z "),
    "GitLab's page": _gitlab_sections,
    "GitLab's time stamps": _stamped("gitlab", lambda _: "2024-05-22T12:43:46.962646Z 00O "),
    "Azure Pipelines": _stamped("azure", lambda n: f"2024-01-02T03:04:{n % 60:02}.7654321Z "),
    "Jenkins' time stamps": _stamped("jenkins", lambda n: f"[2024-01-02T03:04:{n % 60:02}.123Z] "),
    "Jenkins' clock": _stamped("jenkins", lambda n: f"03:04:{n % 60:02}  "),
    "CircleCI": lambda text: "#!/bin/bash -eo pipefail\ndocker buildx build .\n" + text + _NOISE_AFTER["circleci"],
    "Buildkite": lambda text: "".join(
        f"\x1b_bk;t=1700000000000\x07{line}\n" for line in (text + _NOISE_AFTER["buildkite"]).splitlines()
    ),
    "Buildkite's download": _stamped("buildkite", lambda _: "[2024-01-02T03:04:05Z] "),
    "Travis": _travis,
    "TeamCity": _each("[03:04:05]W:\t [Step 1/2] "),
    "Bamboo": _each("build\t02-Jan-2024 03:04:05\t"),
    "Cloud Build": _each('Step #1 - "build": '),
    "kubectl --prefix": _each("[pod/build-x7f/step-build] "),
    "containerd's log": _each("2024-01-02T03:04:05.123456789Z stderr F "),
    "Tekton": _each("[build-push-image : build-push-image] "),
    "docker compose up": _each("builder-1  | "),
    "journal": _each("Jan 02 03:04:05 host dockerd[123]: "),
    "seconds since 1970": _each("1700000000.123 "),
    "a push to a platform that builds": _each("remote: "),
    "quoted": _each("> "),
    "quoted twice": _each("> > "),
    "a framed quotation": _each("| "),
    "quoted in a stamped log": _stamped("", lambda n: f"> 2024-01-02T03:04:{n % 60:02}.123Z "),
    "fenced": lambda text: f"It fails since Tuesday, what may it be?\n\n```console\n{text}```\n\nThanks!\n",
    "indented": _each("    "),
    "indented by tabs": _each("\t"),
    "a comment": _each("# "),
    "numbered": _table_row,
    "HTML": lambda text: f"<pre><code>{html.escape(text)}</code></pre>",
    "HTML with breaks": lambda text: html.escape(text).replace("\n", "<br>\n"),
    "coloured": _coloured,
    "coloured, escapes as cat -v shows them": lambda text: _coloured(text).replace("\x1b", "^["),
    "coloured, escapes lost": lambda text: _coloured(text).replace("\x1b", ""),
    "after a shell's prompt": lambda text: "user@host:~/src$ docker buildx build .\n" + text + _NOISE_AFTER["shell"],
    "run by make": lambda text: "docker buildx build .\n" + text + _NOISE_AFTER["make"],
    "blank lines between": lambda text: text.replace("\n", "\n\n"),
    "blanks at ends": lambda text: "".join(f"{line}   \n" for line in text.splitlines()),
    "no end of the last line": lambda text: text.rstrip("\n"),
    "log lines as JSON": _docker_json,
}  # fmt: skip
"""By name: what becomes of a log on its way to whoever explains it."""

ENCODED: dict[str, Callable[[str], bytes]] = {
    "UTF-16 of PowerShell": lambda text: text.encode("utf-16"),
    "a byte order mark": lambda text: text.encode("utf-8-sig"),
}
