from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import FakeEngine, listed_builder

from multibuild.config.profile_models import Node, Profile
from multibuild.errors import EnvironmentFault
from multibuild.host.choose_builder import Terms, choose
from multibuild.host.create_builders import provide
from multibuild.host.own_builders import OwnBuilder, OwnBuilders

IMAGE = "registry.example.org/buildkit:1"
CONTAINER = Profile(driver="docker-container", name="team", image=IMAGE)
FLEET = Profile(
    driver="remote", name="farm", nodes=(Node(endpoint="tcp://near:1"), Node(endpoint="tcp://far:1"))
)
CLUSTER = Profile(driver="kubernetes", name="pod", driver_opts={"namespace": "a"})


class RunContext:
    """An engine, what multibuild made on it, and what was said."""

    def __init__(self, folder: Path, engine: FakeEngine) -> None:
        self.engine = engine
        self.made = OwnBuilders(folder / "builders")
        self.said: list[str] = []

    def provide(self, profile, **how):
        terms = Terms(made=self.made, registries={}, may_pull=lambda _image: False, patience=0.01)
        choice = choose("p.yaml", profile, self.engine, self.engine.info(), terms)
        return provide(choice, self.engine, terms, self.said.append, **{"change": True, **how})


@pytest.fixture
def site(tmp_path):
    return RunContext(tmp_path, FakeEngine(images={IMAGE}))


def test_what_is_made_is_written_down(site):
    assert site.provide(CONTAINER).changes == ("created the builder team",)
    assert site.engine.actions == ["create team", "start team"]
    assert [made.name for made in site.made.all()] == ["team"]


def test_a_second_time_changes_nothing(site):
    site.provide(CONTAINER)
    site.engine.actions.clear()
    assert site.provide(CONTAINER).changes == ()
    assert site.engine.actions == []


def test_drift_is_mended_and_the_cache_kept(site):
    site.provide(CONTAINER)
    site.engine.images.add("registry.example.org/buildkit:2")
    provided = site.provide(CONTAINER.model_copy(update={"image": "registry.example.org/buildkit:2"}))
    assert provided.changes == (
        "mended the builder team: image is registry.example.org/buildkit:1, wanted registry.example.org/buildkit:2",
    )
    assert site.engine.actions[2:] == ["remove team but its state", "create team", "start team"]


def test_a_cache_is_destroyed_only_when_told(site):
    site.provide(CLUSTER)
    other = CLUSTER.model_copy(update={"driver_opts": {"namespace": "b"}})
    site.engine.actions.clear()
    assert site.provide(other).changes == ()
    assert site.engine.actions == []
    assert any("setup --recreate" in text for text in site.said)
    assert site.provide(other, recreate=True).changes == ("mended the builder pod: namespace is a, wanted b",)
    assert site.engine.actions == ["remove pod", "create pod", "start pod"]


def test_a_dry_run_lists_what_would_be_made(site):
    site.engine.images.clear()
    assert site.provide(CONTAINER, change=False).would == (
        f"pull {IMAGE}",
        "create the docker-container builder team",
    )
    site.provide(CLUSTER)
    site.engine.actions.clear()
    other = CLUSTER.model_copy(update={"driver_opts": {"namespace": "b"}})
    assert "leave the builder pod" in site.provide(other, change=False).would[0]
    assert site.engine.actions == []


def test_a_dead_node_is_said_and_the_others_go_on(site):
    site.engine.dead = {"farm-1"}
    provided = site.provide(FLEET)
    assert provided.dead == {"farm-1": "nothing answers at tcp://far:1"}
    assert "node farm-1 does not answer: nothing answers at tcp://far:1" in site.said


def test_a_container_that_does_not_start_is_a_dead_node_too(site):
    machines = (Node(endpoint="ssh://a"), Node(endpoint="ssh://b"))
    site.engine.dead = {"team-1"}
    provided = site.provide(CONTAINER.model_copy(update={"nodes": machines}))
    assert "no route to host" in provided.dead["team-1"]
    assert "team-1" not in {one.name for one in site.engine.existing}
    site.engine.dead = set()
    assert site.provide(CONTAINER.model_copy(update={"nodes": machines})).changes == (
        "created the builder team-1",
    )


def test_an_image_that_only_one_machine_needs_is_that_machines_trouble(site):
    site.engine.images.clear()
    machines = (Node(), Node(driver="remote", endpoint="tcp://far:1"))
    provided = site.provide(CONTAINER.model_copy(update={"nodes": machines}))
    assert f"pulling {IMAGE}" in provided.dead["team"]
    assert "builder: default" in provided.dead["team"]
    assert provided.changes == ("created the builder team-1",)


def test_with_all_of_them_dead_there_is_nobody(site):
    site.engine.dead = {"farm", "farm-1"}
    with pytest.raises(EnvironmentFault, match=r"no builder answers: farm: .*near.*farm-1: .*far"):
        site.provide(FLEET)


def test_an_image_that_cannot_be_had_says_how_to_do_without(site):
    site.engine.images.clear()
    with pytest.raises(EnvironmentFault, match="no route to host") as caught:
        site.provide(CONTAINER)
    assert "builder: default" in (caught.value.hint or "")
    assert site.engine.actions.count(f"pull {IMAGE}") == 3


def test_somebody_elses_builder_is_not_touched(site):
    site.provide(CONTAINER)
    site.made.forget("team")
    with pytest.raises(EnvironmentFault, match="did not make"):
        site.provide(CONTAINER.model_copy(update={"driver_opts": {"network": "host"}}))
    assert site.provide(CONTAINER).changes == ()


def test_a_record_that_cannot_be_read_is_nobodys(tmp_path):
    made = OwnBuilders(tmp_path)
    (tmp_path / "team.json").write_text("{")
    (tmp_path / "more.json").write_text('{"name": "more", "unknown": 1}')
    assert made.all() == ()
    made.add(OwnBuilder(name="team", driver="remote", profile="team"))
    assert [one.name for one in made.all()] == ["team"]
    made.forget("team")
    made.forget("team")
    assert made.get("team") is None


def test_a_builder_that_was_stopped_is_not_dead(site):
    site.provide(CONTAINER)
    (found,) = [one for one in site.engine.existing if one.name == "team"]
    site.engine.existing.remove(found)
    site.engine.existing.append(replace(found, nodes=(replace(found.nodes[0], status="stopped"),)))
    assert site.provide(CONTAINER).dead == {}


def test_listed_builder_is_as_wanted(site):
    """The fake lists a new builder just as it was asked for."""
    terms = Terms(made=site.made, registries={}, may_pull=lambda _image: False, patience=0.01)
    new = choose("p.yaml", CONTAINER, site.engine, site.engine.info(), terms).create[0]
    assert listed_builder(new).nodes[0].driver_opts == new.options


def test_a_machine_that_left_the_profile_is_named(site):
    site.provide(FLEET)
    site.provide(FLEET.model_copy(update={"nodes": FLEET.nodes[:1]}))
    assert site.said[-1].startswith("farm-1 is no node of the profile any more")
