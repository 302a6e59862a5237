import csv
import os
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from fakes.specs import PLAIN

from multibuild.plan.build_command import build_arguments, build_environ
from multibuild.plan.host_facts import Node
from multibuild.plan.spec import BuildSpec, Staging
from multibuild.platforms import Platform

IMAGE = "registry.example.org/team/app"
AMD64 = Platform.parse("linux/amd64")
CONTAINER = Node(builder="multibuild", driver="docker-container", native=AMD64)
DOCKER = Node(builder="default", driver="docker", native=AMD64)
BY_DIGEST = Staging(kind="digest", reference=IMAGE, insecure=False)
IN_LAYOUT = Staging(kind="layout", reference="oci:children/linux-arm-v7", insecure=False)
BY_TAG = Staging(kind="tag", reference=f"{IMAGE}:multibuild-linux-arm-v7", insecure=False)


@dataclass(frozen=True)
class Item:
    """What a build command is made from."""

    spec: BuildSpec = PLAIN
    staging: Staging = BY_DIGEST
    node: Node = CONTAINER


def arguments(**spec) -> tuple[str, ...]:
    return build_arguments(Item(spec=replace(PLAIN, **spec)))


def values(argv: tuple[str, ...], flag: str) -> list[str]:
    return [argv[place + 1] for place, word in enumerate(argv) if word == flag]


def output(item: Item) -> list[str]:
    (text,) = values(build_arguments(item), "--output")
    return next(csv.reader([text]))


def test_by_digest():
    assert build_arguments(Item()) == (
        "build",
        *("--builder", "multibuild"),
        *("--platform", "linux/arm/v7"),
        *("--file", "Dockerfile"),
        "--pull",
        "--provenance=mode=min",
        "--sbom=false",
        "--output",
        f"type=image,name={IMAGE},push=true,push-by-digest=true,name-canonical=true,oci-mediatypes=true",
        ".",
    )


def test_by_tag_on_a_container_builder():
    assert output(Item(staging=BY_TAG)) == [
        "type=image",
        f"name={IMAGE}:multibuild-linux-arm-v7",
        "push=true",
        "oci-mediatypes=true",
    ]


def test_by_tag_on_the_engines_own_builder():
    item = Item(staging=BY_TAG, node=DOCKER)
    assert values(build_arguments(item), "--builder") == ["default"]
    assert output(item) == [
        "type=image",
        f"name={IMAGE}:multibuild-linux-arm-v7",
        "push=true",
        "oci-mediatypes=true",
        "store=false",
    ]


@pytest.mark.parametrize("builder", [CONTAINER, DOCKER])
def test_into_a_layout(builder):
    item = Item(
        staging=IN_LAYOUT, node=builder, spec=replace(PLAIN, source_date_epoch=0, media_type="docker")
    )
    (text,) = values(build_arguments(item, Path("/state/a,b/.linux-arm-v7")), "--output")
    assert next(csv.reader([text])) == [
        "type=oci",
        "dest=/state/a,b/.linux-arm-v7",
        "tar=false",
        "oci-mediatypes=false",
        "rewrite-timestamp=true",
    ]


