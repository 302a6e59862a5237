"""The stand-in for BuildKit's image, and which end-to-end tests run on one driver alone."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from builders.lab import buildkit_image
from builders.lab.paths import DEFAULT_SOCKET, LabError
from multibuild.host.choose_builder import BUILDKIT_IMAGE

E2E = Path(__file__).resolve().parents[2] / "e2e"


def test_its_name_is_the_one_that_auto_looks_for():
    assert buildkit_image.image() == BUILDKIT_IMAGE


def test_a_profile_without_an_image_is_an_error(tmp_path, monkeypatch):
    profile = tmp_path / "container.yaml"
    profile.write_text("driver: docker-container\n")
    monkeypatch.setattr(buildkit_image, "PROFILE", profile)
    with pytest.raises(LabError, match="names no image"):
        buildkit_image.image()


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("unix:///run/other.sock", Path("/run/other.sock")),
        ("", DEFAULT_SOCKET),
        ("tcp://x:2375", DEFAULT_SOCKET),
    ],
)
def test_the_engine_is_that_of_the_docker_command(host, expected, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", host)
    assert buildkit_image.socket() == expected


def test_a_test_on_one_driver_says_which_and_why():
    """Else a skip would hide in it."""
    marks = [
        node
        for path in E2E.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.one_driver"
    ]
    assert marks
    for mark in marks:
        values = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
        assert values.keys() == {"driver", "reason"}
        assert values["driver"] in {"docker", "docker-container"}
        assert len(values["reason"].split()) >= 3, values
