from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import ENGINE, FakeEngine, builder

from multibuild.config.profiles import Node, Profile, load_profile
from multibuild.engine import BuilderInfo, Engine
from multibuild.errors import EnvironmentFault
from multibuild.host.builder import BUILDKIT_IMAGE, OWN_NAME, Choice, choose, engines_own

CONTAINERD = replace(ENGINE, containerd_store=True)
CONTAINER = Profile(
    driver="docker-container",
    name="team",
    image="registry.example.org/buildkit:1",
    buildkitd=Path("/etc/buildkitd.toml"),
    driver_opts={"network": "host"},
    nodes=(),
)


def auto(engine: FakeEngine, *, may_pull: bool = False, wanted: str = "auto") -> Choice:
    asked: Engine = engine
    return choose(wanted, None, asked, engine.info(), may_pull=lambda _image: may_pull)


def with_(**changes) -> Profile:
    """Make the profile with something else in it."""
    return CONTAINER.model_copy(update=changes)


def by_profile(profile: Profile, engine: FakeEngine) -> Choice:
    return choose("profile.yaml", profile, engine, engine.info(), may_pull=lambda _image: False)


def engine_with(*known: BuilderInfo, **more) -> FakeEngine:
    return FakeEngine(known=[builder("default", "docker"), *known], **more)


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
    choose("auto", None, engine, engine.info(), may_pull=may_pull)
    assert asked == [BUILDKIT_IMAGE]


def test_choosing_changes_nothing():
    engine = FakeEngine(images={BUILDKIT_IMAGE})
    auto(engine)
    assert engine.did == []


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
    assert (new.image, new.buildkitd, new.driver_opts) == (
        CONTAINER.image,
        CONTAINER.buildkitd,
        CONTAINER.driver_opts,
    )
    assert choice.pull == CONTAINER.image


def test_an_image_that_is_there_is_not_pulled():
    assert by_profile(CONTAINER, FakeEngine(images={str(CONTAINER.image)})).pull is None


def test_what_is_made_already_is_left_alone():
    choice = by_profile(CONTAINER, engine_with(builder("team")))
    assert (choice.names, choice.create, choice.pull) == (("team",), (), None)


def test_a_name_that_another_driver_took():
    with pytest.raises(EnvironmentFault, match=r"'team' is taken.*remote") as caught:
        by_profile(CONTAINER, engine_with(builder("team", "remote")))
    assert "docker buildx rm team" in (caught.value.hint or "")


def test_each_machine_becomes_a_builder_of_its_own():
    machines = (
        Node(endpoint="unix:///var/run/docker.sock"),
        Node(endpoint="ssh://build@arm-host"),
    )
    choice = by_profile(with_(nodes=machines), engine_with(builder("team")))
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
