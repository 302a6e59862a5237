import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.engine import ENGINE, FakeEngine, builder, listed_builder
from pydantic import ValidationError

from multibuild.config.profile_models import Node, Profile
from multibuild.config.profiles import load_profile
from multibuild.config.sections import Emulators
from multibuild.engine.builder_container import BuilderContainer
from multibuild.engine.engine import BuilderInfo, NewBuilder
from multibuild.errors import EnvironmentFault
from multibuild.host.choose_builder import (
    BUILDKIT_IMAGE,
    OWN_NAME,
    BuilderPlan,
    BuilderPolicy,
    choose,
    default_builder,
)
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
    """A record in memory."""

    def __init__(self, *builders: OwnBuilder) -> None:
        super().__init__(Path("/nonexistent"))
        self._builders = {builder.name: builder for builder in builders}

    def get(self, name: str) -> OwnBuilder | None:
        return self._builders.get(name)


def policy(*own: OwnBuilder, pull=lambda _image: False, registries=None) -> BuilderPolicy:
    return BuilderPolicy(own_builders=Record(*own), registries=registries or {}, try_pull=pull)


def auto(engine: FakeEngine, *, can_pull: bool = False, builder: str = "auto") -> BuilderPlan:
    return choose(builder, None, engine, engine.info(), policy(pull=lambda _image: can_pull))


def edited(**changes) -> Profile:
    return CONTAINER.model_copy(update=changes)


def by_profile(
    profile: Profile, engine: FakeEngine | None = None, *own: OwnBuilder, registries=None
) -> BuilderPlan:
    engine = engine or FakeEngine()
    return choose("profile.yaml", profile, engine, engine.info(), policy(*own, registries=registries))


def ours(name: str, driver: str = "docker-container", **more) -> OwnBuilder:
    return OwnBuilder(name=name, driver=driver, profile="team", **more)


def test_the_own_builder_of_another_context_is_refused_with_the_ways_to_use_it():
    engine = FakeEngine(existing=[builder("default", "docker"), builder("far", "docker")])
    for plan in (
        lambda: choose("far", None, engine, engine.info(), policy()),
        lambda: by_profile(Profile(nodes=(Node(driver="docker", name="far"),)), engine),
        lambda: by_profile(Profile(driver="docker", name="far"), engine),
    ):
        with pytest.raises(
            EnvironmentFault, match="docker context far, and default is the current one"
        ) as caught:
            plan()
        assert "endpoint: far" in (caught.value.hint or "")
        assert "docker context use far" in (caught.value.hint or "")


def test_the_engines_own_builder_has_the_name_of_the_current_context():
    engine = FakeEngine(
        facts=replace(ENGINE, context="desktop-linux"),
        existing=[builder("default", "docker"), builder("desktop-linux", "docker")],
    )
    assert by_profile(Profile.model_validate({"driver": "docker"}), engine).names == ("desktop-linux",)
    assert by_profile(Profile(nodes=(Node(driver="docker"),)), engine).names == ("desktop-linux",)


def created_from(profile: Profile) -> BuilderInfo:
    """Return the builder that a profile creates, as buildx lists it."""
    return listed_builder(by_profile(profile).create[0])


def engine_with(*builders: BuilderInfo, **more) -> FakeEngine:
    return FakeEngine(existing=[builder("default", "docker"), *builders], **more)


# `builder: auto`, from the first choice to the last.


def test_auto_uses_the_builder_of_an_earlier_setup():
    plan = auto(engine_with(builder(OWN_NAME), facts=CONTAINERD, images={BUILDKIT_IMAGE}), can_pull=True)
    assert (plan.names, plan.create, plan.pull) == ((OWN_NAME,), (), None)


@pytest.mark.parametrize(("images", "pull"), [({BUILDKIT_IMAGE}, None), (set(), BUILDKIT_IMAGE)])
def test_auto_creates_a_builder_with_an_image_that_is_present_or_can_be_pulled(images, pull):
    plan = auto(FakeEngine(facts=CONTAINERD, images=images), can_pull=not images)
    (new,) = plan.create
    assert plan.names == (new.name,) == (OWN_NAME,)
    assert (new.driver, new.image, plan.pull) == ("docker-container", BUILDKIT_IMAGE, pull)


def test_auto_falls_back_to_the_engines_own_builder_with_the_containerd_store():
    plan = auto(FakeEngine(facts=CONTAINERD))
    assert (plan.names, plan.create, plan.pull) == (("default",), (), None)


