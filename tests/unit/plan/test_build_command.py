import csv
import os
from dataclasses import replace
from pathlib import Path

import pytest
from fakes.specs import PLAIN

from multibuild.plan.build_command import build_arguments, build_environ
from multibuild.plan.host_facts import Node
from multibuild.plan.planned_platform import EntryFields, PlannedPlatform, StepLimits
from multibuild.plan.spec import Staging
from multibuild.platforms import Platform

IMAGE = "registry.example.org/team/app"
AMD64 = Platform.parse("linux/amd64")
CONTAINER = Node(builder="multibuild", driver="docker-container", native=AMD64)
DOCKER = Node(builder="default", driver="docker", native=AMD64)
BY_DIGEST = Staging(kind="digest", reference=IMAGE, insecure=False)
IN_LAYOUT = Staging(kind="layout", reference="oci:children/linux-arm-v7", insecure=False)
BY_TAG = Staging(kind="tag", reference=f"{IMAGE}:multibuild-linux-arm-v7", insecure=False)
PLANNED = PlannedPlatform(
    platform=PLAIN.platform,
    required=True,
    spec=PLAIN,
    staging=BY_DIGEST,
    node=CONTAINER,
    emulated=True,
    timeout=60.0,
    entry=EntryFields(annotations={}),
    test=None,
)


def arguments(**spec) -> tuple[str, ...]:
    return build_arguments(replace(PLANNED, spec=replace(PLAIN, **spec)))


def values(argv: tuple[str, ...], flag: str) -> list[str]:
    return [argv[index + 1] for index, word in enumerate(argv) if word == flag]


def output(folder: Path | None = None, **planned) -> list[str]:
    (text,) = values(build_arguments(replace(PLANNED, **planned), folder), "--output")
    return next(csv.reader([text]))


def test_a_child_is_pushed_by_digest():
    assert build_arguments(PLANNED) == (
        "build",
        *("--builder", "multibuild"),
        *("--platform", "linux/arm/v7"),
        *("--file", "Dockerfile"),
        "--pull",
        "--provenance=mode=min",
        "--sbom=false",
        "--output",
        f"type=image,name={IMAGE},push=true,push-by-digest=true,name-canonical=true,oci-mediatypes=true,store=false",
        ".",
    )


@pytest.mark.parametrize("node", [CONTAINER, DOCKER])
def test_a_child_is_pushed_under_a_tag(node):
    assert values(build_arguments(replace(PLANNED, node=node)), "--builder") == [node.builder]
    assert output(staging=BY_TAG, node=node) == [
        "type=image",
        f"name={IMAGE}:multibuild-linux-arm-v7",
        "push=true",
        "oci-mediatypes=true",
        "store=false",
    ]


@pytest.mark.parametrize("node", [CONTAINER, DOCKER])
def test_a_child_is_exported_into_a_layout(node):
    spec = replace(PLAIN, source_date_epoch=0, media_type="docker")
    assert output(Path("/state/a,b/.linux-arm-v7"), staging=IN_LAYOUT, node=node, spec=spec) == [
        "type=oci",
        "dest=/state/a,b/.linux-arm-v7",
        "tar=false",
        "oci-mediatypes=false",
        "rewrite-timestamp=true",
    ]


def test_every_field_of_a_spec_is_an_argument():
    argv = arguments(
        context="https://example.org/app.git#main",
        dockerfile="docker/App.Dockerfile",
        target="runtime",
        args={"VERSION": "1.10", "EMPTY": ""},
        contexts={"base": "docker-image://registry.example.org/base:1"},
        labels={"org.opencontainers.image.title": "a = b, c"},
        annotations={"org.opencontainers.image.title": "a = b, c"},
        secrets=("id=npmrc,src=.npmrc", "id=token,env=TOKEN"),
        ssh=("default",),
        cache_from=("type=registry,ref=r/cache:linux-arm-v7",),
        cache_to=("type=registry,ref=r/cache:linux-arm-v7,mode=max",),
        network="host",
        pull=False,
        no_cache=True,
        build_flags=("--allow=network.host", "--shm-size=1g"),
        provenance="max",
        sbom=True,
    )
    assert argv == (
        "build",
        *("--builder", "multibuild"),
        *("--platform", "linux/arm/v7"),
        *("--file", "docker/App.Dockerfile"),
        *("--target", "runtime"),
        *("--build-arg", "VERSION=1.10", "--build-arg", "EMPTY="),
        *("--build-context", "base=docker-image://registry.example.org/base:1"),
        *("--label", "org.opencontainers.image.title=a = b, c"),
        *("--annotation", "manifest:org.opencontainers.image.title=a = b, c"),
        *("--secret", "id=npmrc,src=.npmrc", "--secret", "id=token,env=TOKEN"),
        *("--ssh", "default"),
        *("--cache-from", "type=registry,ref=r/cache:linux-arm-v7"),
        *("--cache-to", "type=registry,ref=r/cache:linux-arm-v7,mode=max,ignore-error=true"),
        *("--network", "host"),
        "--no-cache",
        *("--allow=network.host", "--shm-size=1g"),
        "--provenance=mode=max",
        "--sbom=true",
        "--output",
        f"type=image,name={IMAGE},push=true,push-by-digest=true,name-canonical=true,oci-mediatypes=true,store=false",
        "https://example.org/app.git#main",
    )


