"""What `plan` prints for people."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from multibuild.cli.commands.plan import as_commands, as_table, image_table
from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import load_config
from multibuild.plan.host_facts import HostFacts, Node
from multibuild.plan.plan import make_plan
from multibuild.platforms import Platform

FACTS = HostFacts(
    nodes=(Node(builder="default", driver="docker", native=Platform.parse("linux/amd64"), runs=()),),
    cpus=2,
    memory=4 * 1024**3,
)


@pytest.fixture
def app(tmp_path):
    """Return the plan of an image for two platforms."""
    path = tmp_path / "multibuild.yaml"
    path.write_text("version: 1\nimage: r.example.org/app\nplatforms: [linux/amd64, linux/arm64]\n")
    return make_plan(
        load_config(path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 2, tzinfo=UTC)), FACTS
    )


def test_of_several_images_those_that_are_built_have_cells(app):
    names = ("app", "worker")
    table = image_table(
        [replace(app, name="app"), replace(app, name="worker", platforms=app.platforms[:1])], together="all"
    ).splitlines()
    assert [line.split() for line in table[:3]] == [
        ["IMAGE", "amd64", "arm64"],
        ["app", "native", "emulated"],
        ["worker", "native", "-"],
    ]
    assert "2 images, 3 builds; no tag moves before all indexes are pushed." in table
    assert [line for line in table if line.startswith(tuple(f"{name} →" for name in names))] == [
        f"{name} → r.example.org/app:latest" for name in names
    ]


def test_where_nothing_is_left_to_build_it_says_so(app):
    done = replace(app, platforms=())
    assert as_table(done) == "nothing to build"
    assert as_commands(done) == "# nothing to build"
    assert image_table([replace(done, name="app"), replace(done, name="worker")], together="all") == (
        "nothing to build"
    )
