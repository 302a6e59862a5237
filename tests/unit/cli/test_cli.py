import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from multibuild import __version__
from multibuild.cli.app import program
from multibuild.cli.startup import main

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = tuple(sorted(get_command(program()).commands))  # type: ignore[attr-defined]
SMALL = """version: 1
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
        self.config(SMALL)

    @property
    def file(self) -> Path:
        """The config file."""
        return self.path / "multibuild.yaml"

    def config(self, text: str) -> None:
        """Write the config."""
        self.file.write_text(text, encoding="utf-8")

    def run(self, command: str, *more: str) -> int:
        """Run a command of ours on this project, in this process."""
        return main([command, "-f", str(self.file), "--state-dir", str(self.state), *more])


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    # A run asks docker before it reads the config: there is none here.
    monkeypatch.setenv("PATH", "/nonexistent")
    return Project(tmp_path)


def sub(*arguments: str, cwd: Path, flags: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Run the program as a process of its own; there is no docker on its PATH."""
    environ = {"PYTHONPATH": str(ROOT), "PATH": "/nonexistent", "HOME": str(cwd.parent), "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, *flags, "-m", "multibuild", *arguments],
        cwd=cwd,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
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
def test_every_command_explains_itself_with_examples(command, capsys):
    assert main([command, "--help"]) == 0
    out = capsys.readouterr().out
    *_, last = out.partition("Examples:")
    examples = [line.strip() for line in last.splitlines() if line.strip()]
    assert all("multibuild" in line for line in examples)
    assert any(re.search(rf"\bmultibuild {command}\b", line) for line in examples)
    for flag in ("--file", "--state-dir", "--verbose", "--quiet"):
        assert flag in out


def test_the_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"multibuild {__version__}\n"


def test_without_a_command_the_help_is_shown(capsys):
    assert main([]) == 2
    assert "Commands:" in "".join(capsys.readouterr())


def test_the_help_without_a_command_is_no_error_message(capsys):
    main([])
    assert "error:" not in capsys.readouterr().err


HEAVY = {"python_on_whales", "httpx", "docker"}


@pytest.mark.parametrize(
    "arguments", [["--help"], ["plan", "--help"], ["--version"], ["plan"], ["plan", "--json"]]
)
def test_light_commands_import_nothing_heavy(arguments, project):
    done = sub(*arguments, cwd=project.path, flags=("-X", "importtime"))
    assert done.returncode == 0, done.stderr
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "multibuild.cli" in imported
    assert not HEAVY & {name.partition(".")[0] for name in imported}


def test_help_does_not_read_the_config(project):
    project.config("{")
    assert sub("plan", "--help", cwd=project.path).returncode == 0


# What is typed wrong.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["plna"], "plna"),
        (["plan", "--frobnicate"], "--frobnicate"),
        (["explain"], "LOG"),
        (["inspect"], "REFERENCE"),
        (["plan", "--jobs"], "--jobs"),
    ],
)
def test_a_wrong_command_line_is_a_usage_error(arguments, message, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert "hint: " in err
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        (["--platform", "linux/vax"], "'linux/vax' is not a platform", "riscv64"),
        (["--platform", "linux/riscv46"], "'linux/riscv46'", "perhaps you meant 'riscv64'"),
        (["--platform", "linux/s390x"], "linux/s390x", "it lists linux/amd64"),
        (["--platform", ","], "--platform", "linux/arm64"),
        (["--jobs", "many"], "jobs", ""),
        (["--jobs", "0"], "jobs", ""),
        (["--set", "jobs"], "--set jobs", "key.path=value"),
        (["--set", "plaforms=1"], "plaforms", "platforms"),
        (["--tag", "no/tag"], "no/tag", ""),
    ],
)
def test_a_wrong_flag_of_plan(project, more, message, hint, capsys):
    assert project.run("plan", *more) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert message in err
    assert hint in err


def test_a_state_inside_the_build_context(project, capsys):
    assert main(["plan", "-f", str(project.file), "--state-dir", str(project.path / "state")]) == 2
    assert "inside the build context" in capsys.readouterr().err


def test_a_state_inside_a_named_context(project, tmp_path, capsys):
    shared = tmp_path / "shared"
    shared.mkdir()
    more = ["--set", f"contexts.shared={shared}", "--state-dir", str(shared / "state")]
    assert main(["plan", "-f", str(project.file), *more]) == 2
    assert f"inside the build context {shared}" in capsys.readouterr().err


def test_an_unknown_progress(project, capsys):
    assert project.run("build", "--progress", "wild") == 2
    assert "auto, tty, plain, quiet, json" in capsys.readouterr().err


def test_a_usage_error_leaves_no_run(project):
    project.run("build", "--progress", "wild")
    assert not (project.state / "runs").exists()


# What is written wrong.


