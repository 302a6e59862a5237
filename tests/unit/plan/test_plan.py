import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.load import LoadedConfig, load_config
from multibuild.config.overrides import Overrides
from multibuild.errors import ConfigError, UsageError
from multibuild.plan.document import plan_document
from multibuild.plan.host_facts import MIB, HostFacts, Node, assumed_facts, recorded_facts
from multibuild.plan.placement import choose_node
from multibuild.plan.plan import MEMORY_PER_BUILD, fingerprint_of, jobs_for, make_plan
from multibuild.platforms import Platform

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
ARMV7 = Platform.parse("linux/arm/v7")
SMALL = """
version: 1
image: registry.example.org/team/app
tags: ["1.2", latest]
platforms: [linux/amd64, linux/arm64, linux/arm/v7]
"""


@pytest.fixture
def load(tmp_path: Path):
    def loader(text: str = SMALL, **overrides) -> LoadedConfig:
        path = tmp_path / "multibuild.yaml"
        path.write_text(text, encoding="utf-8")
        return load_config(path, environ={}, overrides=Overrides(**overrides), now=NOW)

    return loader


def node(
    name: str = "multibuild", driver: str = "docker-container", native: Platform = AMD64, *runs: Platform
):
    return Node(builder=name, driver=driver, native=native, runs=runs)


def facts(*nodes: Node, cpus: int = 2, memory: int = 8192 * MIB) -> HostFacts:
    return HostFacts(nodes=nodes or (node(),), cpus=cpus, memory=memory)


def test_platforms_come_in_the_order_of_the_config(load):
    plan = make_plan(load(), facts())
    assert [str(item.platform) for item in plan.platforms] == ["linux/amd64", "linux/arm64", "linux/arm/v7"]
    assert [item.emulated for item in plan.platforms] == [False, True, True]
    assert [item.slug for item in plan.platforms] == ["linux-amd64", "linux-arm64", "linux-arm-v7"]
    assert plan.omitted == ()


def test_the_same_input_gives_the_same_plan(load):
    assert plan_document(make_plan(load(), facts())) == plan_document(make_plan(load(), facts()))


# only=…


def test_only_some_platforms_in_the_order_of_the_config(load):
    plan = make_plan(load(), facts(), only=(ARMV7, AMD64))
    assert [item.platform for item in plan.platforms] == [AMD64, ARMV7]
    assert plan.omitted == (ARM64,)


def test_only_a_platform_the_config_does_not_have(load):
    with pytest.raises(UsageError, match="linux/s390x") as caught:
        make_plan(load(), facts(), only=(Platform.parse("s390x"), AMD64))
    assert "linux/arm64" in (caught.value.hint or "")


def test_only_does_not_change_the_fingerprint(load):
    assert make_plan(load(), facts(), only=(AMD64,)).fingerprint == make_plan(load(), facts()).fingerprint


# Jobs.


@pytest.mark.parametrize(
    ("platforms", "cpus", "memory", "jobs"),
    [
        (13, 2, 64 * 1024, 6),
        (13, 8, 64 * 1024, 13),
        (1, 8, 64 * 1024, 1),
        (13, 8, 4 * 768, 4),
        (13, 8, 100, 1),
        (13, 0, 64 * 1024, 2),
        (0, 8, 64 * 1024, 1),
    ],
)
def test_jobs_are_what_platforms_processors_and_memory_carry(platforms, cpus, memory, jobs):
    assert jobs_for("auto", platforms, facts(cpus=cpus, memory=memory * MIB)) == jobs


def test_where_processors_can_be_looked_at_memory_alone_sets_the_limit():
    assert jobs_for("auto", 13, replace(facts(cpus=2, memory=64 * 1024 * MIB), here=True)) == 13
    assert jobs_for("auto", 13, replace(facts(cpus=2, memory=4 * MEMORY_PER_BUILD), here=True)) == 4


def test_a_second_machine_carries_as_much_again():
    assert jobs_for("auto", 13, facts(cpus=2), machines=2) == 12
    assert jobs_for("auto", 3, facts(cpus=2), machines=2) == 3


def test_jobs_that_were_asked_for_are_given():
    assert jobs_for(40, 2, facts(cpus=1, memory=MEMORY_PER_BUILD)) == 40


def test_jobs_of_a_plan_count_the_chosen_platforms(load):
    assert make_plan(load(), facts()).jobs == 3
    assert make_plan(load(), facts(), only=(AMD64,)).jobs == 1
    assert make_plan(load(jobs="5"), facts()).jobs == 5


# Nodes.


def test_a_node_that_has_it_natively_goes_first():
    near, far = node("near", "docker-container", AMD64, ARM64), node("far", "remote", ARM64)
    assert choose_node(ARM64, (near, far)) is far
    assert choose_node(AMD64, (near, far)) is near


def test_then_one_that_was_seen_to_run_it_then_the_first():
    plain, seen = node("plain"), node("seen", "docker-container", AMD64, ARMV7)
    assert choose_node(ARMV7, (plain, seen)) is seen
    assert choose_node(ARM64, (plain, seen)) is plain


