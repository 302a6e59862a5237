import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import ENGINE, FakeEngine, builder, listed_builder
from pydantic import ValidationError

from multibuild.config.profile_models import Node, Profile
from multibuild.config.profiles import load_profile
from multibuild.engine.docker import BuilderInfo, Engine
from multibuild.errors import EnvironmentFault
from multibuild.host.choose_builder import BUILDKIT_IMAGE, OWN_NAME, Choice, Terms, choose, engines_own
from multibuild.host.own_builders import OwnBuilder, OwnBuilders
from multibuild.platforms import Platform

CONTAINERD = replace(ENGINE, containerd_store=True)
CONTAINER = Profile(
    driver="docker-container",
    name="team",
    image="registry.example.org/buildkit:1",
    driver_opts={"network": "host"},
    nodes=(),
)


class Record(OwnBuilders):
    """A record that holds what a test says."""

    def __init__(self, *made: OwnBuilder) -> None:
        super().__init__(Path("/nonexistent"))
        self._made = {one.name: one for one in made}

    def get(self, name: str) -> OwnBuilder | None:
        return self._made.get(name)


def terms(*made: OwnBuilder, pull=lambda _image: False, registries=None) -> Terms:
    return Terms(made=Record(*made), registries=registries or {}, may_pull=pull)


def auto(engine: FakeEngine, *, may_pull: bool = False, wanted: str = "auto") -> Choice:
    asked: Engine = engine
    return choose(wanted, None, asked, engine.info(), terms(pull=lambda _image: may_pull))


def with_(**changes) -> Profile:
    """Make the profile with something else in it."""
    return CONTAINER.model_copy(update=changes)


def by_profile(profile: Profile, engine: FakeEngine, *made: OwnBuilder) -> Choice:
    return choose("profile.yaml", profile, engine, engine.info(), terms(*made))


def ours(name: str, driver: str = "docker-container", **more) -> OwnBuilder:
    return OwnBuilder(name=name, driver=driver, profile="team", **more)


def made_of(profile: Profile) -> BuilderInfo:
    """Give the builder that a profile makes, as buildx lists it."""
    return listed_builder(by_profile(profile, FakeEngine()).create[0])


def engine_with(*known: BuilderInfo, **more) -> FakeEngine:
    return FakeEngine(existing=[builder("default", "docker"), *known], **more)


# The ladder of `builder: auto`, from its first rung.


def test_the_builder_of_an_earlier_setup_is_used_again():
    choice = auto(engine_with(builder(OWN_NAME), facts=CONTAINERD, images={BUILDKIT_IMAGE}), may_pull=True)
    assert (choice.names, choice.create, choice.pull) == ((OWN_NAME,), (), None)


def test_with_the_image_there_a_builder_is_made():
    choice = auto(FakeEngine(facts=CONTAINERD, images={BUILDKIT_IMAGE}))
    (new,) = choice.create
    assert choice.names == (new.name,) == (OWN_NAME,)
    assert (new.driver, new.image, choice.pull) == ("docker-container", BUILDKIT_IMAGE, None)


def test_an_image_that_can_be_pulled_is():
    choice = auto(FakeEngine(facts=CONTAINERD), may_pull=True)
    assert choice.pull == BUILDKIT_IMAGE
    assert [new.name for new in choice.create] == [OWN_NAME]


def test_else_the_engines_own_builder_where_it_can_do_several_platforms():
    choice = auto(FakeEngine(facts=CONTAINERD))
    assert (choice.names, choice.create, choice.pull) == (("default",), (), None)


def test_else_the_three_ways_out():
    with pytest.raises(EnvironmentFault) as caught:
        auto(FakeEngine())
    hint = caught.value.hint or ""
    assert BUILDKIT_IMAGE in caught.value.message
    assert "docker pull" in hint
    assert "containerd-snapshotter" in hint
    assert "builder: NAME" in hint


