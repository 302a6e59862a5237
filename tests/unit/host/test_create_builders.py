import threading
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import FakeEngine, listed_builder

from multibuild.config.profile_models import Node, Profile
from multibuild.engine.builder_container import BuilderContainer
from multibuild.errors import EnvironmentFault
from multibuild.host.choose_builder import BuilderPolicy, choose
from multibuild.host.create_builders import LostRace, create_builders
from multibuild.host.host import Unreachable
from multibuild.host.own_builders import OwnBuilder, OwnBuilders

IMAGE = "registry.example.org/buildkit:1"
CONTAINER = Profile(driver="docker-container", name="team", image=IMAGE)
FLEET = Profile(
    driver="remote", name="farm", nodes=(Node(endpoint="tcp://near:1"), Node(endpoint="tcp://far:1"))
)
CLUSTER = Profile(driver="kubernetes", name="pod", driver_opts={"namespace": "a"})
OTHER_CLUSTER = CLUSTER.model_copy(update={"driver_opts": {"namespace": "b"}})


class Machine:
    """An engine, the record of our builders on it, and the messages."""

    def __init__(self, folder: Path, engine: FakeEngine) -> None:
        self.engine = engine
        self.own = OwnBuilders(folder / "builders")
        self.messages: list[str] = []

    def policy(self, **options):
        return BuilderPolicy(own_builders=self.own, registries={}, try_pull=lambda _image: False, **options)

    def plan(self, profile, **options):
        return choose("p.yaml", profile, self.engine, self.engine.info(), self.policy(**options))

    def create(self, profile, **options):
        plan, policy = self.plan(profile, **options), self.policy(retry_wait_s=0.01, **options)
        return create_builders(plan, self.engine, policy, self.messages.append)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path, FakeEngine(images={IMAGE}))


def test_a_created_builder_is_recorded(machine):
    assert machine.create(CONTAINER).changes == ("created the builder team",)
    assert machine.engine.calls == ["create team", "start team"]
    assert [builder.name for builder in machine.own.all()] == ["team"]


def test_a_second_setup_changes_nothing(machine):
    machine.create(CONTAINER)
    machine.engine.calls.clear()
    assert machine.create(CONTAINER).changes == ()
    assert machine.engine.calls == []


def test_drift_is_mended_and_the_cache_kept(machine):
    machine.create(CONTAINER)
    machine.engine.images.add("registry.example.org/buildkit:2")
    available = machine.create(CONTAINER.model_copy(update={"image": "registry.example.org/buildkit:2"}))
    (change,) = available.changes
    assert change == f"mended the builder team: image is {IMAGE}, wanted registry.example.org/buildkit:2"
    assert machine.engine.calls[2:] == ["remove team keeping its state", "create team", "start team"]


def test_a_cache_is_destroyed_only_with_recreate(machine):
    machine.create(CLUSTER)
    machine.engine.calls.clear()
    assert machine.create(OTHER_CLUSTER).changes == ()
    assert machine.engine.calls == []
    assert any("setup --recreate" in text for text in machine.messages)
    changes = machine.create(OTHER_CLUSTER, recreate=True).changes
    assert changes == ("mended the builder pod: namespace is a, wanted b",)
    assert machine.engine.calls == ["remove pod", "create pod", "start pod"]


def test_a_plan_describes_its_changes(machine):
    machine.engine.images.clear()
    changes = machine.plan(CONTAINER).planned_changes
    assert changes == (f"pull {IMAGE}", "create the docker-container builder team")
    machine.create(CLUSTER)
    machine.engine.calls.clear()
    assert "leave the builder pod" in machine.plan(OTHER_CLUSTER).planned_changes[0]
    assert machine.engine.calls == []


def test_an_unreachable_node_is_reported_and_the_others_are_used(machine):
    machine.engine.unreachable = {"farm-1"}
    available = machine.create(FLEET)
    assert available.unreachable == {"farm-1": Unreachable(reason="nothing answers at tcp://far:1")}
    assert "node farm-1 does not answer: nothing answers at tcp://far:1" in machine.messages