def test_a_config_that_is_not_there(tmp_path, capsys):
    path = tmp_path / "nothing.yaml"
    assert main(["plan", "-f", str(path)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == f"error: {path}: there is no such file"


def test_an_unknown_key_is_named_with_its_place_and_the_nearest(project, capsys):
    project.config(SMALL.replace("tags:", "tgas:"))
    assert project.run("plan") == 2
    err = capsys.readouterr().err
    assert f"{project.file}:3:1: tgas" in err
    assert "perhaps you meant 'tags'" in err


def test_an_unknown_key_inside_a_platform(project, capsys):
    project.config(SMALL.replace("required: false", "requird: false"))
    assert project.run("plan") == 2
    err = capsys.readouterr().err
    assert re.search(re.escape(str(project.file)) + r":7:\d+: .*requird", err)
    assert "'required'" in err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("a: [\n", "multibuild.yaml:2:1"),
        ("just text\n", "multibuild.yaml:1:1"),
        ("version: 1\nimage: registry.example.org/app\n", "platforms"),
        ("version: 2\nimage: registry.example.org/app\nplatforms: [linux/amd64]\n", ":1:"),
        ("version: 1\nimage: r.example.org/app:1\nplatforms: [linux/amd64]\n", ":2:"),
        ("version: 1\nimage: r.example.org/app\nplatforms: [linux/amdd64]\n", "'amd64'"),
        ("version: 1\nimage: r.example.org/app\nplatforms: [linux/amd64, x86_64]\n", "already listed"),
        ("version: 1\nimage: r.example.org/app\nplatforms: [linux/amd64]\ntimeout: soon\n", ":4:"),
        ("version: 1\nimage: r.example.org/${NOBODY_SETS_THIS:?say it}\nplatforms: [amd64]\n", "say it"),
    ],
)
def test_a_wrong_config_is_exit_2_with_a_place(project, text, said, capsys):
    project.config(text)
    assert project.run("plan") == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert str(project.file) in err
    assert said in err
    assert "Traceback" not in err


def test_every_fault_of_a_config_is_said_at_once(project, capsys):
    project.config(SMALL.replace("tags:", "tgas:") + "timeout: soon\nmedia_type: zip\n")
    assert project.run("plan") == 2
    err = capsys.readouterr().err
    assert all(word in err for word in ("tgas", "timeout", "media_type"))


def test_a_dockerfile_that_is_not_there(project, capsys):
    (project.path / "Dockerfile").rename(project.path / "Dockerfile.app")
    assert project.run("plan") == 2
    err = capsys.readouterr().err
    assert str(project.path / "Dockerfile") in err
    assert "Dockerfile.app" in err


def test_a_secret_that_is_not_there(project, capsys):
    project.config(SMALL + 'secrets: ["id=npmrc,src=.npmrc"]\n')
    assert project.run("plan") == 2
    assert ".npmrc" in capsys.readouterr().err


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


def test_plan_of_what_is_not_pushed(project, capsys):
    project.config(SMALL + "publish: {to: docker}\n")
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
def test_plan_assumes_what_a_profile_says(project, capsys, profile, builder, assumed):
    (project.path / "own.yaml").write_text(profile, encoding="utf-8")
    assert project.run("plan", "--builder", "own.yaml") == 0
    out = capsys.readouterr().out
    assert out.splitlines()[1].split()[2] == builder
    assert f"assuming {assumed}" in out


@pytest.mark.parametrize(
    ("to", "place"),
    [("oci:out", "oci:out"), ("oci-archive:a.tar", "oci-archive:a.tar"), ("docker", "this engine")],
)
def test_plan_says_that_the_result_stays_on_this_machine(project, capsys, to, place):
    assert project.run("plan", "--set", f"publish.to={to}") == 0
    assert f"  {place} as registry.example.org/team/app:1.2\n" in capsys.readouterr().out
    assert project.run("plan", "--json", "--set", f"publish.to={to}") == 0
    assert json.loads(capsys.readouterr().out)["to"] == to


def test_a_platform_that_is_not_listed_begins_no_run(project, capsys):
    assert project.run("build", "--platform", "linux/riscv64") == 2
    assert "platforms does not list linux/riscv64" in capsys.readouterr().err
    assert not (project.state / "runs").exists()


def test_plan_says_what_a_choice_of_platforms_leaves_out_of_the_index(project, capsys):
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


def test_plan_as_commands_is_what_the_json_says_and_a_shell_can_read(project, capsys):
    project.config(SMALL + "args: {GREETING: it's \"so\"}\nsecrets: ['id=token,env=TOKEN']\n")
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
    done = sub("plan", "--state-dir", str(project.state), cwd=project.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(project.path.rglob("*")) == before
    assert not project.state.exists()


@pytest.mark.parametrize("command", ["all", "build"])
def test_a_dry_run_says_what_plan_says(project, command, capsys):
    assert project.run("plan") == 0
    planned = capsys.readouterr().out
    assert project.run(command, "--dry-run") == 0
    assert capsys.readouterr().out == planned
    assert not project.state.exists()


def test_a_secret_of_the_environment_is_named_and_never_shown(project):
    project.config(SMALL + 'secrets: ["id=token,env=TOKEN"]\n')
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "TOKEN": "hunter2-hunter2"}
    for more in ((), ("--json",), ("--commands",)):
        done = subprocess.run(
            [sys.executable, "-m", "multibuild", "plan", "--state-dir", str(project.state), *more],
            cwd=project.path,
            env=environ,
            capture_output=True,
            text=True,
            check=True,
        )
        assert "hunter2" not in done.stdout + done.stderr


