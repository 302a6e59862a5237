"""Completion, called like Typer's scripts do, and by bash itself."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.docker import FakeDocker
from typer.main import get_command
from waiting import PATIENCE_S

from multibuild.cli.app import program
from multibuild.cli.completion import SHELLS
from multibuild.cli.startup import main
from multibuild.journal.runs import default_state_dir

ROOT = Path(__file__).resolve().parents[3]
COMMANDS = get_command(program()).commands  # type: ignore[attr-defined]
CONFIG = """version: 1
image: localhost:5000/team/app
tags: ["1.2", "${git.sha}", latest]
platforms: [linux/amd64, {name: aarch64, required: false}, linux/s390x]
"""
HOSTILE = (
    "$(touch owned)", "`touch owned`", r"\$(touch owned)", "a\nb", "a b", "a;touch owned", "x'y", 'x"y', "*", "\x9b1m",
    "\x1b[1m", "-rf", "~root", "a|b", "a>owned", "a&b", "", "!!", "{a,b}", "a[b]", "=ls", "^a^b", "a#b", "$HOME", "${IFS}a", "%1", "<(touch owned)",
    "\u202ea", "a\u200bb", "\ud800", "a\x00b", "a\rb", "a\x85b", "é", "a\\", "--help", "a\u2028touch owned", "(a)", "a:b'c", "1\n",
)  # fmt: skip


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "multibuild.yaml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


@pytest.fixture
def answer(project, monkeypatch, capsys):
    def answer(shell, line):
        monkeypatch.setenv("_MULTIBUILD_COMPLETE", f"complete_{shell}")
        monkeypatch.setenv("_TYPER_COMPLETE_ARGS", line)
        monkeypatch.setenv("_TYPER_COMPLETE_FISH_ACTION", "get-args")
        monkeypatch.setenv("COMP_WORDS", "\n".join(line.split(" ")))
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        assert main([]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return answer


@pytest.fixture
def offered(answer):
    def offered(*words):
        return [
            line.partition("\t")[0] for line in answer("fish", f"multibuild {' '.join(words)}").splitlines()
        ]

    return offered


def test_commands(offered):
    assert {"all", "build", "init", "plan", "resolve"} <= set(offered(""))
    assert offered("pl") == ["plan"]
    assert offered("--v") == ["--version"]


def test_options_of_a_command(offered):
    assert offered("plan", "--pl") == ["--platform"]
    assert {"--resume", "--no-resume"} <= set(offered("all", "--"))
    assert "--resume" not in offered("runs", "--")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_is_completed_in_every_shell(answer, command):
    parameters = (p for p in COMMANDS[command].params if p.param_type_name == "option")
    options = [name for p in parameters for name in (*p.opts, *p.secondary_opts) if name.startswith("--")]
    for shell in SHELLS:
        out = answer(shell, f"multibuild {command} --")
        assert re.findall(r'^(?:_arguments \S+ :\(\()?"?(--[\w-]+)', out, re.MULTILINE) == [
            *options,
            "--help",
        ]
        assert len(out.splitlines()) == len(options) + 1


def test_platforms_of_the_config_come_first_then_those_of_the_table(offered):
    platforms = offered("all", "--platform", "")
    assert platforms[:3] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert {"linux/arm/v5", "linux/loong64"} <= set(platforms)
    assert len(platforms) == len(set(platforms))


def test_comma_lists_are_continued(offered):
    assert offered("all", "--platform", "linux/amd64,linux/s390") == ["linux/amd64,linux/s390x"]
    assert "linux/amd64,linux/amd64" not in offered("all", "--platform", "linux/amd64,")


def test_values_after_an_equals_sign(answer, offered):
    assert offered("all", "--progress=pl") == ["--progress=plain"]
    assert answer("zsh", "multibuild all --progress=pl").startswith("compset -P '--*='; _arguments ")


def test_tags_and_images_of_the_config(offered):
    assert offered("all", "--tag", "") == ["1.2", "latest"]
    assert offered("inspect", "") == ["localhost:5000/team/app:1.2", "localhost:5000/team/app:latest"]
    assert offered("inspect", "x", "--diff", "") == offered("merge", "") == offered("merge", "a", "b", "")


TAKES_IMAGES = [
    name
    for name, command in COMMANDS.items()
    if any(parameter.metavar == "[IMAGE]..." for parameter in command.params)
]
SEVERAL = """version: 1
platforms: [linux/amd64]
image: localhost:5000/team/{name}
images: {app: {}, worker: {target: worker}, "*": {tags: [edge]}, "w[a-z]*": {}}
"""


@pytest.mark.parametrize("command", [name for name in TAKES_IMAGES if name != "report"])
def test_names_of_images_are_offered_once(project, offered, command):
    (project / "multibuild.yaml").write_text(SEVERAL)
    assert offered(command, "") == ["app", "worker"]
    assert offered(command, "w") == ["worker"]
    assert offered(command, "worker", "") == ["app"]
    assert offered(command, "--verbose", "app", "worker", "") == []


@pytest.mark.parametrize("command", ["merge", "verify"])
def test_references_may_be_names_too(project, offered, command):
    (project / "multibuild.yaml").write_text(SEVERAL)
    own = ["localhost:5000/team/app:latest", "localhost:5000/team/worker:latest"]
    assert offered(command, "") == ["app", "worker", *own]
    assert offered(command, "app", "w") == ["worker"]
    assert offered("inspect", "") == own


def test_the_commands_that_take_images_are_found():
    assert {"all", "build", "plan", "test", "matrix", "report"} <= set(TAKES_IMAGES)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "images: 3\n",
        "images: [a]\n",
        "images: {'$(x)': {}, '*': {}, '-A': {}}\n",
        "bake: 3\n",
        CONFIG,
    ],
)
def test_a_config_without_images_that_can_be_read_offers_none(project, offered, text):
    (project / "multibuild.yaml").unlink()
    if text is not None:
        (project / "multibuild.yaml").write_text(text)
    assert offered("all", "") == []


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """A fake docker first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", FakeDocker(folder).path)
    return FakeDocker(folder)