def test_a_container_that_does_not_start_is_unreachable_too(machine):
    profile = CONTAINER.model_copy(update={"nodes": (Node(endpoint="ssh://a"), Node(endpoint="ssh://b"))})
    machine.engine.unreachable = {"team-1"}
    available = machine.create(profile)
    assert "no route to host" in str(available.unreachable["team-1"])
    assert "team-1" not in {builder.name for builder in machine.engine.existing}
    machine.engine.unreachable = set()
    assert machine.create(profile).changes == ("created the builder team-1",)


def test_a_failed_pull_makes_only_the_node_that_needs_it_unreachable(machine):
    machine.engine.images.clear()
    nodes = (Node(), Node(driver="remote", endpoint="tcp://far:1"))
    available = machine.create(CONTAINER.model_copy(update={"nodes": nodes}))
    assert f"pulling {IMAGE}" in str(available.unreachable["team"])
    assert "builder: default" in str(available.unreachable["team"])
    assert available.changes == ("created the builder team-1",)


def test_all_nodes_unreachable_is_an_error(machine):
    machine.engine.unreachable = {"farm", "farm-1"}
    with pytest.raises(EnvironmentFault, match=r"no builder answers: farm: .*near.*farm-1: .*far"):
        machine.create(FLEET)


def test_a_failed_pull_names_the_ways_to_do_without_the_image(machine):
    machine.engine.images.clear()
    with pytest.raises(EnvironmentFault, match="no route to host") as caught:
        machine.create(CONTAINER)
    assert "builder: default" in (caught.value.hint or "")
    assert machine.engine.calls.count(f"pull {IMAGE}") == 3


def test_a_foreign_builder_is_not_touched(machine):
    machine.create(CONTAINER)
    machine.own.forget("team")
    with pytest.raises(EnvironmentFault, match="did not make"):
        machine.create(CONTAINER.model_copy(update={"driver_opts": {"network": "host"}}))
    assert machine.create(CONTAINER).changes == ()


def test_a_record_that_cannot_be_written_names_the_way_out(tmp_path):
    (tmp_path / "file").touch()
    own = OwnBuilders(tmp_path / "file" / "builders")
    for write in (
        lambda: own.add(OwnBuilder(name="team", driver="remote", profile="team")),
        lambda: own.lock(print).__enter__(),
        lambda: own.forget("team"),
    ):
        with pytest.raises(EnvironmentFault, match=r"/file.*: Not a directory") as caught:
            write()
        assert "XDG_STATE_HOME" in (caught.value.hint or "")
    assert own.all() == ()


def test_an_unreadable_record_is_ignored(tmp_path):
    own = OwnBuilders(tmp_path)
    (tmp_path / "team.json").write_text("{")
    (tmp_path / "more.json").write_text('{"name": "more", "unknown": 1}')
    assert own.all() == ()
    own.add(OwnBuilder(name="team", driver="remote", profile="team"))
    assert [builder.name for builder in own.all()] == ["team"]
    own.forget("team")
    own.forget("team")
    assert own.get("team") is None


def test_a_stopped_builder_is_not_unreachable(machine):
    machine.create(CONTAINER)
    team = machine.engine.existing.pop()
    machine.engine.existing.append(replace(team, nodes=(replace(team.nodes[0], status="stopped"),)))
    assert machine.create(CONTAINER).unreachable == {}


def test_the_fake_lists_a_builder_as_created(machine):
    new = machine.plan(CONTAINER).create[0]
    assert listed_builder(new).nodes[0].driver_opts == new.options


def test_an_orphaned_builder_is_reported(machine):
    machine.create(FLEET)
    machine.create(FLEET.model_copy(update={"nodes": FLEET.nodes[:1]}))
    assert machine.messages[-1].startswith("farm-1 is no node of the profile any more")


# Other runs at the same moment.


