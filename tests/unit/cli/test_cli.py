import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.journals import NOON, write_events
from typer.main import get_command
from waiting import PATIENCE_S

from multibuild import __version__
from multibuild.cli.app import program
from multibuild.cli.startup import main
from multibuild.journal.events import PlatformEnded
from multibuild.journal.runs import State

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = tuple(sorted(get_command(program()).commands))  # type: ignore[attr-defined]
BASE = """version: 1
image: registry.example.org/team/app
tags: ["1.2", latest]
platforms:
  - linux/amd64
  - linux/arm64
  - {name: linux/arm/v7, required: false}
"""


class Project:
    """A project on disk, and a state directory outside it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app"
        self.state = folder / "state"
        self.path.mkdir()
        (self.path / "Dockerfile").write_text("FROM scratch\n", encoding="utf-8")
        self.config(BASE)

    @property
    def file(self) -> Path:
        """The config file."""
        return self.path / "multibuild.yaml"

    def config(self, text: str) -> None:
        """Write the config."""
        self.file.write_text(text, encoding="utf-8")

    def run(self, command: str, *words: str) -> int:
        """Run a command on this project, in this process."""
        return main([command, "-f", str(self.file), "--state-dir", str(self.state), *words])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PATH", "/nonexistent")
    return Project(tmp_path)


def run_process(project, *arguments, flags=(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, **environ):
    """Run the program in its own process, without docker on its PATH."""
    base = {
        "PYTHONPATH": str(ROOT),
        "PATH": "/nowhere",
        "HOME": str(project.path.parent),
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(
        [sys.executable, *flags, "-m", "multibuild", *arguments],
        cwd=project.path,
        env={**base, **environ},
        stdout=stdout,
        stderr=stderr,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )


# Help.


def test_help_lists_the_commands(capsys):
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    listed = re.findall(r"^  ([a-z]+)  ", out[out.index("Commands:") :], re.MULTILINE)
    assert set(listed) == set(COMMANDS)
    assert (listed[0], listed[-1]) == ("init", "completion")
    assert "..." not in out[out.index("Commands:") :]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_examples_and_the_common_flags(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    *_, last = out.partition("Examples:")
    examples = [line.strip() for line in last.splitlines() if line.strip()]
    assert all("multibuild" in line for line in examples)
    assert any(re.search(rf"\bmultibuild {command}\b", line) for line in examples)
    for flag in ("--file", "--state-dir", "--verbose", "--quiet"):
        assert flag in out


def test_without_a_command_the_help_is_shown_without_an_error(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert "Commands:" in out + err
    assert "error:" not in err


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"multibuild {__version__}\n"


HEAVY = {"python_on_whales", "httpx", "docker"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plan", "--help"], ["--version"], ["plan"], ["plan", "--json"]]
)
def test_light_commands_import_nothing_heavy(arguments, project):
    process = run_process(project, *arguments, flags=("-X", "importtime"))
    assert process.returncode == 0, process.stderr
    imported = {line.rpartition("|")[2].strip() for line in process.stderr.splitlines()}
    assert "multibuild.cli" in imported
    assert not HEAVY & {name.partition(".")[0] for name in imported}


def test_help_does_not_read_the_config(project):
    project.config("{")
    assert run_process(project, "plan", "--help").returncode == 0


# Usage errors; words are in test_errors.py.


def test_a_state_directory_inside_a_named_context_is_refused(project, tmp_path, capsys):
    shared = tmp_path / "shared"
    shared.mkdir()
    words = ["--set", f"contexts.shared={shared}", "--state-dir", str(shared / "state")]
    assert main(["plan", "-f", str(project.file), *words]) == 2
    assert f"inside the build context {shared}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--progress", "wild"], "auto, tty, plain, quiet, json"),
        (["--platform", "linux/riscv64"], "platforms does not list linux/riscv64"),
    ],
)
def test_a_usage_error_starts_no_run(project, capsys, words, message):
    assert project.run("build", *words) == 2
    assert message in capsys.readouterr().err
    assert not (project.state / "runs").exists()


# plan.


def test_plan_as_a_table(project, capsys):
    assert project.run("plan") == 0
    out, err = capsys.readouterr()
    rows = [line.split() for line in out.splitlines()]
    assert rows[0][:3] == ["PLATFORM", "HOW", "BUILDER"]
    assert [row[0] for row in rows[1:4]] == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert "linux/arm/v7 (optional)" in out
    assert "  registry.example.org/team/app:1.2" in out.splitlines()
    assert "assuming a docker-container builder and push by digest" in out
    assert "`multibuild doctor`" in out.splitlines()[-1]
    assert all(len(line) <= 80 for line in out.splitlines())
    assert err == ""


def test_plan_of_children_that_are_not_pushed(project, capsys):
    project.config(BASE + "publish: {to: docker}\n")
    assert project.run("plan") == 0
    out = capsys.readouterr().out
    assert {line.split()[-1] for line in out.splitlines()[1:4]} == {"layout"}
    assert "assuming a docker-container builder.\n" in out


@pytest.mark.parametrize(
    ("profile", "builder", "assumed"),
    [
        ("driver: docker\n", "default", "a docker builder and push by tag"),
        ("driver: kubernetes\nname: farm\n", "farm", "a kubernetes builder and push by digest"),
    ],
)
def test_plan_without_facts_assumes_those_of_the_profile(project, capsys, profile, builder, assumed):
    (project.path / "own.yaml").write_text(profile, encoding="utf-8")
    assert project.run("plan", "--builder", "own.yaml") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split()[2] == builder
    assert f"assuming {assumed}" in out


@pytest.mark.parametrize(
    ("to", "place"),
    [("oci:out", "oci:out"), ("oci-archive:a.tar", "oci-archive:a.tar"), ("docker", "this engine")],
)
def test_plan_shows_a_destination_on_this_machine(project, capsys, to, place):
    assert project.run("plan", "--set", f"publish.to={to}") == 0
    assert f"  {place} as registry.example.org/team/app:1.2\n" in capsys.readouterr().out
    assert project.run("plan", "--json", "--set", f"publish.to={to}") == 0
    assert json.loads(capsys.readouterr().out)["to"] == to


def test_plan_lists_the_platforms_that_the_index_will_not_have(project, capsys):
    assert project.run("plan", "--platform", "linux/amd64") == 0
    out = capsys.readouterr().out
    assert "\nThe index will not have linux/arm64, linux/arm/v7: left out by --platform.\n" in out


def test_plan_as_json(project, capsys):
    assert project.run("plan", "--json", "--platform", "aarch64,linux/amd64", "--tag", "x") == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert document["tags"] == ["x"]
    assert document["assumed_host"] is True
    assert [item["platform"] for item in document["platforms"]] == ["linux/amd64", "linux/arm64"]
    assert document["omitted"] == ["linux/arm/v7"]
    assert err == ""


def test_plan_as_commands_equals_the_json_and_a_shell_can_parse_it(project, capsys):
    project.config(BASE + "args: {GREETING: it's \"so\"}\nsecrets: ['id=token,env=TOKEN']\n")
    assert project.run("plan", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert project.run("plan", "--commands") == 0
    first, *commands, last = capsys.readouterr().out.splitlines()
    assert shlex.split(first) == ["cd", str(project.path)]
    assert [shlex.split(line) for line in commands] == [item["command"] for item in document["platforms"]]
    assert 'GREETING=it\'s "so"' in document["platforms"][0]["command"]
    assert last.startswith("#")


def test_plan_changes_nothing_and_needs_no_docker(project):
    before = sorted(project.path.rglob("*"))
    process = run_process(project, "plan", "--state-dir", str(project.state))
    assert (process.returncode, process.stderr) == (0, "")
    assert sorted(project.path.rglob("*")) == before
    assert not project.state.exists()


@pytest.mark.parametrize("command", ["all", "build"])
def test_a_dry_run_prints_the_plan(project, command, capsys):
    assert project.run("plan") == 0
    planned = capsys.readouterr().out
    assert project.run(command, "--dry-run") == 0
    assert capsys.readouterr().out == planned
    assert not project.state.exists()


def test_a_secret_of_the_environment_is_never_shown(project):
    project.config(BASE + 'secrets: ["id=token,env=TOKEN"]\n')
    for words in ((), ("--json",), ("--commands",)):
        command = ("plan", "--state-dir", str(project.state), *words)
        process = run_process(project, *command, TOKEN="hunter2-hunter2")
        assert process.returncode == 0
        assert "hunter2" not in process.stdout + process.stderr


def test_plan_uses_the_recorded_facts(project, capsys):
    project.state.mkdir()
    node = {
        "builder": "default",
        "driver": "docker",
        "native": "linux/arm64",
        "runs": ["linux/arm64"],
        "buildkit": "",
        "emulators": {},
    }
    facts = {"for_builder": "auto", "nodes": [node], "cpus": 4, "memory": 1 << 33, "buildx": ["x"]}
    facts |= {"docker_version": "28", "buildx_version": "0.29"}
    (project.state / "facts.json").write_text(json.dumps(facts))
    assert project.run("plan") == 0
    out = capsys.readouterr().out
    assert re.search(r"linux/arm64 +native +default +app:multibuild-linux-arm64", out)
    assert "assuming" not in out


def test_truncated_facts_are_ignored(project, capsys):
    project.state.mkdir()
    (project.state / "facts.json").write_text('{"for_builder": "au')
    assert project.run("plan") == 0
    assert "assuming" in capsys.readouterr().out


# Logs, runs and the schema.


def test_explain_as_text_and_as_json(tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_bytes(b"ERROR: failed to solve: unexpected status from HEAD request to https://r/v2/: 503 x\n")
    assert main(["explain", str(log)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("registry-unavailable: worth retrying")
    assert "hint: " in out
    assert main(["explain", str(log), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"class", "retry", "evidence", "hint", "step", "platform", "emulated", "others"}
    assert (document["class"], document["retry"]) == ("registry-unavailable", "transient")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_explain_reports_a_log_without_failure(text, tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_text(text)
    assert main(["explain", str(log)]) == 0
    assert capsys.readouterr().out.startswith("unknown: nothing in it looks like a build log")
    assert main(["explain", str(log), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["class"] == "unknown"


def test_explain_says_that_a_build_succeeded(tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_text("#3 [2/2] RUN make\n#3 DONE 1.0s\n#4 exporting to image\n#4 DONE 0.3s\n")
    assert main(["explain", str(log)]) == 0
    assert capsys.readouterr().out == "this build succeeded\n"
    assert main(["explain", str(log), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["class"], document["hint"], document["evidence"]) == (
        "succeeded",
        "this build succeeded",
        "",
    )


def test_explain_names_the_cause_then_what_was_cancelled_for_it(tmp_path, capsys):
    error = 'process "/bin/sh -c make" did not complete successfully: exit code: 2'
    log = tmp_path / "build.log"
    log.write_text(
        "#6 [linux/amd64 build 2/3] RUN make\n#6 CANCELED\n#5 [linux/arm64 build 2/3] RUN make\n"
        f"#5 9.1 a.c:1:2: error: expected ';'\n#5 ERROR: {error}\nERROR: failed to build: failed to solve: {error}\n"
    )
    assert main(["explain", str(log)]) == 0
    out = capsys.readouterr().out
    assert (
        out.index("expected ';'")
        < out.index("on:   linux/arm64")
        < out.index("hint: ")
        < out.index("[linux/amd64")
    )
    assert max(map(len, out.split("hint: ")[1].splitlines())) <= 80
    assert main(["explain", str(log), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["step"], document["platform"]) == ("[linux/arm64 build 2/3] RUN make", "linux/arm64")
    assert document["emulated"] is True
    other = {"step": "[linux/amd64 build 2/3] RUN make", "platform": "linux/amd64", "outcome": "canceled"}
    assert document["others"] == [other]


def test_explain_refuses_a_log_without_an_end(capsys):
    assert main(["explain", "/dev/zero"]) == 2
    assert "tail -c" in capsys.readouterr().err


def test_explain_makes_a_log_harmless_for_the_terminal(tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_bytes(b"ERROR: \x1b]0;owned\x07\x1b[31mfailed\x1b[0m\n")
    assert main(["explain", str(log)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_no_runs_yet(project, capsys):
    assert project.run("runs") == 0
    assert "no runs yet" in capsys.readouterr().out


def test_the_schema_is_json(capsys):
    assert main(["schema"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"version", "image", "platforms"} <= set(document["properties"])


# Exit codes.


@pytest.fixture
def closed_pipe():
    """A pipe whose reader has closed it."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def test_a_closed_reader_is_no_error(project, closed_pipe):
    process = run_process(project, "schema", stdout=closed_pipe)
    assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("format_", [(), ("--json",)])
