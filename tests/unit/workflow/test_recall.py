"""What the registry remembers: reused only if the same would be built, and only where the config publishes to."""

import json
import subprocess

import pytest
from fakes.cosign import FakeCosign
from fakes.images import put_image
from fakes.registry_server import FakeRegistry
from fakes.remembered import THREE, RememberedProject

from multibuild.oci.manifests.inputs_annotation import INPUTS_ANNOTATION


@pytest.fixture
def registry():
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def project(tmp_path, registry):
    return RememberedProject(tmp_path, registry)


def to_build(recalled):
    return [str(platform) for platform in recalled.to_build]


def test_an_empty_registry_remembers_nothing(project):
    recalled = project.recall_one()
    assert (recalled.holds, to_build(recalled)) == (False, THREE)
    assert recalled.reason == f"0 of 3 platforms are in the registry; to be built: {', '.join(THREE)}"


def test_what_was_published_holds_and_needs_no_host(project):
    digest = project.publish()[""]
    recalled = project.recall_one()
    assert recalled.holds
    assert not recalled.to_run
    assert (recalled.index.digest, to_build(recalled)) == (digest, [])
    assert "unchanged in the registry (1 tag" in recalled.reason


def test_twelve_platforms_take_few_requests(project, registry):
    project.config["platforms"] = [f"linux/{name}" for name in TWELVE]
    project.config |= {"tags": ["latest", "1"], "destinations": [f"{registry.host}/mirror"]}
    project.publish()
    registry.log.clear()
    assert project.recall_one().holds
    assert len(registry.log) <= 12, registry.log


def test_what_a_run_found_of_its_bases_is_not_asked_for_again(project, registry):
    """A target that does not use all files: whether its base has triggers matters, and was known to who built it."""
    project.config["platforms"] = [f"linux/{name}" for name in TWELVE]
    project.write("Dockerfile", f"FROM {registry.host}/base:1\nRUN true\n")
    project.write("unused", "1")
    project.publish()
    registry.log.clear()
    assert project.recall_one().holds
    assert len(registry.log) <= 2, registry.log
    project.write("unused", "2")
    assert project.recall_one().holds
    project.write("Dockerfile", f"FROM {registry.host}/base:1\nRUN false\n")
    registry.log.clear()
    assert not project.recall_one().holds
    assert len(registry.log) > 2, "whether the base has triggers is to be known for what is recorded next"


TWELVE = ["amd64", "arm64", "arm/v7", "arm/v6", "arm/v5", "386", "mips64le", "mipsle", "ppc64le", "s390x"]
TWELVE += ["riscv64", "loong64"]


def test_without_remember_nothing_is_annotated_and_nothing_asked(project, registry):
    project.config["remember"] = False
    project.publish()
    registry.log.clear()
    assert to_build(project.recall_one()) == THREE
    assert [request.path for request in registry.log if "/app/" in request.path] == []
    document = json.loads(registry.repository("app").manifests[registry.repository("app").tags["latest"]][1])
    assert INPUTS_ANNOTATION not in json.dumps(document)


def test_one_changed_platform_is_built_alone(project):
    project.publish()
    project.config["platforms"][1] = {"name": "linux/arm64", "args": {"A": "1"}}
    recalled = project.recall_one()
    assert to_build(recalled) == ["linux/arm64"]
    assert recalled.to_run
    assert recalled.reason == "2 of 3 platforms are in the registry; to be built: linux/arm64"


def test_the_index_of_one_changed_platform_differs_in_its_entry_and_its_own_annotation(project, registry):
    def entries():
        repository = registry.repository("app")
        document = json.loads(repository.manifests[repository.tags["latest"]][1])
        return document["manifests"], document["annotations"]

    project.publish()
    before, about = entries()
    project.config["platforms"][1] = {"name": "linux/arm64", "args": {"A": "1"}}
    project.publish()
    after, about_after = entries()
    changed = [old for old, new in zip(before, after, strict=True) if old != new]
    assert [entry["platform"]["architecture"] for entry in changed] == ["arm64"]
    assert about != about_after


@pytest.mark.parametrize(
    "change",
    [
        {"tags": ["latest", "2"]},
        {"tags": ["2", "latest"]},
        {"destinations": ["{host}/mirror"]},
        {"tags": ["latest", "2"], "destinations": ["{host}/mirror"]},
    ],
)
def test_if_only_tags_and_destinations_differ_nothing_is_built(project, registry, change):
    digest = project.publish()[""]
    project.config |= json.loads(json.dumps(change).replace("{host}", registry.host))
    recalled = project.recall_one()
    assert (recalled.holds, bool(recalled.to_run), to_build(recalled)) == (False, False, [])
    assert recalled.index.digest == digest
    assert recalled.reason == "nothing is to be built: only tags move"


