"""Hostile flags and odd environments on commands that need no engine: each works, or ends in a clear error."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from waiting import PATIENCE_S

from multibuild.cli.startup import main

ROOT = Path(__file__).resolve().parents[3]
CONFIG = "version: 1\nimage: r.example.org/app\nplatforms: [linux/amd64, {name: linux/arm64, runner: arm}]\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project as the working directory, with its state outside, on a machine without docker and git."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    (folder / "multibuild.yaml").write_text(CONFIG)
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "fifo")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("PATH", "/nonexistent")
    return folder


HOSTILE = (
    "",
    " ",
    ",",
    "\x1b[31m",
    "::error::x",
    "../" * 50,
    "9" * 5000,
    "²",
    "\udcff",
    "ü" * 3000,
    "a/b/c/d/e",
    "-",
)
LONG = "x" * 300
"""A name that no file system has: looking for it is an error, as in a directory that this account may not search."""

STATEFUL = ("plan", "matrix", "report", "runs", "test", "clean", "merge", "all")
OPTIONS = ("--platform", "--set", "--tag", "-f", "--builder", "--jobs", "--state-dir")


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_of_an_option_is_no_bug(option, value, project, capsys):
    code = main(["plan", option, value])
    err = capsys.readouterr().err
    assert code in {0, 2, 3}, err
    assert "a bug in multibuild" not in err
    assert len(err) < 12_000
    assert "\x1b" not in err


@pytest.mark.parametrize(
    "words",
    [
        ["matrix", "--shards", "99999999999999999999999"],
        ["matrix", "--shards", "1000000000"],
        ["matrix", "--format", "\x1b[31m"],
        ["matrix", "--runner", "\udcff"],
        ["matrix", "--format", "gitlab", "--runner", "\udcff ${{ x }}"],
        ["plan", "-f", "loop"],
        ["plan", "-f", "fifo"],
        ["plan", "-f", "/dev/zero"],
        ["plan", "-f", "x" * 5000],
        ["plan", "-f", "/proc/self/mem"],
        ["plan", "--state-dir", "loop"],
        ["plan", "--state-dir", "x" * 5000],
        ["matrix", "--state-dir", "loop/x"],
        ["init", "-f", "new.yaml", "--dockerfile", "loop"],
        ["init", "-f", "x" * 5000],
        ["init", "-f", "new.yaml", "--dockerfile", "fifo"],
        ["init", "-f", "new.yaml", "--image", "\udcff"],
        ["init", "-f", "new.yaml", "--platform", "9" * 5000],
        ["init", "-f", "nowhere/new.yaml"],
        ["init", "-f", "loop/new.yaml"],
        ["init", "-f", LONG + "/new.yaml"],
        ["lint", "-f", LONG],
        ["inspect", "-f", LONG, "r.example.org/app"],
        ["resolve", "-f", LONG, "r.example.org/app"],
        ["verify", "-f", LONG, "r.example.org/app"],
        ["promote", "-f", LONG, "r.example.org/app:1", "r.example.org/app:2"],
        ["merge", "-f", LONG, "r.example.org/app:1", "r.example.org/app:2"],
        ["import", LONG],
        ["all", "--report", LONG + "/report.html"],
        *([command, "--state-dir", "../" + LONG] for command in STATEFUL),
        ["explain", "loop"],
        ["explain", "x" * 5000],
        ["completion", "\udcff"],
        ["inspect", "\udcff"],
        ["inspect", "x" * 5000],
        ["\udcff"],
        ["--\udcff"],
        ["plan", "\udcff"],
    ],
)
def test_hostile_words_are_no_bug(words, project, capsys):
    code = main(words)
    err = capsys.readouterr().err
    assert code in {0, 2, 3}, err
    assert "a bug in multibuild" not in err


ENVIRONMENTS = {
    "no variables": {},
    "no home": {"HOME": ""},
    "a relative home": {"HOME": "home"},
    "no columns": {"COLUMNS": "abc", "LINES": "-1"},
    "huge columns": {"COLUMNS": "9" * 5000},
    "an unknown language": {"LANG": "xx_XX.YY", "LC_ALL": "xx", "LANGUAGE": "::"},
    "plain C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    "a relative state": {"XDG_STATE_HOME": "../state"},
    "a state that is no directory": {"XDG_STATE_HOME": "/dev/null"},
    "no terminal": {"TERM": "", "NO_COLOR": "1", "FORCE_COLOR": "x"},
    "an odd terminal": {"TERM": "\x1b[31m", "COLORTERM": "\xff"},
    "a broken engine": {"DOCKER_HOST": "tcp://[::", "DOCKER_CONTEXT": "../x", "DOCKER_TLS_VERIFY": "x"},
    "no docker config": {"DOCKER_CONFIG": "/nonexistent/x"},
    "odd CI": {"GITHUB_ACTIONS": "\x1b", "CI": "0", "GITHUB_OUTPUT": "/nonexistent"},
    "an epoch that is none": {"SOURCE_DATE_EPOCH": "x" * 5000},
    "completion of nothing": {"_MULTIBUILD_COMPLETE": "complete_bash"},
    "completion of an unknown shell": {"_MULTIBUILD_COMPLETE": "\x1b"},
    "completion of a word beyond the line": {
        "_MULTIBUILD_COMPLETE": "complete_bash",
        "COMP_WORDS": "multibuild",
        "COMP_CWORD": "9" * 5000,
    },
    "a zone that is none": {"TZ": "../../etc/passwd"},
}


@pytest.mark.parametrize("case", ENVIRONMENTS)
def test_an_odd_environment_is_no_bug(case, project):
    process = subprocess.run(
        [sys.executable, "-m", "multibuild", "plan"],
        env={"PYTHONPATH": str(ROOT), "PATH": "/nonexistent", **ENVIRONMENTS[case]},
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert process.returncode in {0, 2, 3}, process.stderr
    assert b"a bug in multibuild" not in process.stderr
    assert b"Traceback" not in process.stderr


def test_a_working_directory_that_is_gone_is_an_error(project):
    script = "import os, sys; os.mkdir('gone'); os.chdir('gone'); os.rmdir('../gone'); os.execv(sys.executable, sys.argv[1:])"
    process = subprocess.run(
        [sys.executable, "-c", script, sys.executable, "-m", "multibuild", "plan"],
        env={"PYTHONPATH": str(ROOT), "PATH": "/nonexistent"},
        capture_output=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert process.returncode in {2, 3}, process.stderr
    assert b"a bug in multibuild" not in process.stderr


def test_a_git_that_fails_costs_init_only_its_guess(project, monkeypatch, capsys):
    program = project.parent / "bin" / "git"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'fatal: detected dubious ownership' >&2\nexit 128\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/bin:/usr/bin")
    assert main(["init", "-f", "new.yaml"]) == 0
    assert (
        "warning: the image's name is not guessed from git: git: fatal: detected dubious"
        in capsys.readouterr().err
    )
    assert "registry.example.org/app" in (project / "new.yaml").read_text()