def test_a_failed_run_is_exit_3_whatever_reads_its_output(project, closed_pipe, format_):
    command = ("all", "--state-dir", str(project.state), *format_)
    process = run_process(project, *command, stdout=closed_pipe)
    assert process.returncode == 3
    assert "there is no docker command" in process.stderr
    assert run_process(project, *command, stdout=closed_pipe, stderr=closed_pipe).returncode == 3
    with Path("/dev/full").open("w") as full:
        process = run_process(project, *command, stdout=full)
        assert run_process(project, *command, stdout=full, stderr=full).returncode == 3
    assert process.returncode == 3
    assert "there is no docker command" in process.stderr


def test_a_report_that_cannot_be_copied_does_not_hide_the_runs_error(project):
    (project.path / "folder").mkdir()
    command = ("all", "--state-dir", str(project.state), "--report", "folder")
    process = run_process(project, *command, stdout=subprocess.DEVNULL)
    assert process.returncode == 3
    assert "there is no docker command" in process.stderr


def test_data_that_cannot_be_written_is_an_environment_fault(project):
    with Path("/dev/full").open("w") as full:
        process = run_process(project, "schema", stdout=full)
    assert process.returncode == 3
    assert "No space left on device" in process.stderr


def test_only_characters_that_an_encoding_lacks_are_lost(project):
    command = ("plan", "--commands", "--set", "labels.size=größe", "--state-dir", str(project.state))
    process = run_process(project, *command, stdout=subprocess.PIPE, PYTHONIOENCODING="ascii")
    assert process.returncode == 0, process.stderr
    assert "gr??e" in process.stdout