def test_auto_without_any_builder_fails_with_three_ways_out():
    with pytest.raises(EnvironmentFault) as caught:
        auto(FakeEngine())
    assert BUILDKIT_IMAGE in caught.value.message
    for way in ("docker pull", "containerd-snapshotter", "builder: NAME"):
        assert way in (caught.value.hint or "")


def test_auto_tries_to_pull_the_image_once():
    pulls: list[str] = []
    engine = FakeEngine(facts=CONTAINERD)
    choose("auto", None, engine, engine.info(), policy(pull=pulls.append))
    assert pulls == [BUILDKIT_IMAGE]


@pytest.mark.parametrize("own", [builder(OWN_NAME, error="connection refused"), builder(OWN_NAME, "remote")])
def test_an_unusable_builder_of_our_name_is_not_replaced(own):
    plan = auto(engine_with(own, facts=CONTAINERD, images={BUILDKIT_IMAGE}), can_pull=True)
    assert (plan.names, plan.create) == (("default",), ())


def test_a_broken_builder_of_our_name_is_named():
    with pytest.raises(EnvironmentFault, match="connection refused"):
        auto(engine_with(builder(OWN_NAME, error="connection refused"), images={BUILDKIT_IMAGE}))


def test_the_shipped_profile_local_is_auto():
    assert load_profile("local", Path("/nowhere")) is None
    assert auto(engine_with(builder(OWN_NAME)), builder="local").names == (OWN_NAME,)


# The engine's own builder.


@pytest.mark.parametrize(("context", "name"), [("remote-box", "remote-box"), ("unknown", "default")])
def test_the_default_builder_is_that_of_the_docker_context_or_called_default(context, name):
    builders = {name: builder(name, "docker") for name in ("default", "remote-box")}
    chosen = default_builder([builder("x"), *builders.values()], replace(ENGINE, context=context))
    assert chosen is builders[name]


def test_only_a_builder_of_the_docker_driver_is_the_default():
    assert default_builder([builder("default"), builder("other", "docker")], ENGINE) is None


def test_an_existing_builder_is_used_by_name():
    plan = auto(engine_with(builder("farm", "remote")), builder="farm")
    assert (plan.names, plan.create) == (("farm",), ())


@pytest.mark.parametrize(
    ("name", "error", "message", "hint"),
    [
        ("frm", "", "frm", "default, farm"),
        ("farm", "dial tcp: connection refused\nmore", "connection refused$", "docker buildx inspect farm"),
    ],
)
def test_a_builder_name_that_is_unknown_or_does_not_answer_is_an_error(name, error, message, hint):
    with pytest.raises(EnvironmentFault, match=message) as caught:
        auto(engine_with(builder("farm", error=error)), builder=name)
    assert hint in (caught.value.hint or "")


def test_a_profile_creates_its_builder_and_pulls_an_image_that_is_not_present():
    plan = by_profile(CONTAINER)
    (new,) = plan.create
    assert plan.names == ("team",)
    assert (new.name, new.driver, new.endpoint) == ("team", "docker-container", None)
    assert (new.image, new.buildkitd, new.driver_opts) == (CONTAINER.image, "", CONTAINER.driver_opts)
    assert plan.pull == CONTAINER.image
    assert by_profile(CONTAINER, FakeEngine(images={str(CONTAINER.image)})).pull is None


def test_no_hint_suggests_to_remove_the_engines_own_builder():
    with pytest.raises(EnvironmentFault, match="'default' is taken") as caught:
        by_profile(edited(name="default"), engine_with(builder("default", "docker")))
    assert "docker buildx rm" not in (caught.value.hint or "")


def test_an_existing_builder_of_the_profile_needs_no_change():
    plan = by_profile(CONTAINER, engine_with(created_from(CONTAINER)))
    assert (plan.names, plan.planned_changes) == (("team",), ())


def test_a_name_taken_by_another_driver_is_an_error():
    with pytest.raises(EnvironmentFault, match=r"'team' is taken.*driver is remote") as caught:
        by_profile(CONTAINER, engine_with(builder("team", "remote")))
    assert "docker buildx rm team" in (caught.value.hint or "")


