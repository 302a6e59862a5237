from datetime import UTC, datetime

import pytest

from multibuild.builds.failover import Failover, settled
from multibuild.builds.result import BuildResult
from multibuild.buildx.classify import failure_of
from multibuild.config.load import load_config
from multibuild.config.overrides import Overrides
from multibuild.plan.host_facts import HostFacts, Node
from multibuild.plan.plan import make_plan
from multibuild.platforms import Platform

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
GONE = failure_of("builder-gone", "code = Unavailable")


@pytest.fixture
def plan(tmp_path):
    """amd64 on the engine's own builder, arm64 on a remote node; either can do both."""
    path = tmp_path / "multibuild.yaml"
    path.write_text("version: 1\nimage: registry.example.org/app\nplatforms: [linux/amd64, linux/arm64]\n")
    loaded = load_config(
        path, environ={}, overrides=Overrides(), now=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    )
    nodes = (
        Node(builder="near", driver="docker", native=AMD64, runs=(AMD64, ARM64)),
        Node(builder="far", driver="remote", native=ARM64, runs=(AMD64, ARM64)),
    )
    return make_plan(loaded, HostFacts(nodes=nodes, cpus=2, memory=2**33))


class Nodes:
    """Answers for nodes; `asked` is who was."""

    def __init__(self, *dead):
        self.dead = dead
        self.asked = []
        self.said = []

    async def alive(self, name):
        self.asked.append(name)
        return name not in self.dead

    def failover(self):
        return Failover(self.alive, self.said.append)


async def test_a_platform_of_a_dead_node_moves_with_its_staging(plan):
    nodes = Nodes("far")
    failover = nodes.failover()
    item = plan.platforms[1]
    assert (item.node.builder, item.staging.kind, item.emulated) == ("far", "digest", False)
    await failover.report_failure(failover.assign(item), GONE)
    moved = failover.assign(item)
    assert (moved.node.builder, moved.emulated) == ("near", True)
    assert moved.staging.reference == "registry.example.org/app:multibuild-linux-arm64"
    assert len(nodes.said) == 1
    assert "far" in nodes.said[0]


async def test_one_that_answers_keeps_its_platforms(plan):
    nodes = Nodes()
    failover = nodes.failover()
    await failover.report_failure(plan.platforms[1], GONE)
    assert nodes.asked == ["far"]
    assert failover.assign(plan.platforms[1]) is plan.platforms[1]


async def test_a_failure_of_the_build_itself_asks_nobody(plan):
    nodes = Nodes("far")
    await nodes.failover().report_failure(plan.platforms[1], failure_of("step-failed", "exit code: 1"))
    assert nodes.asked == []


async def test_with_all_nodes_gone_it_is_tried_where_it_was(plan):
    failover = Nodes("far", "near").failover()
    for _ in range(2):
        await failover.report_failure(failover.assign(plan.platforms[1]), GONE)
    assert failover.assign(plan.platforms[1]) is plan.platforms[1]


def test_the_plan_as_it_was_carried_out(plan):
    results = [
        BuildResult(platform=AMD64, required=True, status="succeeded", repository="", node="near"),
        BuildResult(platform=ARM64, required=True, status="succeeded", repository="", node="near"),
    ]
    assert [item.node.builder for item in settled(plan, results).platforms] == ["near", "near"]
    assert [item.node.builder for item in settled(plan, ()).platforms] == ["near", "far"]