def test_a_tag_that_was_moved_by_another_is_moved_back(project, registry):
    project.config["tags"] = ["latest", "1"]
    project.publish()
    registry.repository("app").tags["1"] = put_image(registry, "app")
    recalled = project.recall_one()
    assert (recalled.holds, to_build(recalled)) == (False, [])


def test_a_child_that_is_gone_is_built(project, registry):
    """Where all tags hold, the registry is trusted to keep what their index lists."""
    project.publish()
    project.config["annotations"] = {"a": "b"}
    gone = project.recall_one().children
    child = next(child for platform, child in gone.items() if str(platform) == "linux/arm64")
    del registry.repository("app").manifests[child.image.digest]
    assert to_build(project.recall_one()) == ["linux/arm64"]


def test_a_child_without_its_attestation_is_built(project, registry):
    project.publish()
    project.config["annotations"] = {"a": "b"}
    child = next(iter(project.recall_one().children.values()))
    del registry.repository("app").manifests[child.attestations[0].digest]
    assert to_build(project.recall_one()) == ["linux/amd64"]


def test_an_index_without_an_optional_platform_does_not_hold(project):
    project.config["platforms"][2] = {"name": "linux/arm/v7", "required": False}
    project.publish(without=["linux/arm/v7"])
    assert to_build(project.recall_one()) == ["linux/arm/v7"]


def edit(registry, change, *, repository="app", tag="latest"):
    """Change the document of the index under a tag as another client would."""
    stored = registry.repository(repository)
    media_type, content = stored.manifests[stored.tags[tag]]
    document = json.loads(content)
    change(document)
    registry.put(repository, json.dumps(document).encode(), media_type, tag=tag)


@pytest.mark.parametrize(
    "text",
    ["", "2 inputs=0", "1", "1 inputs=", "foreign", "1  inputs=a", "\N{GREEK SMALL LETTER ALPHA}", "1 x=y"],
)
def test_an_annotation_of_another_schema_or_kind_means_changed(project, registry, text):
    project.publish()

    def change(document):
        document["manifests"][0]["annotations"][INPUTS_ANNOTATION] = text

    edit(registry, change)
    recalled = project.recall_one()
    assert (recalled.holds, to_build(recalled)) == (False, ["linux/amd64"])


def test_a_missing_annotation_means_changed(project, registry):
    project.publish()
    edit(registry, lambda document: document["manifests"][0].pop("annotations"))
    assert to_build(project.recall_one()) == ["linux/amd64"]


@pytest.mark.parametrize(
    "change",
    [
        lambda document: document["annotations"].clear(),
        lambda document: document["annotations"].update({INPUTS_ANNOTATION: "1 inputs=0"}),
        lambda document: document["annotations"].update(other="x"),
        lambda document: document["manifests"].append(document["manifests"][0]),
        lambda document: document["manifests"].reverse(),
        lambda document: document["manifests"][0]["platform"].update({"os.version": "1"}),
        lambda document: document["manifests"][0]["annotations"].update(other="x"),
        lambda document: document["manifests"][0].update(urls=["https://example.org"]),
        lambda document: document.update(artifactType="application/x"),
        lambda document: document["manifests"].pop(),
    ],
)
def test_an_index_that_another_client_changed_does_not_hold(project, registry, change):
    project.publish()
    edit(registry, change)
    recalled = project.recall_one()
    assert not recalled.holds


def test_an_image_in_place_of_the_index_is_no_memory(project, registry):
    project.publish()
    registry.repository("app").tags["latest"] = put_image(registry, "app")
    assert to_build(project.recall_one()) == THREE


def test_what_is_under_no_tag_of_the_config_is_not_looked_for(project):
    project.publish(tags=["other"])
    assert to_build(project.recall_one()) == THREE


def test_another_repository_is_no_source(project, registry):
    project.publish()
    project.config["image"] = f"{registry.host}/elsewhere"
    assert to_build(project.recall_one()) == THREE
    project.config["destinations"] = [f"{registry.host}/app"]
    assert to_build(project.recall_one()) == THREE


def test_who_can_push_to_the_image_alone_reaches_no_destination(project, registry):
    """A child with a forged annotation is not copied into a repository whose tags never had it."""
    project.config["destinations"] = [f"{registry.host}/mirror"]
    project.publish()
    forged = put_image(registry, "app", "linux/amd64", layer=b"forged")
    size = len(registry.repository("app").manifests[forged][1])
    edit(registry, lambda document: document["manifests"][0].update(digest=forged, size=size))
    recalled = project.recall_one()
    assert (recalled.holds, to_build(recalled)) == (False, ["linux/amd64"])