@pytest.mark.parametrize(
    ("planned", "last"),
    [
        ({}, ["store=false", "rewrite-timestamp=true"]),
        ({"staging": BY_TAG, "node": DOCKER}, ["store=false", "rewrite-timestamp=true", "unpack=false"]),
    ],
)
def test_a_reproducible_build_rewrites_timestamps(planned, last):
    assert output(spec=replace(PLAIN, source_date_epoch=0), **planned)[-len(last) :] == last


@pytest.mark.parametrize("args", [{}, {"SOURCE_DATE_EPOCH": "1"}])
def test_the_commits_time_overrides_an_argument_of_that_name(args):
    argv = arguments(args=args, source_date_epoch=1700000000)
    assert values(argv, "--build-arg") == ["SOURCE_DATE_EPOCH=1700000000"]


@pytest.mark.parametrize(("media_type", "oci"), [("oci", "true"), ("docker", "false")])
def test_media_types_are_always_explicit(media_type, oci):
    assert f"oci-mediatypes={oci}" in output(spec=replace(PLAIN, media_type=media_type))


@pytest.mark.parametrize(
    ("provenance", "flag"),
    [("min", "--provenance=mode=min"), ("max", "--provenance=mode=max"), (False, "--provenance=false")],
)
def test_provenance(provenance, flag):
    assert flag in arguments(provenance=provenance)


def test_an_insecure_registry_is_an_option_of_the_exporter():
    assert output(staging=replace(BY_DIGEST, insecure=True))[-1] == "registry.insecure=true"
    assert "registry.insecure=true" not in output()


def test_the_output_is_one_csv_record():
    odd = Staging(kind="tag", reference='localhost:5000/a,b"c:1', insecure=False)
    assert output(staging=odd)[1] == 'name=localhost:5000/a,b"c:1'


@pytest.mark.parametrize(
    ("cache", "value"),
    [
        ("type=registry,ref=r/c", "type=registry,ref=r/c,ignore-error=true"),
        ("type=local,dest=/tmp/c", "type=local,dest=/tmp/c,ignore-error=true"),
        ("type=registry,ref=r/c,ignore-error=false", "type=registry,ref=r/c,ignore-error=false"),
        ("type=inline", "type=inline"),
        ("registry.example.org/cache:1", "type=registry,ref=registry.example.org/cache:1,ignore-error=true"),
    ],
)
def test_a_cache_that_cannot_be_written_does_not_fail_a_build(cache, value):
    assert values(arguments(cache_to=(cache,)), "--cache-to") == [value]


def test_caches_to_read_are_passed_as_written():
    caches = ("type=registry,ref=r/c", "r/d")
    assert values(arguments(cache_from=caches), "--cache-from") == list(caches)


def test_the_order_of_arguments_is_that_of_the_config_and_the_context_is_last():
    argv = arguments(context="sub dir", args={"B": "1", "A": "2"}, build_flags=("--shm-size=1g",))
    assert values(argv, "--build-arg") == ["B=1", "A=2"]
    assert values(arguments(labels={"z": "1", "a": "2"}), "--label") == ["z=1", "a=2"]
    assert argv[-1] == "sub dir"


@pytest.mark.parametrize(
    ("processors", "all_local", "limit"), [(2, True, "1"), (2, False, None), (8, True, None), (1, True, None)]
)
def test_of_two_processors_one_is_left_to_the_engine(monkeypatch, processors, all_local, limit):
    monkeypatch.delenv("GOMAXPROCS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert build_environ(all_local=all_local).get("GOMAXPROCS") == limit
    monkeypatch.setenv("GOMAXPROCS", "7")
    assert build_environ(all_local=all_local)["GOMAXPROCS"] == "7"


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (StepLimits(), []),
        (StepLimits(memory=2 * 1024**3), ["memory=2147483648"]),
        (StepLimits(cpus=1.5), ["cpu-period=100000", "cpu-quota=150000"]),
        (StepLimits(memory=512, cpus=0.01), ["memory=512", "cpu-period=100000", "cpu-quota=1000"]),
    ],
)
def test_limits_of_steps_are_resources(limits, expected):
    assert values(build_arguments(replace(PLANNED, limits=limits)), "--resource") == expected