def test_missing_docker_is_an_environment_fault(project):
    process = run_process(project, "setup", "--state-dir", str(project.state))
    assert process.returncode == 3
    assert "docker" in process.stderr
    assert "hint: " in process.stderr
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("merge", "no run of registry.example.org/team/app"),
        ("test", "built no child of registry.example.org"),
    ],
)
def test_a_run_of_another_config_in_the_directory_is_not_the_last_run(project, capsys, command, words):
    project.config(BASE + "test: {run: [app]}\n")
    run = State(project.state).new_run(NOON)
    staging = {"kind": "digest", "reference": "r.example/other"}
    other = {"platform": "linux/amd64", "staging": staging}
    run.save_plan({"image": "r.example/other", "platforms": [other]})
    ended = PlatformEnded(platform="linux/amd64", status="succeeded", digest="sha256:" + "a" * 64)
    write_events(run.journal_path, ended)
    assert project.run(command) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("words", "message"), [(["merge"], "no run of"), (["import", "x"], "holds no run")])
def test_what_builds_nothing_needs_no_secrets_of_builds(project, capsys, words, message):
    project.config(BASE + "secrets: ['id=a,env=UNSET_X', 'id=b,src=.absent']\n")
    assert project.run(*words) == 2
    assert message in capsys.readouterr().err


def test_a_platform_that_no_client_looks_for_is_said(project, capsys):
    project.config(
        "version: 1\nimage: r/a\nplatforms: [linux/arm/v9, {name: arm64, also_as: [linux/arm64/v7x]}]\n"
    )
    assert project.run("plan") == 0
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith(
        "multibuild.yaml:3:13: platforms.0.name: no client looks for the variant of linux/arm/v9"
    )
    assert "platforms.1.also_as.0: no client looks for the variant of linux/arm64/v7x" in second


def test_json_changes_no_format_that_was_chosen(project, capsys, monkeypatch):
    assert project.run("matrix", "--format", "github", "--json") == 0
    rows = json.loads(capsys.readouterr().out)["include"]
    assert [set(row) for row in rows] == [{"platform", "slug", "runner"}] * 3
    monkeypatch.chdir(project.path)
    assert project.run("lint", "--format", "sarif", "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"] == "2.1.0"
    assert project.run("lint", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {"findings": []}