def test_a_registry_that_does_not_answer_remembers_nothing(project, registry):
    project.publish()
    registry.repositories.pop("app")
    assert to_build(project.recall_one()) == THREE


@pytest.mark.parametrize(
    ("before", "after", "proved"),
    [
        ({"verify": {"content": "entrypoint"}}, {"verify": {"content": "all"}}, False),
        ({"verify": {"content": "off"}}, {"verify": {"content": "entrypoint"}}, False),
        ({"verify": {"content": "all"}}, {"verify": {"content": "entrypoint"}}, True),
        ({"verify": {"content": "all"}}, {"verify": {"content": "off"}}, True),
        ({"verify": {"ignore": ["/a"]}}, {"verify": {"ignore": []}}, False),
        ({}, {"test": {"run": ["true"]}}, False),
        ({"test": {"run": ["true"]}}, {"test": {"run": ["false"]}}, False),
        ({"test": {"run": ["true"]}}, {}, True),
    ],
)
def test_a_child_is_proved_again_only_if_more_is_asked(project, before, after, proved):
    project.config |= before
    project.publish()
    for key in before:
        del project.config[key]
    project.config |= after
    recalled = project.recall_one()
    assert (recalled.holds, to_build(recalled)) == (False, [])
    assert {child.is_proved for child in recalled.children.values()} == {proved}
    assert bool(recalled.to_run) == ("test" in after)


def test_a_child_has_the_attestations_that_the_index_has_of_it(project):
    project.publish()
    project.config["annotations"] = {"a": "b"}
    for child in project.recall_one().children.values():
        assert [one.attests for one in child.attestations] == [child.image.digest]


def test_also_as_entries_are_no_further_children(project):
    project.config["platforms"][1] = {"name": "linux/arm64", "also_as": ["linux/arm64/v8"]}
    project.publish()
    assert project.recall_one().holds


def test_published_on_this_machine_nothing_is_recalled(project, tmp_path):
    project.publish()
    project.config["publish"] = {"to": f"oci:{tmp_path}/out"}
    assert to_build(project.recall_one()) == THREE


def images(host):
    return {
        "version": 1,
        "image": f"{host}/{{name}}",
        "platforms": list(THREE[:2]),
        "remember": True,
        "images": {
            "app": {"dockerfile": "Dockerfile"},
            "other": {"dockerfile": "Other"},
            "debug": {"dockerfile": "Debug", "contexts": {"app": "image:app"}},
        },
    }


def test_a_moved_base_changes_its_image_and_what_is_built_from_it(project, registry):
    """The images of a nightly: one of the bases moved."""
    project.write("Other", "FROM {host}/second:1\n")
    project.write("Debug", "FROM app\n")
    put_image(registry, "second", tag="1")
    project.config = images(registry.host)
    project.publish()
    assert all(recalled.holds for recalled in project.recall().values())
    put_image(registry, "base", "linux/s390x", tag="1")
    recalled = project.recall()
    assert {name: one.holds for name, one in recalled.items()} == {
        "app": False,
        "other": True,
        "debug": False,
    }
    assert [to_build(recalled[name]) for name in ("app", "debug")] == [THREE[:2], THREE[:2]]


def test_what_makes_every_checkout_differ_is_named_if_something_is_built(project):
    project.publish()
    project.write(".dockerignore", "*.o\n")
    project.write(".git/index", "")
    reason = project.recall_one().reason
    assert reason.endswith(
        "; the context has multibuild.yaml and .git: list it in .dockerignore, or every change of it counts"
    )


@pytest.fixture
def cosign(tmp_path, project, monkeypatch):
    """A cosign on PATH, and a project that signs with its key."""
    cosign = FakeCosign(tmp_path / "bin")
    monkeypatch.setenv("PATH", cosign.path)
    cosign.write_key(project.folder / "cosign.key")
    project.write(".dockerignore", "multibuild.yaml\ncosign.key\n")
    project.config["sign"] = {"key": "cosign.key", "tlog": False}
    return cosign


def sign(project, digest, key="cosign.key"):
    reference = f"{project.host}/app@{digest}"
    subprocess.run(["cosign", "sign", "--key", key, reference], cwd=project.folder, check=True)


def test_what_is_signed_by_the_key_of_the_config_is_reused(project, cosign):
    sign(project, project.publish()[""])
    project.config["platforms"][1] = {"name": "linux/arm64", "args": {"A": "1"}}
    assert to_build(project.recall_one()) == ["linux/arm64"]
    project.config |= {"platforms": list(THREE), "tags": ["latest", "1"]}
    recalled = project.recall_one()
    assert (to_build(recalled), recalled.reason) == ([], "nothing is to be built: only tags move")


