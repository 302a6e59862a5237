"""Engines that lack something: old ones, ones without image store, unreadable answers."""

import json

import pytest
from fakes.docker import BUILDERS, INFO
from fakes.mistakes import check, error

from multibuild.cli.startup import main

CONFIG = "version: 1\nimage: registry.example.org/app\nplatforms: [linux/amd64, linux/arm64]\n"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "app" / "multibuild.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path / "app")
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def info(docker, **other):
    return json.dumps({**INFO, **other}).replace("BUILDX", str(docker.folder / "docker-buildx"))


def fails(capsys, expected):
    code = main(["setup"])
    check(expected, code, capsys.readouterr().err)


def test_an_engine_without_image_store_and_without_pulls_is_explained(docker, project, capsys):
    docker.answer(
        "info", stdout=info(docker, ServerVersion="20.10.24", DriverStatus=[["Backing Filesystem", "extfs"]])
    )
    docker.answer("ls", stdout=BUILDERS)  # the plugin's own binary
    docker.answer("image", "inspect", stderr="Error: No such image: moby/buildkit", code=1)
    docker.answer("image", "pull", stderr="dial tcp: lookup registry-1.docker.io: no such host", code=1)
    docker.answer("pull", stderr="dial tcp: lookup registry-1.docker.io: no such host", code=1)
    fails(capsys, error(3, "build", hint="three ways out"))


def test_a_buildx_that_does_not_start_is_explained(docker, project, capsys):
    plugin = {"Name": "buildx", "Path": "/usr/libexec/docker-buildx", "Err": "exec format error"}
    docker.answer("info", stdout=info(docker, ClientInfo={"Context": "default", "Plugins": [plugin]}))
    fails(capsys, error(3, "buildx", hint="docker-buildx"))


def test_an_unreadable_answer_is_explained(docker, project, capsys):
    docker.answer("info", stdout="{", code=0)
    fails(capsys, error(3, "docker info", "could not be read", hint="docker"))


def test_a_docker_that_rejects_our_flags_is_explained(docker, project, capsys):
    docker.answer("info", stderr="unknown flag: --format", code=125)
    fails(capsys, error(3, "docker info", "--format", hint="docker info"))