def test_each_node_becomes_a_builder_of_its_own():
    nodes = (Node(endpoint="unix:///var/run/docker.sock"), Node(endpoint="ssh://build@arm-host"))
    plan = by_profile(edited(nodes=nodes), engine_with(created_from(edited(nodes=nodes[:1]))))
    assert plan.names == ("team", "team-1")
    assert [(new.name, new.endpoint) for new in plan.create] == [("team-1", "ssh://build@arm-host")]


def test_a_docker_profile_uses_the_engines_own_builder():
    assert by_profile(Profile(driver="docker")).names == ("default",)
    with pytest.raises(EnvironmentFault, match="elsewhere"):
        by_profile(Profile(driver="docker", name="elsewhere"))


def test_a_remote_profile_needs_no_image_and_no_configuration():
    remote = edited(driver="remote", nodes=(Node(endpoint="tcp://box:1234"),))
    plan = by_profile(remote, registries={"box:5000": {"http": True}})
    assert plan.pull is None
    assert (plan.create[0].endpoint, plan.create[0].buildkitd) == ("tcp://box:1234", "")


def test_a_node_may_have_a_name_and_options_of_its_own():
    node = Node(endpoint="ssh://build@arm-host", name="arm", driver_opts={"memory": "4g"})
    (new,) = by_profile(edited(nodes=(node,))).create
    assert (new.name, new.driver_opts) == ("arm", {"network": "host", "memory": "4g"})


# Drift.


def test_auto_plans_the_shipped_container_profile_and_changes_nothing():
    engine = FakeEngine(images={BUILDKIT_IMAGE})
    (new,) = auto(engine).create
    assert engine.calls == []
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
def test_an_edited_profile_is_drift(changed, words):
    engine = engine_with(created_from(CONTAINER))
    (drift,) = by_profile(edited(**changed), engine, ours("team")).mend
    assert words in str(drift)
    assert not drift.loses_cache


@pytest.mark.parametrize("name", ["env.AWS_SECRET_ACCESS_KEY", "env.GITHUB_TOKEN", "env.DB_PASSWORD"])
def test_an_option_that_is_named_like_a_secret_is_drift_without_its_values(name):
    before = edited(driver_opts={name: "Secret-before"})
    engine = engine_with(created_from(before))
    (drift,) = by_profile(edited(driver_opts={name: "Secret-after"}), engine, ours("team")).mend
    assert str(drift) == f"team: {name} is another one than wanted"
    (drift,) = by_profile(edited(driver_opts={}), engine, ours("team")).mend
    assert str(drift) == f"team: {name} is set, wanted not set"


def test_the_same_difference_in_a_foreign_builder_is_an_error():
    changed, engine = edited(image="registry.example.org/buildkit:2"), engine_with(created_from(CONTAINER))
    with pytest.raises(
        EnvironmentFault, match="'team' is taken by a builder that multibuild did not make: image"
    ):
        by_profile(changed, engine)


def test_a_drifted_kubernetes_builder_is_left_because_of_its_cache():
    cluster = Profile(driver="kubernetes", name="team", driver_opts={"namespace": "a"})
    other = cluster.model_copy(update={"driver_opts": {"namespace": "b"}})
    (drift,) = by_profile(other, engine_with(created_from(cluster)), ours("team", "kubernetes")).leave
    assert drift.loses_cache


def test_a_builder_of_several_nodes_is_drift():
    existing = created_from(CONTAINER)
    engine = engine_with(replace(existing, nodes=existing.nodes * 2))
    (drift,) = by_profile(CONTAINER, engine, ours("team")).mend
    assert "2 nodes" in str(drift)


def test_an_edited_configuration_is_drift_and_another_spelling_is_not(tmp_path):
    toml = tmp_path / "buildkitd.toml"
    toml.write_text("[worker.oci]\n  gc = true\n")
    profile = edited(buildkitd=toml)
    engine = engine_with(created_from(profile))
    toml.write_text("# as before\n[worker]\n[worker.oci]\ngc=true")
    assert by_profile(profile, engine, ours("team", configured=True)).mend == ()
    toml.write_text("[worker.oci]\n  gc = false\n")
    (drift,) = by_profile(profile, engine, ours("team", configured=True)).mend
    assert "buildkitd.toml differs" in str(drift)
    (drift,) = by_profile(CONTAINER, engine, ours("team", configured=True)).mend
    assert "buildkitd.toml differs" in str(drift)