def test_a_plan_over_two_machines(load):
    plan = make_plan(load(), facts(node("near"), node("far", "remote", ARM64, ARMV7)))
    assert [(item.node.builder, item.emulated) for item in plan.platforms] == [
        ("near", False),
        ("far", False),
        ("far", True),
    ]


def test_a_platform_may_name_a_builder_of_its_own(load):
    text = SMALL.replace("[linux/amd64, linux/arm64, linux/arm/v7]", "[{name: linux/arm64, builder: far}]")
    plan = make_plan(load(text), facts(node("near"), node("far")))
    assert plan.platforms[0].node.builder == "far"


def test_facts_that_were_left_before_a_builder_was_made(load):
    left = {"for_builder": "auto", **HostFacts(nodes=(), cpus=2, memory=MIB).as_json()}
    assert make_plan(load(), recorded_facts(left, "auto")).platforms


# Staging.


def staged(loaded: LoadedConfig, *nodes: Node) -> list[tuple[str, str]]:
    return [
        (item.staging.kind, item.staging.reference) for item in make_plan(loaded, facts(*nodes)).platforms
    ]


def staging(template: str) -> str:
    return f"{SMALL}publish: {{staging: {template}}}\n"


def test_children_are_pushed_by_digest_where_the_driver_can(load):
    assert staged(load()) == [("digest", "registry.example.org/team/app")] * 3


def test_children_are_pushed_under_tags_where_it_cannot(load):
    assert staged(load(), node("default", "docker")) == [
        ("tag", "registry.example.org/team/app:multibuild-linux-amd64"),
        ("tag", "registry.example.org/team/app:multibuild-linux-arm64"),
        ("tag", "registry.example.org/team/app:multibuild-linux-arm-v7"),
    ]


def test_digests_that_were_asked_for_and_cannot_be(load):
    with pytest.raises(ConfigError, match=r"publish\.staging.*docker driver.*default") as caught:
        make_plan(load(staging("digest")), facts(node("default", "docker")))
    assert "staging: auto" in (caught.value.hint or "")


@pytest.mark.parametrize("to", ["oci:out", "oci-archive:out.tar", "docker"])
@pytest.mark.parametrize("driver", ["docker", "docker-container", "remote"])
def test_what_is_published_on_this_machine_is_staged_here_too(load, to, driver):
    text = f"{SMALL}publish: {{to: '{to}'}}\n"
    assert staged(load(text), node("b", driver)) == [
        ("layout", "oci:children/linux-amd64"),
        ("layout", "oci:children/linux-arm64"),
        ("layout", "oci:children/linux-arm-v7"),
    ]


def test_staging_in_a_registry_can_still_be_asked_for(load):
    text = f"{SMALL}publish: {{to: 'oci:out', staging: digest}}\n"
    assert staged(load(text)) == [("digest", "registry.example.org/team/app")] * 3


def test_a_node_that_takes_over_stages_here_too(load):
    text = f"{SMALL}publish: {{to: docker}}\n"
    plan = make_plan(load(text), facts(node("near"), node("far", "docker", AMD64, ARM64)))
    arm64 = plan.platforms[1]
    assert {arm64.staging, *(placement.staging for placement in arm64.standby)} == {arm64.staging}


def test_the_command_of_a_child_that_is_not_pushed_can_be_run_by_anybody(load):
    document = plan_document(make_plan(load(f"{SMALL}publish: {{to: docker}}\n"), facts()))
    assert (
        "type=oci,dest=/tmp/multibuild/linux-arm64,tar=false,oci-mediatypes=true"
        in (document["platforms"][1]["command"])
    )


def test_a_staging_template(load):
    assert staged(load(staging('"{image}-{arch}:{tag}"'))) == [
        ("tag", "registry.example.org/team/app-amd64:1.2"),
        ("tag", "registry.example.org/team/app-arm64:1.2"),
        ("tag", "registry.example.org/team/app-arm-v7:1.2"),
    ]


def test_a_staging_template_with_slugs(load):
    expected = "registry.example.org/stage/x:linux-arm-v7-1.2"
    assert staged(load(staging('"registry.example.org/stage/x:{slug}-{tag}"')))[2] == ("tag", expected)


def test_staging_by_tag_where_digests_would_do(load):
    assert {kind for kind, _ in staged(load(staging("tag")))} == {"tag"}


def test_a_registry_that_is_insecure_is_said_to_the_build(load):
    text = SMALL.replace("registry.example.org", "box.example.org:5000")
    text += 'registries: {"box.example.org:5000": {insecure: true}}\n'
    plan = make_plan(load(text), facts())
    assert all(item.staging.insecure for item in plan.platforms)
    assert "registry.insecure=true" in " ".join(plan_document(plan)["platforms"][0]["command"])
    assert not make_plan(load(), facts()).platforms[0].staging.insecure


# What goes into each build.

