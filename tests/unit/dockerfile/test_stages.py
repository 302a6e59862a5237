"""What a target needs of a Dockerfile: BuildKit skips the other stages, and pulls nothing for them."""

import pytest

from multibuild.dockerfile.parse import read_dockerfile
from multibuild.dockerfile.stages import needed_images

EITHER = "ARG FROM_STAGE=packages\nFROM debian AS packages\nFROM gcc AS ready\nFROM ${FROM_STAGE} AS build\n"
"""A default stage, or instead an image that has everything."""


@pytest.mark.parametrize(
    ("text", "args", "target", "images"),
    [
        ("FROM a AS unused\nFROM b\n", {}, None, ("b",)),
        ("FROM a AS first\nFROM b\n", {}, "First", ("a",)),
        ("FROM a AS first\nFROM b\n", {}, "0", ("a",)),
        ("FROM a AS one\nFROM one AS two\nFROM b\nCOPY --from=two /x /x\n", {}, None, ("a", "b")),
        ("FROM a\nFROM b\nCOPY --from=0 /x /x\n", {}, None, ("a", "b")),
        ("FROM a AS unused\nRUN --mount=from=c ls\nFROM b\nCOPY --from=d /x /x\n", {}, None, ("b", "d")),
        ("FROM a AS unused\nFROM scratch\n", {}, None, ()),
        (EITHER, {}, None, ("debian",)),
        (EITHER, {"FROM_STAGE": "ready"}, None, ("gcc",)),
        (EITHER, {"FROM_STAGE": "lab/toolchain"}, None, ("lab/toolchain",)),
    ],
)
def test_only_images_of_needed_stages_are_needed(text, args, target, images):
    assert needed_images(read_dockerfile(text, args), target) == images


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("FROM a AS one\nFROM b\n", "no-such-stage"),
        ("FROM a AS base-arm64\nFROM b AS base-amd64\nFROM base-$TARGETARCH\n", None),
        ("FROM a AS one\nFROM b\nCOPY --from=$WHERE /x /x\n", None),
    ],
)
def test_every_image_counts_where_the_stages_are_not_clear(text, target):
    dockerfile = read_dockerfile(text, {})
    assert {"a", "b"} <= set(needed_images(dockerfile, target))
    assert needed_images(dockerfile, target) == dockerfile.images


def test_a_file_without_stages_needs_nothing():
    assert needed_images(read_dockerfile("# nothing yet\n", {}), None) == ()
