"""The same job on every kind of builder there is."""

import contextlib
import os
import time

import pytest
from e2e.conftest import TWELVE, docker, free_port, multibuild
from e2e.container_buildkit import forwarded

from builders.lab import buildkit_image

pytestmark = pytest.mark.one_driver(driver="docker", reason="it names its builders itself")


@contextlib.contextmanager
def remote_builder():
    """dockerd's own BuildKit behind a TCP port, as a buildx builder of driver `remote`."""
    port, name = free_port(), f"multibuild-e2e-{os.getpid()}"
    with forwarded(buildkit_image.socket(), port):
        try:
            docker("buildx", "create", "--name", name, "--driver", "remote", f"tcp://127.0.0.1:{port}")
            yield name
        finally:
            docker("buildx", "rm", "--force", name, check=False)


@contextlib.contextmanager
def container_builder():
    """A docker-container builder that somebody made by hand."""
    name = f"multibuild-e2e-{os.getpid()}"
    options = ("--driver-opt", f"image={buildkit_image.image()}", "--driver-opt", "network=host")
    docker("buildx", "create", "--name", name, "--driver", "docker-container", *options)
    try:
        yield name
    finally:
        docker("buildx", "rm", "--force", name, check=False)


@contextlib.contextmanager
def engines_own():
    yield "default"


@pytest.mark.parametrize(
    "make", [engines_own, remote_builder, container_builder], ids=lambda make: make.__name__
)
def test_all_succeeds_on_each_kind_of_builder(make, project, state, registry, repository):
    config = project(run=f"echo {time.time_ns()}; uname -m > /machine", platforms=TWELVE)
    with make() as builder:
        done = multibuild("all", "-f", config, "--state-dir", state, "--builder", builder, "--json")
    assert done.code == 0, done.stderr
    assert tuple(registry.images(repository, "latest")) == TWELVE
    assert {row["node"] for row in done.json["platforms"]} == {builder}
    staged = registry.exists(repository, "multibuild-linux-arm64")
    assert staged == (make is engines_own)  # the docker driver cannot push by digest


def test_a_missing_builder_is_explained(project, state):
    done = multibuild("all", "-f", project(), "--state-dir", state, "--builder", "nobody")
    assert done.code == 3
    assert "nobody" in done.stderr