def test_our_builders_are_configured_for_the_registries_of_a_config():
    registries = {"box:5000": {"http": True}}
    (new,) = by_profile(CONTAINER, registries=registries).create
    assert tomllib.loads(new.buildkitd) == {"registry": registries}


def test_registries_of_another_project_stay_configured():
    own = ours("team", configured=True, registries={"box:5000": {"http": True}})
    (new,) = by_profile(CONTAINER, None, own, registries={"other:1": {"http": True}}).create
    assert set(tomllib.loads(new.buildkitd)["registry"]) == {"box:5000", "other:1"}


# Nodes of different kinds.


def test_the_shipped_fleet_has_three_kinds_of_nodes():
    profile = load_profile("fleet", Path())
    assert profile is not None
    plan = by_profile(profile, FakeEngine(images={BUILDKIT_IMAGE}))
    home, arm, far = plan.create
    assert plan.names == ("multibuild-fleet", "multibuild-fleet-1", "multibuild-fleet-2")
    assert (home.driver, home.endpoint, home.options["network"]) == ("docker-container", None, "host")
    assert (arm.endpoint, arm.image) == ("ssh://build@arm64-host.example.org", BUILDKIT_IMAGE)
    assert (far.driver, far.endpoint) == ("remote", "tcp://s390x-host.example.org:1234")
    assert (far.image, far.buildkitd) == (None, "")
    assert set(far.options) == {"cacert", "cert", "key"}
    assert plan.platforms["multibuild-fleet-2"] == (Platform.parse("linux/s390x"),)


def test_the_engines_own_builder_may_be_a_node_of_a_fleet():
    nodes = (Node(driver="docker"), Node(driver="remote", endpoint="tcp://far:1"))
    plan = by_profile(edited(nodes=nodes))
    assert plan.names == ("default", "team-1")
    assert [new.name for new in plan.create] == ["team-1"]
    assert plan.pull is None


@pytest.mark.parametrize(
    "node",
    [
        {"driver": "remote"},
        {"driver": "docker", "endpoint": "ssh://a"},
        {"driver": "docker", "driver_opts": {"a": "b"}},
    ],
)
def test_a_node_that_does_not_fit_its_driver_is_invalid(node):
    with pytest.raises(ValidationError, match="driver"):
        Profile.model_validate({"driver": "docker-container", "nodes": [node]})


@pytest.mark.parametrize(
    "name", ["../../x", "a/b", "-x", "--keep-state", ".hidden", "a b", "", "a\nb", "a,b=c"]
)
def test_a_name_of_a_node_that_is_none_of_a_builder_is_invalid(name):
    with pytest.raises(ValidationError, match="name"):
        Profile.model_validate({"nodes": [{"name": name}]})
    with pytest.raises(ValidationError, match="name"):
        Profile.model_validate({"name": name})


@pytest.mark.parametrize("word", ["-v/:/host", "--pid=host", "-", "--driver-opt=network=host", "a b", ""])
def test_what_could_be_a_flag_of_docker_is_invalid(word):
    with pytest.raises(ValidationError, match="image"):
        Profile.model_validate({"image": word})
    with pytest.raises(ValidationError, match="image"):
        Emulators.model_validate({"image": word})
    with pytest.raises(ValidationError, match="endpoint"):
        Profile.model_validate({"nodes": [{"endpoint": word}]})


@pytest.mark.parametrize(
    "image", ["tonistiigi/binfmt:qemu-v10.2.3-68", f"r.example:5000/a@sha256:{'a' * 64}", "a"]
)
@pytest.mark.parametrize("endpoint", ["tcp://host:1234", "my_context", "unix:///run/d.sock", "ssh://a@b"])
def test_images_and_endpoints_are_valid(image, endpoint):
    Emulators.model_validate({"image": image})
    Profile.model_validate({"image": image, "nodes": [{"endpoint": endpoint}]})


@pytest.mark.parametrize("name", ["container", "fleet", "kubernetes", "airgap"])
def test_shipped_profiles_are_valid_and_their_files_are_toml(name):
    profile = load_profile(name, Path())
    assert profile is not None
    if profile.buildkitd is not None:
        assert tomllib.loads(profile.buildkitd.read_text())["worker"]


# Containers of other accounts, and builders in use.


def container_of(new, **changes):
    """Return the container that buildx makes of a new builder."""
    files = {"buildkitd.toml": new.buildkitd.encode()} if new.buildkitd else {}
    container = BuilderContainer(
        image=new.image or "", network=new.options.get("network", "bridge"), files=files
    )
    return replace(container, **changes)


