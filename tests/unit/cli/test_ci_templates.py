"""The templates are YAML, and say to multibuild only what it understands."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

from multibuild.cli.app import program

FOLDER = Path(__file__).resolve().parents[3] / "examples" / "ci"
YAML = sorted(FOLDER.rglob("*.yml"))
COMMANDS = typer.main.get_command(program()).commands  # type: ignore[attr-defined]


def shell_lines(value):
    """Give every text below a key that holds shell."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key in {"run", "script", "before_script", "after_script"}:
                yield from inner.splitlines() if isinstance(inner, str) else inner
            else:
                yield from shell_lines(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from shell_lines(inner)


def calls(lines):
    """Give the words of each call of multibuild, up to what ends a command."""
    for line in lines:
        for found in re.findall(r"(?:^|[\s(;])(?:\$\(MULTIBUILD\)|multibuild) ([^;>|)]*)", line):
            yield shlex.split(found.replace("$$", "$"))


def of_makefile():
    text = (FOLDER / "Makefile").read_text()
    shown = re.sub(r"\$\((?!MULTIBUILD\))[^()]*(?:\([^()]*\))?[^()]*\)", "VALUE", text)
    return list(calls(line for line in shown.splitlines() if line.startswith("\t")))


def of_yaml():
    return [call for path in YAML for call in calls(shell_lines(yaml.safe_load(path.read_text())))]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_they_are_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_every_call_was_found():
    names = {call[0] for call in of_yaml()}
    assert names == {"matrix", "build", "import", "merge", "$COMMAND"}
    assert {call[0] for call in of_makefile()} == {"build", "import", "merge", "clean"}


@pytest.mark.parametrize("call", [*of_yaml(), *of_makefile()], ids=" ".join)
def test_multibuild_knows_the_command_and_its_options(call):
    name, *words = call
    name = "all" if name == "$COMMAND" else name
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= known


def test_the_jobs_are_those_that_matrix_writes():
    jobs = yaml.safe_load((FOLDER / "gitlab" / "multibuild-jobs.yml").read_text())
    from multibuild.workflow.matrix import GITLAB_MATRIX

    assert GITLAB_MATRIX in jobs["build"]["extends"]
    action = yaml.safe_load((FOLDER / "github" / "action.yml").read_text())
    assert set(action["outputs"]) == {"digest", "json", "state"}


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_no_input_becomes_shell(path):
    """What `${{ … }}` gives is put into the script before a shell reads it: it goes through `env` instead."""
    assert [line for line in shell_lines(yaml.safe_load(path.read_text())) if "${{" in line] == []


def test_the_jobs_token_is_in_no_build_context_and_may_write_only_where_it_must():
    workflow = yaml.safe_load((FOLDER / "github" / "image.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 3
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert workflow["permissions"] == {"contents": "read"}
    writing = {name for name, job in workflow["jobs"].items() if "packages" in job.get("permissions", {})}
    assert writing == {"build", "merge"}
