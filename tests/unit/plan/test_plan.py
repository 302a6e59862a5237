import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from multibuild.config.cli_overrides import Overrides
from multibuild.config.load import LoadedConfig, load_config
from multibuild.errors import ConfigError, UsageError
from multibuild.plan.host_facts import MIB, HostFacts, Node, assumed_facts, recorded_facts
from multibuild.plan.jobs import MEMORY_PER_BUILD, jobs_for
from multibuild.plan.plan import fingerprint_of, make_plan
from multibuild.plan.plan_document import plan_document
from multibuild.platforms import Platform

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AMD64 = Platform.parse("linux/amd64")
ARM64 = Platform.parse("linux/arm64")
ARMV7 = Platform.parse("linux/arm/v7")
SLUGS = ["linux-amd64", "linux-arm64", "linux-arm-v7"]
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


def test_platforms_are_in_the_order_of_the_config(load):
    plan = make_plan(load(), facts())
    assert [planned.platform for planned in plan.platforms] == [AMD64, ARM64, ARMV7]
    assert [planned.emulated for planned in plan.platforms] == [False, True, True]
    assert [planned.slug for planned in plan.platforms] == SLUGS
    assert plan.omitted == ()


ANNOTATED = """
annotations:
  a: of the index
  "manifest,manifest-descriptor:b": of all
  "manifest[linux/arm64]:b": of arm64
  "index,manifest:c": of both
  index-descriptor:d: of the layout
publish: {to: "oci:out"}
platforms:
  - linux/amd64
  - linux/arm64
  - {name: linux/arm/v7, annotations: {b: own entry, "manifest:b": own, "manifest:e": more}}
"""


def test_annotations_go_where_their_types_say(load):
    plan = make_plan(
        load(SMALL.replace("platforms: [linux/amd64, linux/arm64, linux/arm/v7]", ANNOTATED)), facts()
    )
    assert plan.annotations == {"a": "of the index", "c": "of both"}
    assert plan.layout_annotations == {"d": "of the layout"}
    assert [dict(planned.spec.annotations) for planned in plan.platforms] == [
        {"b": "of all", "c": "of both"},
        {"b": "of arm64", "c": "of both"},
        {"b": "own", "c": "of both", "e": "more"},
    ]
    assert [planned.entry.annotations for planned in plan.platforms] == [
        {"b": "of all"},
        {"b": "of all"},
        {"b": "own entry"},
    ]


def test_the_same_input_gives_the_same_plan(load):
    assert plan_document(make_plan(load(), facts())) == plan_document(make_plan(load(), facts()))


def test_chosen_platforms_are_in_the_order_of_the_config(load):
    plan = make_plan(load(), facts(), only=(ARMV7, AMD64))
    assert [planned.platform for planned in plan.platforms] == [AMD64, ARMV7]
    assert plan.omitted == (ARM64,)


def test_a_chosen_platform_that_the_config_lacks_is_an_error(load):
    with pytest.raises(UsageError, match="linux/s390x") as caught:
        make_plan(load(), facts(), only=(Platform.parse("s390x"), AMD64))
    assert "linux/arm64" in (caught.value.hint or "")


def test_the_fingerprint_covers_all_platforms_of_the_config(load):
    assert make_plan(load(), facts(), only=(AMD64,)).fingerprint == make_plan(load(), facts()).fingerprint


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


def test_on_this_machine_memory_alone_limits_jobs():
    assert jobs_for("auto", 13, replace(facts(cpus=2, memory=64 * 1024 * MIB), all_local=True)) == 13
    assert jobs_for("auto", 13, replace(facts(cpus=2, memory=4 * MEMORY_PER_BUILD), all_local=True)) == 4


def test_a_second_machine_doubles_the_jobs():
    assert jobs_for("auto", 13, facts(cpus=2), machines=2) == 12
    assert jobs_for("auto", 3, facts(cpus=2), machines=2) == 3


def test_jobs_of_the_config_are_not_limited():
    assert jobs_for(40, 2, facts(cpus=1, memory=MEMORY_PER_BUILD)) == 40


def test_jobs_of_a_plan_count_the_chosen_platforms(load):
    assert make_plan(load(), facts()).jobs == 3
    assert make_plan(load(), facts(), only=(AMD64,)).jobs == 1
    assert make_plan(load(jobs="5"), facts()).jobs == 5


def test_each_platform_goes_to_its_best_node(load):
    plan = make_plan(load(), facts(node("near"), node("far", "remote", ARM64, ARMV7)))
    placements = [(planned.node.builder, planned.emulated) for planned in plan.platforms]
    assert placements == [("near", False), ("far", False), ("far", True)]


def test_a_platform_may_name_a_builder_of_its_own(load):
    text = SMALL.replace("[linux/amd64, linux/arm64, linux/arm/v7]", "[{name: linux/arm64, builder: far}]")
    plan = make_plan(load(text), facts(node("near"), node("far")))
    assert plan.platforms[0].node.builder == "far"


def test_facts_without_a_builder_are_enough_for_a_plan(load):
    recorded = {"for_builder": "auto", **HostFacts(nodes=(), cpus=2, memory=MIB).as_json()}
    assert make_plan(load(), recorded_facts(recorded, "auto")).platforms


def staged(loaded: LoadedConfig, *nodes: Node) -> list[tuple[str, str]]:
    return [
        (planned.staging.kind, planned.staging.reference)
        for planned in make_plan(loaded, facts(*nodes)).platforms
    ]