BAKED = "version: 1\nbake: {files: [docker-bake.hcl]}\nimages: {own: {}, '*': {}}\n"


@pytest.mark.parametrize("text", [BAKED, BAKED.replace("{files: [docker-bake.hcl]}", "{}")])
def test_names_of_a_bake_definition_come_from_buildx_without_its_warnings(project, offered, fake, text):
    (project / "multibuild.yaml").write_text(text)
    targets = {name: {"context": "."} for name in ("web", "db")}
    document = {"group": {"default": {"targets": [*targets]}}, "target": targets}
    fake.answer("buildx", "bake", stdout=json.dumps(document), stderr="WARNING: variable X is not set\n")
    assert offered("all", "") == ["db", "web", "own"]


def test_a_bake_definition_with_a_mistake_offers_what_the_config_names(project, offered, fake):
    (project / "multibuild.yaml").write_text(BAKED)
    fake.answer("buildx", "bake", stderr="ERROR: docker-bake.hcl:1,1: no\n", code=1)
    assert offered("all", "") == ["own"]


def test_report_takes_runs_and_then_names(project, offered):
    (project / "multibuild.yaml").write_text(SEVERAL)
    assert offered("report", "") == ["latest", "app", "worker"]
    assert offered("report", "latest", "") == ["app", "worker"]
    assert offered("report", "app", "") == ["worker"]


def test_runs_newest_first(offered, tmp_path):
    state = tmp_path / "elsewhere"
    for name in ("20260101-120000-0001", "20260202-120000-0001", "$(touch owned)"):
        (state / "runs" / name).mkdir(parents=True)
    runs = offered("report", "--state-dir", str(state), "")
    assert runs == ["latest", "20260202-120000-0001", "20260101-120000-0001"]


@pytest.mark.parametrize("option", ["-f other.yaml", "--file=other.yaml", "--verbose --file other.yaml"])
def test_the_config_of_the_file_option_is_read(project, offered, option):
    (project / "other.yaml").write_text(CONFIG.replace("latest]", "edge]"))
    assert offered("all", option, "--tag", "e") == ["edge"]


@pytest.mark.parametrize("text", ["", "{", "platforms: 3\n", "platforms: [linux/vax]\n", "\tx"])
def test_a_broken_config_does_not_stop_other_completions(project, offered, text):
    (project / "multibuild.yaml").write_text(text)
    assert offered("all", "--tag", "") == []
    assert "linux/arm64" in offered("all", "--platform", "")
    assert offered("all", "--bu") == ["--builder"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    "words", ["all --tag ", "inspect ", "all --platform ", "all --platform $(touch owned),"]
)
def test_only_plain_words_reach_the_shell(project, answer, shell, words):
    config = {"version": 1, "image": "r.example/app", "tags": ["1", *HOSTILE], "platforms": [*HOSTILE]}
    (project / "multibuild.yaml").write_text(json.dumps(config))
    out = answer(shell, f"multibuild {words}")
    assert re.fullmatch(r"""(_arguments '\*: :\(\()?["\w./:\\\n-]*(\)\)'\n)?""", out)


