import json

import pytest

from multibuild.plan.host_facts import HostFacts, Node, assumed_facts, recorded_facts
from multibuild.platforms import Platform

NODE = Node(
    builder="multibuild",
    driver="docker-container",
    native=Platform.parse("linux/amd64"),
    runs=(Platform.parse("linux/amd64"), Platform.parse("linux/arm/v5")),
    buildkit="v0.32.2",
    emulators={"linux/arm/v5": "/usr/bin/qemu-arm"},
)
FACTS = HostFacts(
    nodes=(NODE,),
    cpus=8,
    memory=1 << 34,
    buildx=("/usr/libexec/docker/cli-plugins/docker-buildx",),
    docker_version="28.0.0",
    buildx_version="v0.29.1",
)


def facts_json(builder: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(json.dumps({"for_builder": builder, **FACTS.as_json()}))
    return document


def test_facts_survive_json():
    assert HostFacts.from_json(json.loads(json.dumps(FACTS.as_json()))) == FACTS
    assert Node.from_json(json.loads(json.dumps(NODE.as_json()))) == NODE


def test_recorded_facts_are_no_assumption():
    facts = recorded_facts(facts_json("auto"), "auto")
    assert facts == FACTS
    assert not facts.assumed


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        {"for_builder": "auto"},
        {**facts_json("auto"), "nodes": 7},
        {**facts_json("auto"), "nodes": [{**NODE.as_json(), "runs": ["linux/newarch"]}]},
        facts_json("another"),
    ],
)
def test_facts_that_are_missing_or_of_another_version_or_builder_are_assumed(document):
    assert recorded_facts(document, "auto").assumed


@pytest.mark.parametrize("key", ["nodes", "cpus", "memory", "buildx", "docker_version", "buildx_version"])
def test_facts_without_a_key_are_assumed(key):
    document = facts_json("auto")
    del document[key]
    assert recorded_facts(document, "auto").assumed


@pytest.mark.parametrize(
    ("builder", "name"),
    [*((builder, "multibuild") for builder in ("auto", "", "local", "builders/farm.yaml")), ("farm", "farm")],
)
def test_assumed_facts_have_one_builder_that_pushes_by_digest(builder, name):
    facts = assumed_facts(builder)
    (node,) = facts.nodes
    assert (node.builder, node.driver) == (name, "docker-container")
    assert node.pushes_by_digest
    assert facts.assumed
    assert facts.buildx == ("docker", "buildx")


@pytest.mark.parametrize(
    ("driver", "can"), [("docker", False), ("docker-container", True), ("remote", True), ("kubernetes", True)]
)
def test_only_the_docker_driver_cannot_push_by_digest(driver, can):
    assert Node(builder="b", driver=driver, native=NODE.native).pushes_by_digest is can