def test_everything_at_once():
    spec = replace(
        PLAIN,
        context="https://example.org/app.git#main",
        dockerfile="docker/App.Dockerfile",
        target="runtime",
        args={"VERSION": "1.10", "EMPTY": ""},
        contexts={"base": "docker-image://registry.example.org/base:1"},
        labels={"org.opencontainers.image.title": "a = b, c"},
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
    assert build_arguments(Item(spec=spec)) == (
        "build",
        *("--builder", "multibuild"),
        *("--platform", "linux/arm/v7"),
        *("--file", "docker/App.Dockerfile"),
        *("--target", "runtime"),
        *("--build-arg", "VERSION=1.10", "--build-arg", "EMPTY="),
        *("--build-context", "base=docker-image://registry.example.org/base:1"),
        *("--label", "org.opencontainers.image.title=a = b, c"),
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
        f"type=image,name={IMAGE},push=true,push-by-digest=true,name-canonical=true,oci-mediatypes=true",
        "https://example.org/app.git#main",
    )


def test_reproducible_on_a_container_builder():
    item = Item(spec=replace(PLAIN, source_date_epoch=1700000000))
    assert values(build_arguments(item), "--build-arg") == ["SOURCE_DATE_EPOCH=1700000000"]
    assert output(item)[-1] == "rewrite-timestamp=true"
    assert "unpack=false" not in output(item)


def test_reproducible_on_the_engines_own_builder():
    item = Item(spec=replace(PLAIN, source_date_epoch=0), staging=BY_TAG, node=DOCKER)
    assert values(build_arguments(item), "--build-arg") == ["SOURCE_DATE_EPOCH=0"]
    assert output(item)[-3:] == ["store=false", "rewrite-timestamp=true", "unpack=false"]


def test_the_commits_time_wins_over_an_argument_of_that_name():
    argv = arguments(args={"SOURCE_DATE_EPOCH": "1"}, source_date_epoch=2)
    assert values(argv, "--build-arg") == ["SOURCE_DATE_EPOCH=2"]


@pytest.mark.parametrize(("media_type", "said"), [("oci", "true"), ("docker", "false")])
def test_media_types_are_always_said(media_type, said):
    assert f"oci-mediatypes={said}" in output(Item(spec=replace(PLAIN, media_type=media_type)))


@pytest.mark.parametrize(
    ("provenance", "flag"),
    [("min", "--provenance=mode=min"), ("max", "--provenance=mode=max"), (False, "--provenance=false")],
)
def test_provenance(provenance, flag):
    assert flag in arguments(provenance=provenance)


def test_an_insecure_registry_is_said_to_the_exporter():
    assert output(Item(staging=replace(BY_DIGEST, insecure=True)))[-1] == "registry.insecure=true"
    assert "registry.insecure=true" not in output(Item())


def test_the_output_is_one_record_of_csv():
    odd = Staging(kind="tag", reference='localhost:5000/a,b"c:1', insecure=False)
    assert output(Item(staging=odd))[1] == 'name=localhost:5000/a,b"c:1'


@pytest.mark.parametrize(
    ("cache", "passed"),
    [
        ("type=registry,ref=r/c", "type=registry,ref=r/c,ignore-error=true"),
        ("type=local,dest=/tmp/c", "type=local,dest=/tmp/c,ignore-error=true"),
        ("type=registry,ref=r/c,ignore-error=false", "type=registry,ref=r/c,ignore-error=false"),
        ("type=inline", "type=inline"),
        ("registry.example.org/cache:1", "registry.example.org/cache:1"),
    ],
)
def test_a_cache_that_cannot_be_written_does_not_fail_a_build(cache, passed):
    assert values(arguments(cache_to=(cache,)), "--cache-to") == [passed]


def test_a_cache_is_read_as_written():
    assert values(arguments(cache_from=("type=registry,ref=r/c", "r/d")), "--cache-from") == [
        "type=registry,ref=r/c",
        "r/d",
    ]


def test_order_of_arguments_is_the_order_of_the_config():
    argv = arguments(args={"B": "1", "A": "2"}, labels={"z": "1", "a": "2"})
    assert values(argv, "--build-arg") == ["B=1", "A=2"]
    assert values(argv, "--label") == ["z=1", "a=2"]


def test_the_context_is_last():
    assert arguments(context="sub dir", build_flags=("--shm-size=1g",))[-1] == "sub dir"


@pytest.mark.parametrize(
    ("processors", "here", "said"), [(2, True, "1"), (2, False, None), (8, True, None), (1, True, None)]
)
def test_of_two_processors_one_is_left_to_the_engine(monkeypatch, processors, here, said):
    monkeypatch.delenv("GOMAXPROCS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert build_environ(here=here).get("GOMAXPROCS") == said
    monkeypatch.setenv("GOMAXPROCS", "7")
    assert build_environ(here=here)["GOMAXPROCS"] == "7"