def test_the_image_is_asked_for_by_name_and_once():
    asked = []

    def may_pull(image: str) -> bool:
        asked.append(image)
        return False

    engine = FakeEngine(facts=CONTAINERD)
    choose("auto", None, engine, engine.info(), terms(pull=may_pull))
    assert asked == [BUILDKIT_IMAGE]


def test_choosing_changes_nothing():
    engine = FakeEngine(images={BUILDKIT_IMAGE})
    auto(engine)
    assert engine.actions == []


@pytest.mark.parametrize("own", [builder(OWN_NAME, error="connection refused"), builder(OWN_NAME, "remote")])
def test_a_builder_of_our_name_that_is_of_no_use_is_not_replaced(own):
    choice = auto(engine_with(own, facts=CONTAINERD, images={BUILDKIT_IMAGE}), may_pull=True)
    assert (choice.names, choice.create) == (("default",), ())


def test_a_broken_builder_of_our_name_is_named():
    with pytest.raises(EnvironmentFault, match="connection refused"):
        auto(engine_with(builder(OWN_NAME, error="connection refused"), images={BUILDKIT_IMAGE}))


def test_the_shipped_profile_local_is_auto():
    assert load_profile("local", Path("/nowhere")) is None
    assert auto(engine_with(builder(OWN_NAME)), wanted="local").names == (OWN_NAME,)


# The engine's own builder.


def test_the_engines_own_builder_is_that_of_the_context():
    known = [builder("default", "docker"), builder("remote-box", "docker"), builder("x")]
    found = engines_own(known, replace(ENGINE, context="remote-box"))
    assert found is known[1]


def test_else_it_is_the_default_one():
    known = [builder("x"), builder("default", "docker")]
    assert engines_own(known, replace(ENGINE, context="gone")) is known[1]


def test_or_there_is_none():
    assert engines_own([builder("x"), builder("other", "docker")], ENGINE) is None


# By name.


def test_an_existing_builder_by_name():
    choice = auto(engine_with(builder("farm", "remote")), wanted="farm")
    assert (choice.names, choice.create) == (("farm",), ())


def test_a_name_nobody_has():
    with pytest.raises(EnvironmentFault, match="frm") as caught:
        auto(engine_with(builder("farm")), wanted="frm")
    assert "default, farm" in (caught.value.hint or "")


def test_a_builder_that_does_not_answer():
    broken = builder("farm", error="dial tcp: connection refused\nmore of it")
    with pytest.raises(EnvironmentFault, match="connection refused") as caught:
        auto(engine_with(broken), wanted="farm")
    assert "more of it" not in caught.value.message
    assert "docker buildx inspect farm" in (caught.value.hint or "")


# By profile.


def test_what_a_profile_says_is_made():
    choice = by_profile(CONTAINER, FakeEngine())
    (new,) = choice.create
    assert choice.names == ("team",)
    assert (new.name, new.driver, new.endpoint) == ("team", "docker-container", None)
    assert (new.image, new.buildkitd, new.driver_opts) == (CONTAINER.image, "", CONTAINER.driver_opts)
    assert choice.pull == CONTAINER.image


def test_nobody_is_told_to_remove_the_engines_own_builder():
    with pytest.raises(EnvironmentFault, match="'default' is taken") as caught:
        by_profile(with_(name="default"), engine_with(builder("default", "docker")))
    assert "docker buildx rm" not in (caught.value.hint or "")


def test_an_image_that_is_there_is_not_pulled():
    assert by_profile(CONTAINER, FakeEngine(images={str(CONTAINER.image)})).pull is None


def test_what_is_made_already_is_left_alone():
    choice = by_profile(CONTAINER, engine_with(made_of(CONTAINER)))
    assert (choice.names, choice.create, choice.drifted, choice.pull) == (("team",), (), (), None)


def test_a_name_that_another_driver_took():
    with pytest.raises(EnvironmentFault, match=r"'team' is taken.*driver is remote") as caught:
        by_profile(CONTAINER, engine_with(builder("team", "remote")))
    assert "docker buildx rm team" in (caught.value.hint or "")


