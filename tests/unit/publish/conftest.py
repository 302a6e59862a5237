"""Registries in this process, and a session that reaches them like any other."""

import pytest
from fakes.registry_server import FakeRegistry

from multibuild.publish.session import RegistrySession


@pytest.fixture
def fake():
    with FakeRegistry().running() as registry:
        yield registry


@pytest.fixture
def other():
    with FakeRegistry().running() as registry:
        yield registry


@pytest.fixture
def session(monkeypatch, tmp_path):
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    said: list[str] = []
    with RegistrySession(None, say=said.append) as registries:
        yield registries
