from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import FakeEngine, builder

from multibuild.config.profile_models import Node, Profile
from multibuild.errors import EnvironmentFault
from multibuild.host.choose_builder import BuilderPolicy, choose
from multibuild.host.create_builders import create_builders
from multibuild.host.host import Unreachable
from multibuild.host.own_builders import OwnBuilders
from multibuild.host.ssh_nodes import silent_ssh_nodes, why_silent

ENGINE = FakeEngine(
    contexts={"far": "ssh://dead@far", "near": "ssh://build@near", "here": "unix:///run/d.sock"}
)


@pytest.fixture
def network(tmp_path, monkeypatch):
    """An ssh command that reaches every host, as every account but `dead`; `norights` may not use docker."""
    program = tmp_path / "ssh"
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in\n'
        "*'-l dead '*) echo 'ssh: connect to host h port 22: Connection refused' >&2; exit 255;;\n"
        "*'-l nodocker '*docker*) echo 'sh: 1: docker: not found' >&2; exit 127;;\n"
        "*docker*) echo 'docker=28.5.2 linux/arm64';;\n"
        "esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def profile(*nodes, driver="docker-container"):
    return Profile(driver=driver, name="farm", image="i:1", nodes=nodes)


def silent(*nodes, **options):
    return {
        number: unreachable.reason
        for number, unreachable in silent_ssh_nodes(profile(*nodes, **options), ENGINE).items()
    }


def test_only_nodes_behind_ssh_are_asked(network):
    nodes = (Node(), Node(endpoint="tcp://far:1"), Node(endpoint="here"), Node(endpoint="no-context"))
    assert silent(*nodes) == {}
    assert silent_ssh_nodes(None, ENGINE) == {}
    assert silent_ssh_nodes(Profile(), ENGINE) == {}


def test_the_silent_ones_by_their_number(network):
    nodes = (Node(endpoint="ssh://dead@a"), Node(endpoint="ssh://build@b"), Node(endpoint="far"), Node())
    assert silent(*nodes) == {
        0: "dead@a: nothing listens at its ssh port",
        2: "dead@far: nothing listens at its ssh port",
    }


def test_an_endpoint_may_be_a_docker_context(network):
    nodes = (Node(endpoint="near"), Node(endpoint="far"), Node(driver="docker"))
    assert list(silent(*nodes)) == [1]


def test_a_remote_driver_needs_no_docker(network):
    assert silent(Node(endpoint="ssh://nodocker@a"), Node()) != {}
    assert silent(Node(endpoint="ssh://nodocker@a", driver="remote"), Node()) == {}
    assert silent(Node(endpoint="ssh://dead@a", driver="remote"), Node()) != {}


def test_why_a_builder_that_buildx_cannot_reach_is_silent(network):
    node = replace(builder("b").nodes[0], endpoint="ssh://nodocker@a")
    silent_builder = replace(
        builder("b", error="Cannot connect to the Docker daemon at http://docker.example.com"), nodes=(node,)
    )
    assert "docker is not installed" in why_silent(silent_builder).reason
    node = replace(node, endpoint="ssh://build@a")
    assert why_silent(replace(silent_builder, nodes=(node,))) == Unreachable(reason=silent_builder.error)
    engine = FakeEngine(existing=[silent_builder])
    policy = BuilderPolicy(
        own_builders=OwnBuilders(Path("/nonexistent")), registries={}, try_pull=lambda _image: False
    )
    with pytest.raises(
        EnvironmentFault, match="builder b does not answer: nodocker@a: docker is not"
    ) as caught:
        choose("b", None, engine, engine.info(), policy)
    assert "install Docker" in (caught.value.hint or "")


def test_no_node_at_all_is_an_error_with_every_reason(network):
    with pytest.raises(EnvironmentFault) as caught:
        silent(Node(endpoint="ssh://dead@a"), Node(endpoint="ssh://nodocker@b"))
    assert "dead@a: nothing listens" in caught.value.message
    assert "nodocker@b: docker is not installed" in caught.value.message
    assert "start sshd" in (caught.value.hint or "")
    assert "install Docker" in (caught.value.hint or "")


def test_a_silent_node_is_neither_made_nor_mended(network, tmp_path):
    engine = FakeEngine()
    farm = profile(Node(endpoint="ssh://dead@a"), Node(endpoint="ssh://build@b"))
    messages: list[str] = []

    def create(farm):
        policy = BuilderPolicy(
            own_builders=OwnBuilders(tmp_path / "builders"),
            registries={},
            try_pull=lambda _image: False,
            silent=silent_ssh_nodes(farm, engine),
        )
        plan = choose("p.yaml", farm, engine, engine.info(), policy)
        return create_builders(plan, engine, policy, messages.append)

    available = create(farm)
    assert engine.calls == ["create farm-1", "start farm-1"]
    assert [listed.name for listed in available.builders] == ["farm-1"]
    assert "nothing listens at its ssh port" in available.unreachable["farm"].reason
    assert any("node farm does not answer: dead@a" in text and "start sshd" in text for text in messages)
    # It answered once, and its profile changed since.
    engine.existing.append(builder("farm"))
    assert create(farm).changes == ()
    assert engine.calls == ["create farm-1", "start farm-1"]