def test_each_machine_becomes_a_builder_of_its_own():
    machines = (
        Node(endpoint="unix:///var/run/docker.sock"),
        Node(endpoint="ssh://build@arm-host"),
    )
    first = with_(nodes=machines[:1])
    choice = by_profile(with_(nodes=machines), engine_with(made_of(first)))
    assert choice.names == ("team", "team-1")
    assert [(new.name, new.endpoint) for new in choice.create] == [("team-1", "ssh://build@arm-host")]


def test_a_profile_of_the_engines_own_builder():
    profile = Profile(driver="docker")
    assert by_profile(profile, FakeEngine()).names == ("default",)
    with pytest.raises(EnvironmentFault, match="elsewhere"):
        by_profile(Profile(driver="docker", name="elsewhere"), FakeEngine())


def test_a_remote_profile_pulls_nothing():
    remote = with_(driver="remote", nodes=(Node(endpoint="tcp://box:1234"),))
    choice = by_profile(remote, FakeEngine())
    assert choice.pull is None
    assert choice.create[0].endpoint == "tcp://box:1234"


def test_a_machine_may_have_a_name_and_options_of_its_own():
    machine = Node(endpoint="ssh://build@arm-host", name="arm", driver_opts={"memory": "4g"})
    (new,) = by_profile(with_(nodes=(machine,)), FakeEngine()).create
    assert (new.name, new.driver_opts) == ("arm", {"network": "host", "memory": "4g"})


# Drift.


def test_auto_makes_the_shipped_container_profile():
    (new,) = auto(FakeEngine(images={BUILDKIT_IMAGE})).create
    container = load_profile("container", Path())
    assert container is not None
    assert container.buildkitd is not None
    assert (new.name, new.image, new.driver_opts) == (container.name, BUILDKIT_IMAGE, {"network": "host"})
    assert new.buildkitd == container.buildkitd.read_text()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"image": "registry.example.org/buildkit:2"}, "image is registry.example.org/buildkit:1, wanted"),
        ({"driver_opts": {}}, "network is host, wanted not set"),
        ({"driver_opts": {"network": "host", "memory": "4g"}}, "memory is not set, wanted 4g"),
        ({"nodes": (Node(endpoint="ssh://b"),)}, "endpoint is unix:///var/run/docker.sock, wanted ssh://b"),
        ({"driver": "kubernetes"}, "driver is docker-container, wanted kubernetes"),
    ],
)
def test_a_profile_that_was_edited_is_seen(changed, words):
    found = made_of(CONTAINER)
    (drift,) = by_profile(with_(**changed), engine_with(found), ours("team")).drifted
    assert words in str(drift)
    assert not drift.loses_cache


def test_the_same_difference_in_somebody_elses_builder_is_an_error():
    changed = with_(image="registry.example.org/buildkit:2")
    with pytest.raises(
        EnvironmentFault, match=r"'team' is taken by a builder that multibuild did not make: image"
    ):
        by_profile(changed, engine_with(made_of(CONTAINER)))


def test_a_deployment_in_a_cluster_goes_with_its_cache():
    cluster = Profile(driver="kubernetes", name="team", driver_opts={"namespace": "a"})
    other = cluster.model_copy(update={"driver_opts": {"namespace": "b"}})
    (drift,) = by_profile(other, engine_with(made_of(cluster)), ours("team", "kubernetes")).drifted
    assert drift.loses_cache


def test_a_builder_of_several_nodes_is_not_what_a_profile_makes():
    found = made_of(CONTAINER)
    twice = replace(found, nodes=found.nodes * 2)
    (drift,) = by_profile(CONTAINER, engine_with(twice), ours("team")).drifted
    assert "2 nodes" in str(drift)


