"""Definitions as projects write them, through the real buildx: every unit of bake's is one of ours, or is refused."""

import json
import os
import shutil
import subprocess

import pytest
from bake_files.cases import CASES, FAILURES
from bake_files.units import images_of, mapped_units, printed_units

from multibuild.bake.definition import read_bake
from multibuild.engine.docker import run_docker
from multibuild.errors import ConfigError

pytestmark = pytest.mark.one_driver(driver="docker", reason="buildx prints a definition without any builder")


def environ(project):
    """Return the environment of a shell in the project, without an engine and without an SSH agent."""
    inherited = {name: value for name, value in os.environ.items() if name not in {"CI", "TAG", "VERSION"}}
    inherited.pop("SSH_AUTH_SOCK", None)
    return {**inherited, "PWD": str(project), "DOCKER_HOST": "unix:///nonexistent.sock"}


def read(case, project):
    return read_bake(
        run_docker,
        project=project,
        environ={**environ(project), **getattr(case, "environ", {})},
        files=getattr(case, "files", ()),
        targets=case.targets,
        variables=case.variables,
    )


def printed(case, project):
    """Return what buildx says itself; it wants any socket for an SSH agent."""
    answer = subprocess.run(
        [
            *("docker", "buildx", "bake", "--print"),
            *(f"--file={file}" for file in case.files),
            *case.targets,
        ],
        cwd=project,
        env={**environ(project), **case.variables, "SSH_AUTH_SOCK": str(project / "agent")},
        check=True,
        stdout=subprocess.PIPE,
    )
    return json.loads(answer.stdout)


@pytest.fixture
def project_of(tmp_path):
    return lambda case: shutil.copytree(case.path, tmp_path / case.name)


@pytest.mark.parametrize("case", [case for case in CASES if not case.refused], ids=lambda case: case.name)
def test_a_definition_becomes_the_images_that_buildx_would_build(case, project_of):
    project = project_of(case)
    images = read(case, project)
    assert images_of(images) == case.images
    if case.name != "secrets":  # buildx itself would want an agent there
        document = printed(case, project)
        assert mapped_units(images, document) == printed_units(document)


@pytest.mark.parametrize("case", [case for case in CASES if case.refused], ids=lambda case: case.name)
def test_what_cannot_be_honoured_is_refused_by_name(case, project_of):
    with pytest.raises(ConfigError) as caught:
        read(case, project_of(case))
    shown = [f"target {target}: {key} " in caught.value.message for target, key in case.refused]
    more = f"and {len(shown) - sum(shown)} more"
    assert all(shown) or (sum(shown) == 5 and more in caught.value.message)
    assert "instead: " in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_an_error_of_buildx_is_told_in_its_words_with_the_next_step(failure, tmp_path):
    folder = shutil.copytree(failure.path, tmp_path / "project")
    with pytest.raises(ConfigError) as caught:
        read(failure, folder)
    assert failure.message in caught.value.message
    assert failure.hint in (caught.value.hint or "")
    assert "\n" not in caught.value.message
