"""What buildx prints of the definitions in `bake_files` becomes the images that they describe."""

from pathlib import PurePosixPath

import pytest
from bake_files.cases import CASES, FOLDER, PROJECT
from bake_files.units import images_of

from multibuild.bake.mapping import map_definition
from multibuild.config.config import Config

LEAST = {"version": 1, "image": "registry.example.org/app", "platforms": ["linux/amd64", "linux/arm64"]}

BY_NAME = {case.name: case for case in CASES}


def mapping_of(name):
    return map_definition(BY_NAME[name].document, PurePosixPath(PROJECT))


def keys_of(name, image="default"):
    return next(dict(item.keys) for item in mapping_of(name).images if item.name == image)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_definition_becomes_its_images_or_is_refused_by_name(case):
    mapping = map_definition(case.document, PurePosixPath(PROJECT))
    assert tuple((refusal.target, refusal.key) for refusal in mapping.refusals) == case.refused
    if not case.refused:
        assert images_of(mapping.images) == case.images


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_keys_are_those_of_the_config(case):
    for image in map_definition(case.document, PurePosixPath(PROJECT)).images:
        Config.model_validate({**LEAST, **image.keys})


def test_every_case_is_recorded_and_nothing_else():
    assert {path.stem for path in (FOLDER / "recorded").glob("*.json")} == set(BY_NAME)


def test_targets_that_are_contexts_are_images_of_the_file():
    assert keys_of("chain")["contexts"] == {
        "alpine:3": "docker-image://alpine:3.22",
        "docs": "https://github.com/acme/docs.git#main",
        "runtime": "image:runtime",
        "shared": "shared",
    }
    assert keys_of("chain", "runtime")["contexts"] == {"base": "image:base"}
    assert keys_of("compose-x-bake", "aws")["contexts"] == {"addon": "image:addon", "assets": "assets"}


@pytest.mark.parametrize(
    ("name", "image", "context", "dockerfile"),
    [
        ("groups", "api", "services/api", "services/api/Dockerfile"),
        ("groups", "indexer", "services/indexer", "docker/indexer.Dockerfile"),
        ("groups", "cli", ".", "docker/cli.Dockerfile"),
        ("ci-conditions", "faucet", "src", "src/docker/faucet.Dockerfile"),
        ("remote", "default", "https://github.com/acme/app.git#v1.2.3", "build/Dockerfile"),
        ("compose-profiles", "web", "web", "web/Dockerfile.web"),
    ],
)
def test_paths_are_relative_to_the_project(name, image, context, dockerfile):
    keys = keys_of(name, image)
    assert (keys["context"], keys["dockerfile"]) == (context, dockerfile)


def test_repositories_with_the_same_tags_are_destinations():
    keys = keys_of("repositories")
    assert (keys["image"], keys["tags"], keys["destinations"]) == (
        "docker.io/acme/app",
        ["2.0.0", "latest"],
        ["ghcr.io/acme/app", "quay.io/acme/app"],
    )


def test_a_cache_that_is_written_and_read_has_a_place_for_each_platform():
    assert keys_of("caches", "app")["cache"] == {
        "from": [
            "type=registry,ref=ghcr.io/acme/app:cache-{slug}",
            "type=gha,scope=app-{slug}",
            "type=registry,ref=ghcr.io/acme/app:latest",
        ],
        "to": [
            "type=registry,mode=max,ref=ghcr.io/acme/app:cache-{slug}",
            "type=gha,mode=max,scope=app-{slug}",
        ],
    }
    assert "{slug}" not in str(keys_of("caches", "native"))
    assert keys_of("caches", "inline")["cache"]["to"] == ["type=inline"]
    assert keys_of("compose-x-bake", "addon")["cache"] == {
        "from": ["type=registry,ref=user/app:cache", "type=local,src=cache-{slug}"],
        "to": ["type=local,dest=cache-{slug}"],
    }


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_images_are_in_one_order_and_what_was_asked_for_comes_first(case):
    images = mapping_of(case.name).images
    assert images == tuple(sorted(images, key=lambda image: (image.linked, image.name)))


def test_a_description_is_kept():
    assert mapping_of("variants").images[0].description == "PHP 8.3 on alpine"


def test_annotations_of_the_index_keep_commas_and_equals_signs():
    assert keys_of("metadata-action-index-annotations", "build")["annotations"] == {
        "org.opencontainers.image.title": "app",
        "org.opencontainers.image.description": "An app, for one = all",
    }