def sign_all(project, index, key="cosign.key"):
    document = json.loads(project.registry.repository("app").manifests[index][1])
    for digest in (index, *(entry["digest"] for entry in document["manifests"])):
        sign(project, digest, key)


def test_tags_that_hold_what_is_signed_are_not_touched(project, cosign):
    sign_all(project, project.publish()[""])
    assert project.recall_one().holds


@pytest.mark.parametrize("lost", ["the index", "an image", "the key"])
def test_tags_that_hold_what_is_not_signed_do_not_hold(project, registry, cosign, lost):
    """Signatures were removed in the registry, or are of the key that was in the file before."""
    index = project.publish()[""]
    if lost == "an image":
        sign(project, index)
    elif lost == "the key":
        cosign.write_key(project.folder / "before.key", name="another")
        project.write(".dockerignore", "multibuild.yaml\n*.key\n")
        index = project.publish()[""]
        sign_all(project, index, "before.key")
    recalled = project.recall_one()
    assert not recalled.holds
    assert to_build(recalled) == ([] if lost == "an image" else THREE)
    if lost == "an image":
        assert recalled.reason == (
            f"nothing is to be built: only tags move; in {project.host}/app not all has a signature"
        )


@pytest.mark.parametrize("missing", ["cosign", "key"])
def test_where_signatures_cannot_be_verified_any_counts(project, cosign, missing):
    """As where only the machine that publishes has the key."""
    if missing == "key":
        project.config["sign"] = {"keyless": True}
    index = project.publish()[""]
    assert not project.recall_one().holds
    sign_all(project, index)
    (cosign.folder / "cosign").unlink()
    assert project.recall_one().holds


def unsigned(project, cosign):
    return "none by the key cosign.key is valid"


def signed_by_another(project, cosign):
    cosign.write_key(project.folder / "other.key", name="another")
    project.write(".dockerignore", "multibuild.yaml\n*.key\n")
    sign(project, project.publish()[""], key="other.key")
    return "none by the key cosign.key is valid"


def signed_child_alone(project, cosign):
    """Its annotation is in the index, which anyone may have made of it."""
    index = project.publish()[""]
    document = json.loads(project.registry.repository("app").manifests[index][1])
    sign(project, document["manifests"][0]["digest"])
    return "none by the key cosign.key is valid"


def keyless(project, cosign):
    project.config["sign"] = {"keyless": True}
    return "keyless ones are not verified"


def no_cosign(project, cosign):
    sign(project, project.publish()[""])
    (cosign.folder / "cosign").unlink()
    return "cosign is not on PATH"


def locked_key(project, cosign):
    sign(project, project.publish()[""])
    cosign.answer(public_key=["decryption failed"])
    return "cosign says: decryption failed"


def broken(project, cosign):
    sign(project, project.publish()[""])
    cosign.answer(verify=["no matching signatures"] * 2)
    return "none by the key cosign.key is valid"


@pytest.mark.parametrize(
    "case", [unsigned, signed_by_another, signed_child_alone, keyless, no_cosign, locked_key, broken]
)
def test_what_is_not_known_to_be_ours_is_built_and_not_signed(project, cosign, case):
    """Who can push a child with a forged annotation gets no signature for it."""
    why = case(project, cosign)
    project.publish()
    project.config["tags"] = ["latest", "1"]
    recalled = project.recall_one()
    assert (to_build(recalled), recalled.holds) == (THREE, False)
    assert f"`sign` is set, and what has no signature of ours is built again: {why}" in recalled.reason


def test_beside_a_signed_index_a_forged_one_is_not_read(project, registry, cosign):
    """The forged one says that it has what the signed one lacks."""
    project.config["tags"] = ["latest", "1"]
    project.publish(tags=["1"])
    changed = [THREE[0], {"name": "linux/arm64", "args": {"A": "1"}}, THREE[2]]
    ours, project.config["platforms"] = project.config["platforms"], changed
    sign(project, project.publish(tags=["latest"])[""])
    project.config["platforms"] = ours
    recalled = project.recall_one()
    assert to_build(recalled) == ["linux/arm64"]


@pytest.mark.parametrize("before", [{}, {"annotations": {"a": "b"}}])
def test_an_index_of_another_config_is_published_again_without_a_build(project, before):
    project.config |= before
    project.publish()
    project.config["annotations"] = {"c": "d"}
    recalled = project.recall_one()
    assert (to_build(recalled), bool(recalled.to_run)) == ([], False)
    assert recalled.reason == "nothing is to be built: the index changes"