def test_plan_goes_by_the_facts_that_setup_left(project, capsys):
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


def test_facts_that_are_torn_are_as_good_as_none(project, capsys):
    project.state.mkdir()
    (project.state / "facts.json").write_text('{"for_builder": "au')
    assert project.run("plan") == 0
    assert "assuming" in capsys.readouterr().out


# The commands that look back.


def test_explain_as_text_and_as_json(tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_bytes(b"ERROR: failed to solve: unexpected status from HEAD request to https://r/v2/: 503 x\n")
    assert main(["explain", str(log)]) == 0
    out = capsys.readouterr().out
    assert out.startswith("registry-unavailable: worth retrying")
    assert "hint: " in out
    assert main(["explain", str(log), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert set(document) == {"class", "retry", "evidence", "hint"}
    assert (document["class"], document["retry"]) == ("registry-unavailable", "transient")


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_explain_says_that_a_log_holds_no_failure(text, tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_text(text)
    assert main(["explain", str(log)]) == 0
    assert capsys.readouterr().out.startswith("unknown: nothing in it looks like the end of a failed build")
    assert main(["explain", str(log), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["class"] == "unknown"


def test_explain_makes_a_log_harmless_for_the_terminal(tmp_path, capsys):
    log = tmp_path / "build.log"
    log.write_bytes(b"ERROR: \x1b]0;owned\x07\x1b[31mfailed\x1b[0m\n")
    assert main(["explain", str(log)]) == 0
    assert "\x1b" not in capsys.readouterr().out


def test_explain_a_log_that_is_not_there(tmp_path, capsys):
    assert main(["explain", str(tmp_path / "nothing.log")]) == 2
    assert "nothing.log" in capsys.readouterr().err


def test_no_runs_yet(project, capsys):
    assert project.run("runs") == 0
    assert "no runs yet" in capsys.readouterr().out
    assert project.run("report") == 2
    assert "there are no runs" in capsys.readouterr().err


def test_the_schema_is_json(capsys):
    assert main(["schema"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"version", "image", "platforms"} <= set(document["properties"])


# Ends.


def ended(project, *arguments, stdout, stderr=subprocess.PIPE, **environ):
    return subprocess.run(
        [sys.executable, "-m", "multibuild", *arguments],
        cwd=project.path,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environ},
        stdout=stdout,
        stderr=stderr,
        text=True,
        check=False,
    )


@pytest.fixture
def gone():
    """A pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


def test_a_reader_that_has_gone_is_no_error(project, gone):
    done = ended(project, "schema", stdout=gone)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("how", [(), ("--json",)])
def test_a_run_that_failed_has_failed_whoever_reads_of_it(project, gone, how):
    command = ("all", "--state-dir", str(project.state), *how)
    done = ended(project, *command, stdout=gone, PATH="/nowhere")
    assert done.returncode == 3
    assert "there is no docker command" in done.stderr
    assert ended(project, *command, stdout=gone, stderr=gone, PATH="/nowhere").returncode == 3
    with Path("/dev/full").open("w") as full:
        done = ended(project, *command, stdout=full, PATH="/nowhere")
        assert ended(project, *command, stdout=full, stderr=full, PATH="/nowhere").returncode == 3
    assert done.returncode == 3
    assert "there is no docker command" in done.stderr


def test_a_report_that_cannot_be_copied_does_not_hide_why_the_run_failed(project):
    (project.path / "folder").mkdir()
    command = ("all", "--state-dir", str(project.state), "--report", "folder")
    done = ended(project, *command, stdout=subprocess.DEVNULL, PATH="/nowhere")
    assert done.returncode == 3
    assert "there is no docker command" in done.stderr


def test_data_that_cannot_be_written_is_said(project):
    with Path("/dev/full").open("w") as full:
        done = ended(project, "schema", stdout=full)
    assert done.returncode == 3
    assert "No space left on device" in done.stderr


def test_an_encoding_that_lacks_a_sign_costs_the_sign_only(project):
    command = ("plan", "--commands", "--set", "labels.size=größe", "--state-dir", str(project.state))
    done = ended(project, *command, stdout=subprocess.PIPE, PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "gr??e" in done.stdout


def test_without_docker_it_is_the_environments_fault(project):
    done = sub("setup", "--state-dir", str(project.state), cwd=project.path)
    assert done.returncode == 3
    assert "docker" in done.stderr
    assert "hint: " in done.stderr
    assert "Traceback" not in done.stderr