RICH = """
version: 1
image: registry.example.org/team/app
context: src
dockerfile: Dockerfile
args: {A: all, B: all}
labels: {l: all}
target: runtime
timeout: 2h
cache: {from: ["type=registry,ref=r/cache:{slug}"], to: ["type=registry,ref=r/cache:{slug},mode=max"]}
secrets: ["id=token,env=TOKEN"]
attestations: {provenance: max, sbom: true}
annotations: {title: app}
destinations: [mirror.example.net/team/app]
test: {run: [app, --version], skip: [linux/arm64]}
platforms:
  - linux/amd64
  - name: linux/arm64
    also_as: [linux/arm64/unknown]
    required: false
    timeout: 3h
    args: {B: own}
    labels: {l: own, m: own}
    dockerfile: Dockerfile.arm
    target: small
    os_version: "1"
    os_features: [a]
    annotations: {k: v}
"""


def test_what_differs_for_a_platform(load):
    plan = make_plan(load(RICH), facts())
    first, second = plan.platforms
    assert (first.required, first.timeout, second.required, second.timeout) == (True, 7200.0, False, 10800.0)
    assert (first.spec.dockerfile, first.spec.target, first.spec.args) == (
        "Dockerfile",
        "runtime",
        {"A": "all", "B": "all"},
    )
    assert (second.spec.dockerfile, second.spec.target) == ("Dockerfile.arm", "small")
    assert second.spec.args == {"A": "all", "B": "own"}
    assert second.spec.labels == {"l": "own", "m": "own"}
    assert second.spec.cache_from == ("type=registry,ref=r/cache:linux-arm64",)
    assert second.spec.cache_to == ("type=registry,ref=r/cache:linux-arm64,mode=max",)
    assert (second.spec.provenance, second.spec.sbom, second.spec.context) == ("max", True, "src")
    assert [str(platform) for platform in second.entry.also_as] == ["linux/arm64/unknown"]
    assert (second.entry.os_version, second.entry.os_features) == ("1", ("a",))
    assert second.entry.annotations == {"k": "v"}
    assert first.test is not None
    assert first.test.run == ("app", "--version")
    assert second.test is None


def test_the_index_goes_to_every_destination_under_every_tag(load):
    plan = make_plan(load(RICH, tags=("a", "b")), facts())
    assert [(target.repository, target.tags) for target in plan.targets] == [
        ("registry.example.org/team/app", ("a", "b")),
        ("mirror.example.net/team/app", ("a", "b")),
    ]


def test_reproducible_outside_a_repository_counts_from_1970(load):
    assert make_plan(load(SMALL), facts()).platforms[0].spec.source_date_epoch is None
    plan = make_plan(load(SMALL + "reproducible: true\n"), facts())
    assert plan.platforms[0].spec.source_date_epoch == 0


# Names of what was decided.


def test_the_fingerprint_is_of_the_settled_config(load):
    plain = make_plan(load(), facts()).fingerprint
    assert len(plain) == 64
    assert plain == fingerprint_of(load().canonical)
    reordered = "\n".join(reversed([line for line in SMALL.splitlines() if line]))
    assert make_plan(load(reordered), facts()).fingerprint == plain
    assert make_plan(load(SMALL + "# a comment\n"), facts()).fingerprint == plain
    assert make_plan(load(SMALL + "context: .\n"), facts()).fingerprint == plain
    assert make_plan(load(SMALL + "no_cache: true\n"), facts()).fingerprint != plain
    assert make_plan(load(tags=("x",)), facts()).fingerprint != plain


def test_the_fingerprint_does_not_know_the_host(load):
    other = facts(node("default", "docker"), cpus=64)
    assert make_plan(load(), facts()).fingerprint == make_plan(load(), other).fingerprint


def test_the_document_is_json_and_says_it_all(load):
    document = plan_document(make_plan(load(RICH), facts(node("near"))))
    assert json.loads(json.dumps(document)) == document
    assert document["schema"] == 1
    assert document["image"] == "registry.example.org/team/app"
    assert document["tags"] == ["latest"]
    assert document["destinations"] == ["mirror.example.net/team/app"]
    assert document["assumed_host"] is False
    assert document["omitted"] == []
    second = document["platforms"][1]
    assert second["platform"] == "linux/arm64"
    assert second["slug"] == "linux-arm64"
    assert (second["required"], second["emulated"], second["node"]) == (False, True, "near")
    assert second["staging"] == {"kind": "digest", "reference": "registry.example.org/team/app"}
    assert second["also_as"] == ["linux/arm64/unknown"]
    assert second["test"] is None
    assert second["command"][:5] == ["docker", "buildx", "build", "--builder", "near"]
    assert "id=token,env=TOKEN" in second["command"]
    assert document["platforms"][0]["test"]["run"] == ["app", "--version"]


def test_a_plan_that_was_not_measured_says_so(load):
    document = plan_document(make_plan(load(), assumed_facts("auto")))
    assert document["assumed_host"] is True
    assert {item["staging"]["kind"] for item in document["platforms"]} == {"digest"}
    assert {item["driver"] for item in document["platforms"]} == {"docker-container"}
