"""The images a Dockerfile pulls, and their platforms."""

import pytest
from fakes.images import descriptor, put_image, put_index
from fakes.registry_server import FakeRegistry

from multibuild.host.base_images import base_images, platforms_of


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM alpine:3\n", ("alpine:3",)),
        (
            "from --platform=$BUILDPLATFORM golang:1 as build\nFROM scratch\nCOPY --from=build /a /a\n",
            ("golang:1",),
        ),
        ("FROM a AS x\nFROM x\nFROM X AS y\nFROM b\nCOPY --from=y /a /\n", ("a", "b")),
        ("ARG V=3\nFROM alpine:${V}\n", ("alpine:3",)),
        ("ARG V=3\nFROM alpine:$V\nARG V=4\nFROM alpine:$V\n", ("alpine:3",)),
        ('ARG IMAGE="r.example:5000/a:1"\nFROM $IMAGE\n', ("r.example:5000/a:1",)),
        ("FROM ${UNKNOWN:-alpine:3}\n", ("alpine:3",)),
        ("FROM $UNKNOWN\n", ()),
        ("FROM \\\n  alpine:3 \\\n  AS x\n", ("alpine:3",)),
        ("# FROM no\nRUN echo FROM here\n", ()),
    ],
)
def test_base_images_of_a_dockerfile(text, images):
    assert base_images(text, {}) == images


def test_an_image_of_an_unused_stage_is_not_pulled():
    text = "ARG TOOLS=debian-tools\nFROM debian AS debian-tools\nFROM $TOOLS AS build\nFROM slim\n"
    assert base_images(text, {}) == ("slim",)
    assert base_images(text, {}, "build") == ("debian",)
    assert base_images(text, {"TOOLS": "gcc"}, "build") == ("gcc",)


def test_build_arguments_override_defaults():
    assert base_images("ARG V=3\nFROM alpine:$V\n", {"V": "edge"}) == ("alpine:edge",)


def test_platforms_that_a_config_cannot_name_are_dropped():
    """The platforms are written into a file, where a foreign line could be anything."""
    foreign = ("linux/arm64\nsecrets: [x]", "linux/arm64/v8\n", "windows/amd64", "linux/mips64el")
    platforms = (*foreign, "linux/arm/v99", "linux/arm64/v8")
    with FakeRegistry() as fake:
        digest = put_image(fake, "app")
        entries = [descriptor(fake, "app", digest, platform) for platform in platforms]
        put_index(fake, "app", entries, tag="1")
        name = f"{fake.host}/app:1"
        assert set(map(str, platforms_of([name])[name])) == {"linux/arm64"}