class Racing(FakeEngine):
    """An engine on which another run creates the same builder just before ours does."""

    def create_builder(self, new):
        super().create_builder(new)
        raise EnvironmentFault(f'existing instance for "{new.name}" but no append mode')


def test_a_builder_that_another_run_just_created_is_a_lost_race(tmp_path):
    machine = Machine(tmp_path, Racing(images={IMAGE}))
    with pytest.raises(LostRace):
        machine.create(CONTAINER)
    assert machine.create(CONTAINER).changes == ()


class Overtaken(FakeEngine):
    """An engine on which another account starts a container of the same name just before ours."""

    def start_builder(self, name):
        super().start_builder(name)
        self.containers.setdefault(f"{name}0", BuilderContainer(image="other", network="bridge", files={}))


def test_a_container_that_another_account_just_started_is_a_lost_race(tmp_path):
    machine = Machine(tmp_path, Overtaken(images={IMAGE}))
    with pytest.raises(LostRace):
        machine.create(CONTAINER)
    assert machine.engine.calls[-1] == "remove team keeping its daemon"
    assert machine.plan(CONTAINER).names != ("team",)


def test_the_lock_is_waited_for(tmp_path):
    own = OwnBuilders(tmp_path / "builders")
    messages: list[str] = []
    entered = threading.Event()

    def second():
        with own.lock(messages.append):
            entered.set()

    with own.lock(messages.append):
        thread = threading.Thread(target=second)
        thread.start()
        while not messages:
            thread.join(0.01)
        assert not entered.is_set()
    thread.join()
    assert entered.is_set()
    assert messages == ["another run makes builders; waiting for it"]


# Builders that buildx lists and whose container does not run.


def down(status, error=""):
    listed = listed_builder(target_of(CONTAINER))
    return replace(listed, error=error, nodes=(replace(listed.nodes[0], status=status),))


def target_of(profile):
    machine = FakeEngine(images={IMAGE})
    policy = BuilderPolicy(
        own_builders=OwnBuilders(Path("/nonexistent")), registries={}, try_pull=lambda _image: False
    )
    (new,) = choose("p.yaml", profile, machine, machine.info(), policy).create
    return new


@pytest.mark.parametrize(
    ("status", "error", "word"),
    [
        ("inactive", "", "gone"),
        ("stopped", "", "stopped"),
        (
            "error",
            "Error response from daemon: Container 3b7 is restarting, wait until the container is running",
            "restarting",
        ),
    ],
)
def test_a_builder_that_is_down_is_started_before_it_builds(machine, status, error, word):
    machine.own.add(OwnBuilder(name="team", driver="docker-container", profile="team"))
    machine.engine.existing.append(down(status, error))
    assert machine.plan(CONTAINER).planned_changes == ("start the builder team",)
    assert machine.create(CONTAINER).changes == (f"started the builder team, whose container was {word}",)
    assert machine.engine.calls == ["start team"]


def test_a_builder_that_does_not_start_is_an_error(machine):
    machine.own.add(OwnBuilder(name="team", driver="docker-container", profile="team"))
    machine.engine.existing.append(down("stopped"))
    machine.engine.unreachable.add("team")
    with pytest.raises(EnvironmentFault, match="starting the builder team"):
        machine.create(CONTAINER)


def test_a_builder_is_not_started_on_the_container_of_another_account(machine):
    """Another account has made it between our look and our start."""
    machine.own.add(OwnBuilder(name="team", driver="docker-container", profile="team"))
    machine.engine.existing.append(down("inactive"))
    plan = machine.plan(CONTAINER)
    machine.engine.containers["team0"] = BuilderContainer(image="other", network="bridge", files={})
    with pytest.raises(LostRace, match="another account"):
        create_builders(plan, machine.engine, machine.policy(), machine.messages.append)


def test_a_builder_of_another_machine_is_recorded_with_it(machine):
    machine.create(CONTAINER.model_copy(update={"nodes": (Node(endpoint="ssh://build@arm-host"),)}))
    (own,) = machine.own.all()
    assert own.endpoint == "ssh://build@arm-host"