@pytest.mark.parametrize("shell", SHELLS)
def test_an_error_prints_nothing(answer, shell):
    assert answer(shell, "multibuild all --file ~nobody-of-this-name/x --tag ") == ""


def test_a_flag_on_the_line_is_not_executed(answer):
    assert answer("zsh", "multibuild --version ").startswith("_arguments ")


def test_files_are_left_to_the_shell(offered):
    assert offered("all", "--file", "") == []
    assert offered("explain", "") == []


def test_clients_profiles_and_choices(offered):
    assert offered("resolve", "x", "--client", "dock") == ["docker", "docker-legacy"]
    assert offered("resolve", "x", "--client", "docker,p") == ["docker,podman"]
    assert offered("plan", "--builder", "a") == ["auto", "airgap"]
    assert offered("plan", "--jobs", "a") == ["auto"]
    assert offered("completion", "") == ["bash", "zsh", "fish"]
    assert offered("matrix", "--format", "g") == ["github", "gitlab"]
    assert offered("verify", "--content", "") == ["entrypoint", "all"]
    assert offered("merge", "--media-type", "") == ["oci", "docker"]
    assert offered("clean", "--only", "") == ["runs", "staged", "builders", "handed-over"]


LINES = {
    "pl": ["plan"],
    "all --platform linux/s390": ["all", "--platform", "linux/s390x"],
    "all --platform=linux/s390": ["all", "--platform=linux/s390x"],
    "all --platform 'linux/s390": ["all", "--platform", "linux/s390x"],
    "inspect localhost:": ["inspect", "localhost:5000/team/app:"],
    "inspect localhost:5000/team/app:1": ["inspect", "localhost:5000/team/app:1.2"],
    'inspect "localhost:5000/team/app:1': ["inspect", "localhost:5000/team/app:1.2"],
    "inspect --diff=localhost:5000/team/app:l": ["inspect", "--diff=localhost:5000/team/app:latest"],
    "merge --also-as b:1=linux/arm64 a localhost:5": ["merge", "--also-as", "b:1=linux/arm64", "a", "localhost:5000/team/app:"],
    "report 2026": ["report", "20260101-120000-0001"],
    "all --file multi": ["all", "--file", "multibuild.yaml"],
}  # fmt: skip


def test_bash_completes_lines(project, tmp_path):
    """An interactive bash: each line is lines, completed with TAB, and run by a program that prints its arguments."""
    (default_state_dir(project, os.environ) / "runs" / "20260101-120000-0001").mkdir(parents=True)
    program = tmp_path / "bin" / "multibuild"
    program.parent.mkdir()
    program.write_text(f"""#!{sys.executable}
import json, os, sys
if "_MULTIBUILD_COMPLETE" in os.environ or sys.argv[1:2] == ["completion"]:
    os.execv(sys.executable, [sys.executable, "-m", "multibuild", *sys.argv[1:]])
print(json.dumps(sys.argv[1:]))
""")
    program.chmod(0o755)
    lines = "".join(f"multibuild {line}\t\n" for line in LINES)
    process = subprocess.run(
        ["bash", "--norc", "--noprofile", "-i"],
        input=f"source <(multibuild completion bash)\n{lines}",
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
        cwd=project,
        env={
            **os.environ,
            "PATH": f"{program.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HISTFILE": "",
        },
    )
    printed = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("[")]
    assert dict(zip(LINES, printed, strict=True)) == LINES, process.stderr


@pytest.mark.parametrize("shell", SHELLS)
def test_every_script_calls_the_program(shell, capsys):
    assert main(["completion", shell]) == 0
    assert f"_MULTIBUILD_COMPLETE=complete_{shell} " in capsys.readouterr().out


def test_completing_imports_nothing_heavy(project):
    code = (
        "import sys, json; from multibuild.cli.startup import main; main([]);"
        "print(json.dumps([n for n in ('httpx', 'docker', 'python_on_whales', 'multibuild.config.config') if n in sys.modules]))"
    )
    words = {
        "_MULTIBUILD_COMPLETE": "complete_zsh",
        "_TYPER_COMPLETE_ARGS": "multibuild all --platform linux/s390",
    }
    process = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(ROOT), **words},
    )
    completions, heavy = process.stdout.splitlines()
    assert "linux/s390x" in completions
    assert json.loads(heavy) == []
