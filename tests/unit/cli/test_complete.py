"""Completion, asked as the shells ask it; in bash, by bash itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from multibuild.cli import main
from multibuild.cli.app import app
from multibuild.cli.complete import SCRIPTS, VALUES, complete

ROOT = Path(__file__).resolve().parents[3]
CONFIG = """version: 1
image: localhost:5000/team/app
tags: ["1.2", "${git.sha}", latest]
platforms: [linux/amd64, {name: aarch64, required: false}, linux/s390x]
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "multibuild.yaml").write_text(CONFIG)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return folder


def offered(*words):
    return complete("zsh", words)


def test_commands(project):
    assert {"all", "build", "init", "plan", "resolve"} <= set(offered(""))
    assert "complete" not in offered("")
    assert offered("pl") == ["plan"]
    assert offered("--v") == ["--version"]


def test_options_of_a_command(project):
    assert offered("plan", "--pl") == ["--platform"]
    assert {"--resume", "--no-resume"} <= set(offered("all", "--"))
    assert "--resume" not in offered("runs", "--")
    assert offered("nonsense", "--") == []


def test_platforms_of_the_config_come_first_then_those_of_the_table(project):
    found = offered("all", "--platform", "")
    assert found[:3] == ["linux/amd64", "linux/arm64", "linux/s390x"]
    assert {"linux/arm/v5", "linux/loong64"} <= set(found)
    assert len(found) == len(set(found))


def test_comma_lists_go_on(project):
    assert offered("all", "--platform", "linux/amd64,linux/s390") == ["linux/amd64,linux/s390x"]
    assert "linux/amd64,linux/amd64" not in offered("all", "--platform", "linux/amd64,")


def test_values_after_an_equals_sign(project):
    assert offered("all", "--progress=pl") == ["--progress=plain"]


def test_tags_and_images_of_the_config(project):
    assert offered("all", "--tag", "") == ["1.2", "latest"]
    assert offered("inspect", "") == ["localhost:5000/team/app:1.2", "localhost:5000/team/app:latest"]


def test_runs_newest_first(project, tmp_path):
    state = tmp_path / "elsewhere"
    for name in ("20260101-120000-0001", "20260202-120000-0001"):
        (state / "runs" / name).mkdir(parents=True)
    found = offered("report", "--state-dir", str(state), "")
    assert found == ["latest", "20260202-120000-0001", "20260101-120000-0001"]


def test_another_config(project):
    (project / "other.yaml").write_text(CONFIG.replace("latest]", "edge]"))
    assert offered("all", "-f", "other.yaml", "--tag", "e") == ["edge"]


@pytest.mark.parametrize("text", ["", "{", "platforms: 3\n", "platforms: [linux/vax]\n", "\tx"])
def test_a_broken_config_silences_nothing_else(project, text, capsys):
    (project / "multibuild.yaml").write_text(text)
    assert offered("all", "--tag", "") == []
    assert "linux/arm64" in offered("all", "--platform", "")
    assert offered("all", "--bu") == ["--builder"]
    assert capsys.readouterr().err == ""


def test_files_are_left_to_the_shell(project):
    assert offered("all", "--file", "") == []
    assert offered("explain", "") == []


def test_clients_profiles_and_choices(project):
    assert offered("resolve", "x", "--client", "dock") == ["docker", "docker-legacy"]
    assert offered("plan", "--builder", "a") == ["auto", "airgap"]
    assert offered("completion", "") == ["bash", "zsh", "fish"]
    assert offered("matrix", "--format", "g") == ["github", "gitlab"]


def test_what_is_offered_belongs_to_something():
    parameters = [p for command in get_command(app).commands.values() for p in command.params]  # type: ignore[attr-defined]
    names = {p.name if p.param_type_name == "argument" else p.opts[0] for p in parameters}
    assert set(VALUES) <= names


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("multibuild pl", ["plan"]),
        ("multibuild all --platform linux/s390", ["linux/s390x"]),
        ("multibuild all --platform=linux/s390", ["linux/s390x"]),
        ("multibuild all --platform 'linux/s390", ["linux/s390x"]),
        ("multibuild inspect localhost:5000/team/app:1", ["1.2"]),
        ("multibuild report 2026", ["20260101-120000-0001"]),
    ],
)
def test_bash_offers_it(project, tmp_path, line, expected):
    """A real bash with the script: COMP_LINE as readline sets it, COMPREPLY as it came out."""
    (tmp_path / "state" / "multibuild").mkdir(parents=True)
    from multibuild.journal.runs import default_state_dir

    run = default_state_dir(project, os.environ) / "runs" / "20260101-120000-0001"
    run.mkdir(parents=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    program = programs / "multibuild"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m multibuild "$@"\n')
    program.chmod(0o755)
    script = (
        "set -u\nsource <(multibuild completion bash)\n"
        'COMP_LINE=$1 COMP_POINT=${#1}\ncomplete -p multibuild >&2\n_multibuild multibuild "" ""\n'
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", script, "bash", line],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        cwd=project,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.splitlines() == expected
    assert "-F _multibuild multibuild" in done.stderr


@pytest.mark.parametrize("shell", SCRIPTS)
def test_every_script_asks_the_hidden_command(shell, capsys):
    assert main(["completion", shell]) == 0
    assert f"complete {shell} -- " in capsys.readouterr().out


def test_completing_imports_nothing_heavy(project):
    code = (
        "import sys, json; from multibuild.cli import main; main(['complete', 'zsh', '--', 'all', '--platform', '']);"
        "print(json.dumps([n for n in ('httpx', 'docker', 'python_on_whales', 'multibuild.config.models') if n in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert json.loads(done.stdout.splitlines()[-1]) == []
