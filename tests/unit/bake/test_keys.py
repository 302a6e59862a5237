"""Every key of a bake target: what it becomes, or why it is refused. Values are what buildx prints."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from multibuild.bake.keys import BAKE_KEYS
from multibuild.bake.mapping import map_definition
from multibuild.config.config import Config

LEAST = {"version": 1, "image": "registry.example.org/app", "platforms": ["linux/amd64", "linux/arm64"]}
TWO = {"platforms": ["linux/amd64", "linux/arm64"]}


def mapped(fields):
    document = {"group": {"default": {"targets": ["app"]}}, "target": {"app": fields}}
    return map_definition(document, PurePosixPath("/project"))


BECOMES: list[tuple[str, Any, dict[str, Any]]] = [
    ("context", ".", {"context": "."}),
    ("context", "/project/web", {"context": "web"}),
    ("context", "/elsewhere/web", {"context": "/elsewhere/web"}),
    ("context", "../web", {"context": "../web"}),
    ("context", "git@github.com:acme/app.git", {"context": "git@github.com:acme/app.git"}),
    (
        "contexts",
        {"a": "target:base", "b": "docker-image://alpine", "c": "./c", "d": "cwd://d", "e": "/project/e"},
        {
            "contexts": {
                "a": "image:base",
                "b": "docker-image://alpine",
                "c": "c",
                "d": "d",
                "e": "e",
            }
        },
    ),
    ("contexts", {"a": "oci-layout://out"}, {"contexts": {"a": "oci-layout://out"}}),
    ("dockerfile", "Dockerfile", {"dockerfile": "Dockerfile"}),
    ("dockerfile", "cwd://docker/a.Dockerfile", {"dockerfile": "docker/a.Dockerfile"}),
    ("dockerfile", "/project/a.Dockerfile", {"dockerfile": "a.Dockerfile"}),
    ("target", "runtime", {"target": "runtime"}),
    (
        "args",
        {"A": "1", "B": "", "C": None, "D": "$${X}%%{Y}"},
        {"args": {"A": "1", "B": "", "D": "${X}%{Y}"}},
    ),
    ("labels", {"a": "$${b}", "c": None}, {"labels": {"a": "${b}"}}),
    ("annotations", ["index:a=b=c,d", "index:e=$${f}"], {"annotations": {"a": "b=c,d", "e": "${f}"}}),
    (
        "annotations",
        ["a=b", "", "manifest-descriptor[linux/aarch64],index:c=d", "index:e:f=g", "index:h="],
        {
            "annotations": {
                "manifest:a": "b",
                "manifest-descriptor[linux/arm64],index:c": "d",
                "index:e:f": "g",
                "h": "",
            }
        },
    ),
    ("tags", ["acme/app"], {"image": "acme/app", "tags": ["latest"]}),
    (
        "tags",
        ["localhost:5000/app:1", "localhost:5000/app:2"],
        {"image": "localhost:5000/app", "tags": ["1", "2"]},
    ),
    ("tags", ["acme/app:1,acme/app:2"], {"image": "acme/app", "tags": ["1", "2"]}),
    ("tags", ["acme/app:1", "docker.io/acme/app:1"], {"image": "acme/app", "tags": ["1"]}),
    (
        "tags",
        ["a.example/app:1", "b.example/app:2", "a.example/app:2", "b.example/app:1"],
        {"image": "a.example/app", "tags": ["1", "2"], "destinations": ["b.example/app"]},
    ),
    (
        "platforms",
        ["linux/amd64,linux/aarch64", "linux/arm64/v8", "linux/arm"],
        {"platforms": ["linux/amd64", "linux/arm64", "linux/arm/v7"]},
    ),
    (
        "secret",
        [{"id": "a", "src": "/project/s"}, {"id": "b", "env": "B"}, {"id": "c"}, "id=d,src=./d"],
        {"secrets": ["id=a,src=s", "id=b,env=B", "id=c", "id=d,src=d"]},
    ),
    (
        "ssh",
        [{"id": "default"}, {"id": "k", "paths": ["/project/k", "l"]}, {"paths": None}, "default"],
        {"ssh": ["default", "k=k,l", "default", "default"]},
    ),
    ("cache-from", [{"type": "registry", "ref": "a/b:c"}], {"cache": {"from": ["type=registry,ref=a/b:c"]}}),
    ("cache-from", ["a/b:c", "type=gha"], {"cache": {"from": ["type=registry,ref=a/b:c", "type=gha"]}}),
    (
        "cache-to",
        [{"type": "registry", "ref": "a/b", "mode": "max"}, "a/c:1"],
        {"cache": {"to": ["type=registry,mode=max,ref=a/b:{slug}", "type=registry,ref=a/c:1-{slug}"]}},
    ),
    (
        "cache-to",
        [
            {"type": "local", "dest": "/project/c"},
            {"type": "gha"},
            {"type": "s3", "bucket": "b", "region": "r"},
        ],
        {
            "cache": {
                "to": [
                    "type=local,dest=c-{slug}",
                    "type=gha,scope=buildkit-{slug}",
                    "type=s3,bucket=b,region=r,name=buildkit-{slug}",
                ]
            }
        },
    ),
    ("cache-to", [{"type": "inline"}], {"cache": {"to": ["type=inline"]}}),
    ("attest", [{"type": "provenance", "mode": "min"}], {"attestations": {"provenance": "min"}}),
    (
        "attest",
        ["type=provenance,mode=max", "type=sbom"],
        {"attestations": {"provenance": "max", "sbom": True}},
    ),
    ("attest", [{"type": "provenance"}], {"attestations": {"provenance": "max"}}),
    (
        "attest",
        [{"type": "provenance", "disabled": True}, {"type": "sbom", "disabled": True}],
        {"attestations": {"provenance": False, "sbom": False}},
    ),
    ("output", [{"type": "registry"}], {}),
    ("output", [{"type": "image", "push": "false"}], {}),
    ("output", ["type=image,push=true,oci-mediatypes=true"], {"media_type": "oci"}),
    ("network", "none", {"network": "none"}),
    ("no-cache", True, {"no_cache": True}),
    ("no-cache", False, {"no_cache": False}),
    ("no-cache-filter", ["a", "b"], {"build_flags": ["--no-cache-filter=a", "--no-cache-filter=b"]}),
    ("pull", False, {"pull": False}),
    ("shm-size", "1GiB", {"build_flags": ["--shm-size=1GiB"]}),
    ("ulimits", ["nofile=1:2"], {"build_flags": ["--ulimit=nofile=1:2"]}),
    ("extra-hosts", {"a": "192.0.2.1", "b": None}, {"build_flags": ["--add-host=a=192.0.2.1"]}),
    ("call", "build", {}),
    ("description", "What it is", {}),
    ("inherits", ["_common"], {}),
]

REFUSED = [
    ("entitlements", ["network.host"], "permission", "--allow=network.host"),
    ("dockerfile-inline", "FROM scratch", "inside the definition", "`dockerfile`"),
    ("annotations", ["x y:a=b"], "no type", "index:"),
    ("annotations", ["index[linux/arm64]:a=b"], "one platform", "manifest-descriptor[linux/arm64]"),
    ("annotations", ["a b=c"], "BuildKit", "spaces"),
    ("annotations", ["a"], "KEY=VALUE", "index:"),
    ("tags", ["a/b:1", "c/d:2"], "a/b the tags 1, and c/d 2", "second target"),
    ("tags", ["a/b:1", "c/d:1", "c/d:2"], "tags 1, and c/d 1, 2", "same tags"),
    ("tags", ["A/b:1"], "lower case", "host/repository:tag"),
    ("tags", [f"a/b@sha256:{'0' * 64}"], "digest", "repository:tag"),
    ("platforms", ["local"], "depends on the machine", "linux/amd64"),
    ("platforms", ["linux/amd65"], "linux/amd65", "amd64"),
    ("secret", [{"id": "a", "required": "true"}], "has required", "id, src and env"),
    ("ssh", [{"id": "a", "other": "b"}], "has other", "id and paths"),
    ("cache-to", ["type=local\n,dest=c"], "no list", "KEY=VALUE"),
    ("attest", [{"type": "sbom", "generator": "x"}], "has generator of type=sbom", "attestations.sbom"),
    ("attest", [{"type": "provenance", "version": "v1"}], "has version", "attestations.provenance"),
    ("attest", [{"type": "other"}], "'other'", "type=sbom"),
    ("output", [{"type": "docker"}], "type=docker", "publish.to: docker"),
    ("output", [{"type": "oci", "dest": "x.tar"}], "type=oci", "oci-archive:FILE"),
    ("output", [{"type": "local", "dest": "x"}], "type=local", "bake.targets"),
    ("output", ["./out"], "type=local", "bake.targets"),
    ("output", [{"type": "tar", "dest": "x"}], "type=tar", "bake.targets"),
    ("output", [{"type": "cacheonly"}], "type=cacheonly", "no image"),
    ("output", [{"type": "image", "name": "a/b"}], "has name", "tags"),
    ("output", [{"type": "image", "compression": "zstd"}], "has compression", "bake.files"),
    ("output", [{"type": "image", "annotation.a": "b"}], "has annotation.a", "annotations"),
    ("network", "bridge", "is bridge", "host"),
    ("call", "check", "builds nothing", "multibuild lint"),
    ("policy", [{"filename": "x.rego"}], "no key", "--policy"),
    ("resources", {"memory": "2g"}, "no key", "--resource"),
    ("brand-new", "x", "no key that multibuild knows", "bake.files"),
]

MALFORMED = [
    ("context", ["."]),
    ("args", {"A": 1}),
    ("args", ["A=1"]),
    ("tags", "acme/app"),
    ("secret", [1]),
    ("ssh", [{"paths": "k"}]),
    ("no-cache", "true"),
    ("output", {"type": "registry"}),
]


@pytest.mark.parametrize(("key", "value", "keys"), BECOMES, ids=str)
def test_a_key_becomes(key, value, keys):
    mapping = mapped({key: value})
    assert mapping.refusals == ()
    assert mapping.images[0].keys == keys
    Config.model_validate({**LEAST, **keys})


@pytest.mark.parametrize(("key", "value", "why", "use_instead"), REFUSED, ids=str)
def test_a_key_is_refused(key, value, why, use_instead):
    [refusal] = mapped({key: value}).refusals
    assert (refusal.target, refusal.key) == ("app", key)
    assert why in refusal.why
    assert use_instead in refusal.use_instead
    assert str(refusal) == f"target app: {key} {refusal.why}"
    assert bool(refusal.replaced_by) == (key not in {"call", "brand-new"})


@pytest.mark.parametrize(("key", "value"), MALFORMED, ids=str)
def test_a_value_of_another_form_is_refused(key, value):
    [refusal] = mapped({key: value}).refusals
    assert (refusal.key, refusal.why) == (key, "has a form that multibuild does not know")


def test_every_key_is_tested():
    tested = {key for key, *_ in BECOMES} | {key for key, *_ in REFUSED if key != "brand-new"}
    assert tested == set(BAKE_KEYS)


def test_what_a_key_becomes_is_what_its_row_says():
    for key, _, keys in BECOMES:
        stated = {name.partition(".")[0] for name in BAKE_KEYS[key].becomes}
        assert keys.keys() <= stated, key


def test_keys_that_become_flags_are_all_there():
    mapping = mapped({"shm-size": "1g", "ulimits": ["a=1"], "extra-hosts": {"a": "192.0.2.1"}})
    assert mapping.images[0].keys == {
        "build_flags": ["--shm-size=1g", "--ulimit=a=1", "--add-host=a=192.0.2.1"]
    }


def test_a_dockerfile_is_looked_for_in_its_context():
    assert mapped({"context": "web", "dockerfile": "../a.Dockerfile"}).images[0].keys["dockerfile"] == (
        "a.Dockerfile"
    )
    remote = {"context": "https://example.org/a.git"}
    assert mapped({**remote, "dockerfile": "b"}).images[0].keys["dockerfile"] == "b"
    assert mapped({**remote, "dockerfile": "cwd://b"}).images[0].keys["dockerfile"] == "/project/b"


@pytest.mark.parametrize("platforms", [{}, TWO])
def test_a_cache_is_read_where_it_is_written(platforms):
    fields = {**platforms, "cache-to": ["a/b:c"], "cache-from": ["a/b:c", "a/b:main"]}
    assert mapped(fields).images[0].keys["cache"] == {
        "from": ["type=registry,ref=a/b:c-{slug}", "type=registry,ref=a/b:main"],
        "to": ["type=registry,ref=a/b:c-{slug}"],
    }


def test_a_cache_of_one_platform_stays_where_it_is():
    fields = {"platforms": ["linux/arm64"], "cache-to": ["a/b:c"], "cache-from": ["a/b:c"]}
    assert mapped(fields).images[0].keys["cache"] == {
        "from": ["type=registry,ref=a/b:c"],
        "to": ["type=registry,ref=a/b:c"],
    }


def test_a_linked_target_needs_no_output_and_one_that_was_asked_for_does():
    document = {
        "group": {"default": {"targets": ["app"]}},
        "target": {
            "app": {"contexts": {"base": "target:base"}},
            "base": {"output": [{"type": "cacheonly"}]},
        },
    }
    mapping = map_definition(document, PurePosixPath("/project"))
    assert mapping.refusals == ()
    assert [(image.name, image.linked) for image in mapping.images] == [("app", False), ("base", True)]


def test_groups_that_contain_each_other_end():
    document = {
        "group": {"default": {"targets": ["a"]}, "a": {"targets": ["default", "a", "t"]}},
        "target": {"t": {}},
    }
    assert [image.name for image in map_definition(document, PurePosixPath("/")).images] == ["t"]