def team_builder(**registries) -> NewBuilder:
    (new,) = by_profile(CONTAINER, registries=registries).create
    return new


INSECURE = {"box:5000": {"http": True}}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"files": {"buildkitd.toml": b"debug = true"}}, "buildkitd.toml differs"),
        ({"files": {}}, "buildkitd.toml differs"),
        ({"image": "registry.example.org/buildkit:2"}, "image is registry.example.org/buildkit:2"),
        ({"network": "bridge"}, "network is bridge, wanted host"),
    ],
)
def test_a_container_with_settings_of_another_account_is_left_alone(changes, words):
    ours = team_builder(**INSECURE)
    engine = FakeEngine(containers={"team0": container_of(ours, **changes)})
    plan = by_profile(CONTAINER, engine, registries=INSECURE)
    (created,) = plan.create
    assert re.fullmatch("team-[0-9a-f]{8}", created.name)
    assert plan.names == (created.name,)
    assert replace(created, name="team") == ours
    (note,) = plan.notes
    assert words in note
    assert created.name in note


def test_a_container_of_another_account_with_our_settings_is_used():
    engine = FakeEngine(containers={"team0": container_of(team_builder())})
    plan = by_profile(CONTAINER, engine)
    assert [new.name for new in plan.create] == ["team"]
    assert plan.notes == ()


def test_the_container_of_a_node_is_looked_for_on_its_machine():
    """A fast machine is shared: each of its accounts' profiles has the same name."""
    there = edited(nodes=(Node(endpoint="ssh://build@arm"),))
    foreign = container_of(team_builder(), network="bridge")
    engine = FakeEngine(containers={"team0 at ssh://build@arm": foreign})
    plan = by_profile(there, engine)
    assert re.fullmatch("team-[0-9a-f]{8}", plan.names[0])
    assert "network is bridge, wanted host" in plan.notes[0]
    assert by_profile(there, FakeEngine(containers={"team0": foreign})).names == ("team",)


def test_the_name_of_its_own_depends_on_the_settings_alone():
    foreign = container_of(team_builder(), files={"buildkitd.toml": b"x = 1"})
    first, again, other = (
        by_profile(CONTAINER, FakeEngine(containers={"team0": foreign}), registries=registries).names
        for registries in ({}, {}, INSECURE)
    )
    assert first == again
    assert first != other


def test_a_container_that_replaced_ours_is_noticed():
    """Another account removed our container and made one of its own: our list still describes ours."""
    ours = team_builder(**INSECURE)
    engine = FakeEngine(containers={"team0": container_of(ours, files={})})
    engine.existing.append(listed_builder(ours))
    plan = by_profile(CONTAINER, engine, own(), registries=INSECURE)
    assert plan.mend == ()
    assert [new.name for new in plan.create] == list(plan.names)
    assert plan.names != ("team",)


def test_a_container_that_is_ours_is_used():
    ours = team_builder(**INSECURE)
    engine = FakeEngine(containers={"team0": container_of(ours)})
    engine.existing.append(listed_builder(ours))
    plan = by_profile(CONTAINER, engine, own(), registries=INSECURE)
    assert (plan.names, plan.create, plan.mend, plan.notes) == (("team",), (), (), ())


def test_a_builder_in_use_is_not_made_anew():
    ours = team_builder()
    engine = FakeEngine(containers={"team0": container_of(ours)}, running={"team": 1})
    engine.existing.append(listed_builder(ours))
    plan = by_profile(CONTAINER, engine, own(), registries=INSECURE)
    assert plan.mend == ()
    assert len(plan.create) == 1
    assert "builds for another run" in plan.notes[0]
    engine.running.clear()
    assert [
        drift.target.name for drift in by_profile(CONTAINER, engine, own(), registries=INSECURE).mend
    ] == ["team"]


def test_a_container_that_is_not_what_its_name_says_is_an_error():
    foreign = container_of(team_builder(), files={"buildkitd.toml": b"x = 1"})
    (name,) = by_profile(CONTAINER, FakeEngine(containers={"team0": foreign})).names
    engine = FakeEngine(containers={"team0": foreign, f"{name}0": foreign})
    with pytest.raises(EnvironmentFault, match=name):
        by_profile(CONTAINER, engine)


def own():
    return OwnBuilder(name="team", driver="docker-container", profile="team", configured=True)