def test_an_edited_configuration_is_seen_and_another_spelling_is_not(tmp_path):
    toml = tmp_path / "buildkitd.toml"
    toml.write_text("[worker.oci]\n  gc = true\n")
    profile = with_(buildkitd=toml)
    engine = engine_with(made_of(profile))
    toml.write_text("# as before\n[worker]\n[worker.oci]\ngc=true")
    assert by_profile(profile, engine, ours("team", configured=True)).drifted == ()
    toml.write_text("[worker.oci]\n  gc = false\n")
    (drift,) = by_profile(profile, engine, ours("team", configured=True)).drifted
    assert "buildkitd.toml differs" in str(drift)
    (drift,) = by_profile(CONTAINER, engine, ours("team", configured=True)).drifted
    assert "buildkitd.toml differs" in str(drift)


def test_registries_of_a_config_are_told_to_builders_of_ours():
    registries = {"box:5000": {"http": True}}
    engine = FakeEngine()
    choice = choose("p.yaml", CONTAINER, engine, engine.info(), terms(registries=registries))
    assert tomllib.loads(choice.create[0].buildkitd) == {"registry": {"box:5000": {"http": True}}}


def test_those_that_another_project_needed_stay_known():
    made = ours("team", configured=True, registries={"box:5000": {"http": True}})
    engine = FakeEngine()
    asked = terms(made, registries={"other:1": {"http": True}})
    (new,) = choose("p.yaml", CONTAINER, engine, engine.info(), asked).create
    assert set(tomllib.loads(new.buildkitd)["registry"]) == {"box:5000", "other:1"}


def test_a_remote_builder_is_told_nothing():
    remote = with_(driver="remote", nodes=(Node(endpoint="tcp://box:1234"),))
    engine = FakeEngine()
    asked = terms(registries={"box:5000": {"http": True}})
    assert choose("p.yaml", remote, engine, engine.info(), asked).create[0].buildkitd == ""


# Machines of different kinds.


def test_the_shipped_fleet():
    profile = load_profile("fleet", Path())
    assert profile is not None
    choice = by_profile(profile, FakeEngine(images={BUILDKIT_IMAGE}))
    home, arm, far = choice.create
    assert choice.names == ("multibuild-fleet", "multibuild-fleet-1", "multibuild-fleet-2")
    assert (home.driver, home.endpoint, home.options["network"]) == ("docker-container", None, "host")
    assert (arm.endpoint, arm.image) == ("ssh://build@arm64-host.example.org", BUILDKIT_IMAGE)
    assert (far.driver, far.endpoint, far.image, far.buildkitd) == (
        "remote",
        "tcp://s390x-host.example.org:1234",
        None,
        "",
    )
    assert set(far.options) == {"cacert", "cert", "key"}
    assert choice.meant["multibuild-fleet-2"] == (Platform.parse("linux/s390x"),)


def test_the_engines_own_builder_may_be_a_machine_of_a_fleet():
    machines = (Node(driver="docker"), Node(driver="remote", endpoint="tcp://far:1"))
    choice = by_profile(with_(nodes=machines), FakeEngine())
    assert choice.names == ("default", "team-1")
    assert [new.name for new in choice.create] == ["team-1"]
    assert choice.pull is None


@pytest.mark.parametrize(
    "node",
    [
        {"driver": "remote"},
        {"driver": "docker", "endpoint": "ssh://a"},
        {"driver": "docker", "driver_opts": {"a": "b"}},
    ],
)
def test_a_machine_that_does_not_fit_its_driver(node):
    with pytest.raises(ValidationError, match="driver"):
        Profile.model_validate({"driver": "docker-container", "nodes": [node]})


@pytest.mark.parametrize("name", ["container", "fleet", "kubernetes", "airgap"])
def test_shipped_profiles_are_valid_and_their_files_are_toml(name):
    profile = load_profile(name, Path())
    assert profile is not None
    if profile.buildkitd is not None:
        assert tomllib.loads(profile.buildkitd.read_text())["worker"]
