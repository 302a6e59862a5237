"""The CI templates are YAML and call multibuild with commands and options that exist."""

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
    """Yield every line of shell."""
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
    """Yield the words of each call of multibuild."""
    for line in lines:
        for words in re.findall(r"(?:^|[\s(;])(?:\$\(MULTIBUILD\)|multibuild) ([^;>|)]*)", line):
            yield shlex.split(words.replace("$$", "$"))


def makefile_calls():
    text = (FOLDER / "Makefile").read_text()
    text = re.sub(r"\$\((?!MULTIBUILD\))[^()]*(?:\([^()]*\))?[^()]*\)", "VALUE", text)
    return list(calls(line for line in text.splitlines() if line.startswith("\t")))


def yaml_calls():
    return [call for path in YAML for call in calls(shell_lines(yaml.safe_load(path.read_text())))]


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_templates_are_yaml(path):
    assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_every_call_is_checked():
    names = {call[0] for call in yaml_calls()}
    assert names == {"matrix", "build", "merge", "$COMMAND"}
    assert {call[0] for call in makefile_calls()} == {"build", "merge", "clean"}


@pytest.mark.parametrize("call", [*yaml_calls(), *makefile_calls()], ids=" ".join)
def test_the_command_and_its_options_exist(call):
    name, *words = call
    name = "all" if name == "$COMMAND" else name
    options = {option for parameter in COMMANDS[name].params for option in parameter.opts}
    assert {word for word in words if word.startswith("-")} <= options


def test_the_jobs_hand_over_what_the_last_one_merges():
    workflow = yaml.safe_load((FOLDER / "github" / "image.yml").read_text())
    steps = [step["with"] for job in workflow["jobs"].values() for step in job["steps"] if "with" in step]
    flags = {step["command"]: step["flags"] for step in steps if "command" in step}
    assert flags == {"build": "--hand-over", "merge": "--handed-over"}
    for command, flag in flags.items():
        assert flag in {option for parameter in COMMANDS[command].params for option in parameter.opts}


def test_the_jobs_are_those_of_matrix():
    jobs = yaml.safe_load((FOLDER / "gitlab" / "multibuild-jobs.yml").read_text())
    from multibuild.workflow.matrix import GITLAB_MATRIX

    assert GITLAB_MATRIX in jobs["build"]["extends"]
    action = yaml.safe_load((FOLDER / "github" / "action.yml").read_text())
    assert set(action["outputs"]) == {"digest", "json", "state"}


@pytest.mark.parametrize("path", YAML, ids=lambda path: path.name)
def test_no_input_becomes_shell(path):
    """GitHub substitutes `${{ … }}` in the script itself: inputs go through `env` instead."""
    assert [line for line in shell_lines(yaml.safe_load(path.read_text())) if "${{" in line] == []


def test_the_jobs_token_is_in_no_build_context_and_has_few_permissions():
    workflow = yaml.safe_load((FOLDER / "github" / "image.yml").read_text())
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    checkouts = [step for step in steps if step.get("uses", "").startswith("actions/checkout@")]
    assert len(checkouts) == 3
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)
    assert workflow["permissions"] == {"contents": "read"}
    writers = {name for name, job in workflow["jobs"].items() if "packages" in job.get("permissions", {})}
    assert writers == {"build", "merge"}
