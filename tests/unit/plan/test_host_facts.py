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


def left_for(builder: str) -> dict[str, object]:
    document: dict[str, object] = json.loads(json.dumps({"for_builder": builder, **FACTS.as_json()}))
    return document


def test_facts_come_back_from_json_as_they_were():
    assert HostFacts.from_json(json.loads(json.dumps(FACTS.as_json()))) == FACTS
    assert Node.from_json(json.loads(json.dumps(NODE.as_json()))) == NODE


def test_recorded_facts_are_no_assumption():
    found = recorded_facts(left_for("auto"), "auto")
    assert found == FACTS
    assert not found.assumed


@pytest.mark.parametrize("document", [None, {}, {"for_builder": "auto"}, {**left_for("auto"), "nodes": 7}])
def test_facts_that_are_missing_or_of_another_version_are_assumed(document):
    assert recorded_facts(document, "auto").assumed


@pytest.mark.parametrize("key", ["nodes", "cpus", "memory", "buildx", "docker_version", "buildx_version"])
def test_facts_without_a_key_are_assumed(key):
    document = left_for("auto")
    del document[key]
    assert recorded_facts(document, "auto").assumed


def test_facts_about_another_builder_do_not_count():
    assert recorded_facts(left_for("auto"), "farm").assumed


def test_facts_with_a_platform_this_version_does_not_know_are_assumed():
    document = left_for("auto")
    document["nodes"] = [{**NODE.as_json(), "runs": ["linux/newarch"]}]
    assert recorded_facts(document, "auto").assumed


@pytest.mark.parametrize(
    ("wanted", "name"),
    [
        ("auto", "multibuild"),
        ("", "multibuild"),
        ("builders/farm.yaml", "multibuild"),
        ("farm", "farm"),
        ("local", "multibuild"),
    ],
)
def test_what_is_assumed(wanted, name):
    facts = assumed_facts(wanted)
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
