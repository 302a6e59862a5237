import asyncio

import pytest

from multibuild.builds.failover import MAX_RESTORATIONS, Failover, plan_after_failover
from multibuild.builds.result import BuildResult
from multibuild.failures.classify import failure_of
from multibuild.plan.host_facts import HostFacts, Node
from multibuild.platforms import Platform

AMD64, ARM64 = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")
NODE_DOWN = failure_of("builder-gone", "code = Unavailable")


@pytest.fixture
def plan(plan_of):
    """amd64 on the engine's own builder, arm64 on a remote node; either can build both."""
    nodes = (
        Node(builder="near", driver="docker", native=AMD64, runs=(AMD64, ARM64)),
        Node(builder="far", driver="remote", native=ARM64, runs=(AMD64, ARM64)),
    )
    config = "image: registry.example.org/app\nplatforms: [linux/amd64, linux/arm64]"
    return plan_of(config, HostFacts(nodes=nodes, cpus=2, memory=2**33))


class FakeNodes:
    """Nodes of which some are dead; records which were checked, and messages."""

    def __init__(self, *dead):
        self.dead = dead
        self.checks = []
        self.messages = []

    async def is_alive(self, name):
        self.checks.append(name)
        return name not in self.dead

    def failover(self):
        return Failover(self.is_alive, self.messages.append)


async def test_a_platform_of_a_dead_node_moves_with_its_staging(plan):
    nodes = FakeNodes("far")
    failover = nodes.failover()
    planned = plan.platforms[1]
    assert (planned.node.builder, planned.staging.kind, planned.emulated) == ("far", "digest", False)
    await failover.report_failure(failover.assign(planned), NODE_DOWN)
    moved = failover.assign(planned)
    assert (moved.node.builder, moved.emulated) == ("near", True)
    assert moved.staging.reference == "registry.example.org/app:multibuild-linux-arm64"
    assert len(nodes.messages) == 1
    assert "far" in nodes.messages[0]


async def test_a_node_that_answers_keeps_its_platforms(plan):
    nodes = FakeNodes()
    failover = nodes.failover()
    await failover.report_failure(plan.platforms[1], NODE_DOWN)
    assert nodes.checks == ["far"]
    assert failover.assign(plan.platforms[1]) is plan.platforms[1]


async def test_a_failure_of_the_build_itself_checks_no_node(plan):
    nodes = FakeNodes("far")
    await nodes.failover().report_failure(plan.platforms[1], failure_of("step-failed", "exit code: 1"))
    assert nodes.checks == []


async def test_with_all_nodes_dead_a_platform_stays_on_its_first(plan):
    failover = FakeNodes("far", "near").failover()
    for _ in range(2):
        await failover.report_failure(failover.assign(plan.platforms[1]), NODE_DOWN)
    assert failover.assign(plan.platforms[1]) is plan.platforms[1]


# A builder of ours that is lost.

REMOVED = failure_of("no-builder", 'ERROR: no builder "near" found')


class OwnNodes(FakeNodes):
    """Nodes of which "near" is ours; it is made again unless it `stays_away`."""

    def __init__(self, *dead, stays_away=False):
        super().__init__(*dead)
        self.stays_away = stays_away
        self.restored = []

    def covers(self, name):
        return name == "near"

    async def restore(self, name):
        self.restored.append(name)
        await asyncio.sleep(0)  # as another platform fails meanwhile
        if not self.stays_away:
            self.dead = tuple(dead for dead in self.dead if dead != name)
        return not self.stays_away

    def failover(self):
        return Failover(self.is_alive, self.messages.append, self)


@pytest.mark.parametrize("failure", [NODE_DOWN, REMOVED, failure_of("unknown", "no words for it")])
async def test_a_builder_of_ours_is_made_again_once_for_all_that_it_was_building(plan, failure):
    nodes = OwnNodes("near")
    failover = nodes.failover()
    near = plan.platforms[0]
    failures = await asyncio.gather(*(failover.report_failure(near, failure) for _ in range(3)))
    assert nodes.restored == ["near"]
    assert nodes.messages == ["the builder near is gone: making it again"]
    assert {found.retry for found in failures} == {"transient"}
    assert {found.evidence for found in failures} == {failure.evidence}
    assert failover.assign(near) is near


async def test_a_builder_of_ours_that_answers_again_is_left_alone(plan):
    nodes = OwnNodes()
    assert (await nodes.failover().report_failure(plan.platforms[0], REMOVED)).retry == "transient"
    assert nodes.restored == []


async def test_a_builder_of_others_that_was_removed_is_not_tried_again(plan):
    nodes = OwnNodes("far")
    assert await nodes.failover().report_failure(plan.platforms[1], REMOVED) is REMOVED
    assert nodes.restored == []


async def test_the_platforms_of_a_builder_that_cannot_be_made_again_move(plan):
    nodes = OwnNodes("near", stays_away=True)
    failover = nodes.failover()
    near = plan.platforms[0]
    assert await failover.report_failure(near, NODE_DOWN) is NODE_DOWN
    assert failover.assign(near).node.builder == "far"


async def test_a_builder_that_is_removed_each_time_is_given_up(plan):
    nodes = OwnNodes("near", stays_away=True)
    failover = nodes.failover()
    for _ in range(MAX_RESTORATIONS + 2):
        assert not await failover.restore("near")
    assert len(nodes.restored) == MAX_RESTORATIONS


async def test_a_timeout_after_a_restoration_is_still_one(plan):
    nodes = OwnNodes("near")
    failover = nodes.failover()
    await failover.report_failure(plan.platforms[0], NODE_DOWN)
    slow = failure_of("timeout", "no end after 9 s")
    assert await failover.report_failure(plan.platforms[0], slow) is slow


def test_the_plan_has_the_nodes_that_built_its_platforms(plan):
    results = [
        BuildResult(platform=platform, required=True, status="succeeded", repository="", node="near")
        for platform in (AMD64, ARM64)
    ]
    for results_so_far, builders in ((results, ["near", "near"]), ((), ["near", "far"])):
        platforms = plan_after_failover(plan, results_so_far).platforms
        assert [planned.node.builder for planned in platforms] == builders