def staging(template: str) -> str:
    return f"{SMALL}publish: {{staging: {template}}}\n"


def test_children_are_pushed_by_digest_where_the_driver_can(load):
    by_digest = [("digest", "registry.example.org/team/app")] * 3
    assert staged(load()) == by_digest
    assert staged(load(f"{SMALL}publish: {{to: 'oci:out', staging: digest}}\n")) == by_digest


def test_children_are_pushed_under_tags_by_the_docker_driver(load):
    assert staged(load(), node("default", "docker")) == [
        ("tag", f"registry.example.org/team/app:multibuild-{slug}") for slug in SLUGS
    ]


def test_staging_by_digest_with_the_docker_driver_is_an_error(load):
    with pytest.raises(ConfigError, match=r"publish\.staging.*docker driver.*default") as caught:
        make_plan(load(staging("digest")), facts(node("default", "docker")))
    assert "staging: auto" in (caught.value.hint or "")


@pytest.mark.parametrize("to", ["oci:out", "oci-archive:out.tar", "docker"])
@pytest.mark.parametrize("driver", ["docker", "docker-container", "remote"])
def test_local_outputs_are_staged_in_the_run_directory(load, to, driver):
    text = f"{SMALL}publish: {{to: '{to}'}}\n"
    assert staged(load(text), node("b", driver)) == [("layout", f"oci:children/{slug}") for slug in SLUGS]


def test_standby_nodes_of_a_local_output_stage_in_the_run_directory_too(load):
    nodes = node("near"), node("far", "docker", AMD64, ARM64)
    arm64 = make_plan(load(f"{SMALL}publish: {{to: docker}}\n"), facts(*nodes)).platforms[1]
    assert {arm64.staging, *(placement.staging for placement in arm64.standby)} == {arm64.staging}


def test_the_command_of_a_local_child_has_a_path_for_every_user(load):
    document = plan_document(make_plan(load(f"{SMALL}publish: {{to: docker}}\n"), facts()))
    output = "type=oci,dest=/tmp/multibuild/linux-arm64,tar=false,oci-mediatypes=true"
    assert output in document["platforms"][1]["command"]


def test_a_staging_template(load):
    references = [f"registry.example.org/team/app-{arch}:1.2" for arch in ("amd64", "arm64", "arm-v7")]
    assert staged(load(staging('"{image}-{arch}:{tag}"'))) == [("tag", name) for name in references]


def test_a_staging_template_may_have_slugs(load):
    template = '"registry.example.org/stage/x:{slug}-{tag}"'
    assert staged(load(staging(template)))[2] == ("tag", "registry.example.org/stage/x:linux-arm-v7-1.2")


def test_staging_by_tag_can_be_configured(load):
    assert {kind for kind, _ in staged(load(staging("tag")))} == {"tag"}


def test_an_insecure_registry_is_an_option_of_the_build(load):
    text = SMALL.replace("registry.example.org", "box.example.org:5000")
    text += 'registries: {"box.example.org:5000": {insecure: true}}\n'
    plan = make_plan(load(text), facts())
    assert all(planned.staging.insecure for planned in plan.platforms)
    assert "registry.insecure=true" in " ".join(plan_document(plan)["platforms"][0]["command"])
    assert not make_plan(load(), facts()).platforms[0].staging.insecure


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


def test_a_platform_overrides_fields_of_the_config(load):
    plan = make_plan(load(RICH), facts())
    first, second = plan.platforms
    assert (first.required, first.timeout, second.required, second.timeout) == (True, 7200.0, False, 10800.0)
    assert (first.spec.dockerfile, first.spec.target) == ("Dockerfile", "runtime")
    assert first.spec.args == {"A": "all", "B": "all"}
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


def test_a_reproducible_build_outside_a_repository_is_of_1970(load):
    assert make_plan(load(SMALL), facts()).platforms[0].spec.source_date_epoch is None
    plan = make_plan(load(SMALL + "reproducible: true\n"), facts())
    assert plan.platforms[0].spec.source_date_epoch == 0


def test_the_fingerprint_is_that_of_the_resolved_config(load):
    plain = make_plan(load(), facts()).fingerprint
    assert len(plain) == 64
    assert plain == fingerprint_of(load().canonical)
    reordered = "\n".join(reversed([line for line in SMALL.splitlines() if line]))
    for text in (reordered, SMALL + "# a comment\n", SMALL + "context: .\n"):
        assert make_plan(load(text), facts()).fingerprint == plain
    assert make_plan(load(SMALL + "no_cache: true\n"), facts()).fingerprint != plain
    assert make_plan(load(tags=("x",)), facts()).fingerprint != plain


def test_the_fingerprint_does_not_depend_on_the_host(load):
    plan = make_plan(load(), facts(node("default", "docker"), cpus=64))
    assert plan.fingerprint == make_plan(load(), facts()).fingerprint


def test_the_document_is_complete_and_json(load):
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


def test_the_document_of_a_plan_from_assumed_facts_is_marked(load):
    document = plan_document(make_plan(load(), assumed_facts("auto")))
    assert document["assumed_host"] is True
    assert {planned["staging"]["kind"] for planned in document["platforms"]} == {"digest"}
    assert {planned["driver"] for planned in document["platforms"]} == {"docker-container"}
