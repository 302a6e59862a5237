"""Which images a Dockerfile pulls."""

import pytest

from multibuild.host.bases import base_images


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM alpine:3\n", ("alpine:3",)),
        (
            "from --platform=$BUILDPLATFORM golang:1 as build\nFROM scratch\nCOPY --from=build /a /a\n",
            ("golang:1",),
        ),
        ("FROM a AS x\nFROM x\nFROM X AS y\nFROM b\n", ("a", "b")),
        ("ARG V=3\nFROM alpine:${V}\n", ("alpine:3",)),
        ("ARG V=3\nFROM alpine:$V\nARG V=4\nFROM alpine:$V\n", ("alpine:3",)),
        ('ARG IMAGE="r.example:5000/a:1"\nFROM $IMAGE\n', ("r.example:5000/a:1",)),
        ("FROM ${UNKNOWN:-alpine:3}\n", ("alpine:3",)),
        ("FROM $UNKNOWN\n", ()),
        ("FROM \\\n  alpine:3 \\\n  AS x\n", ("alpine:3",)),
        ("# FROM no\nRUN echo FROM here\n", ()),
    ],
)
def test_bases(text, images):
    assert base_images(text, {}) == images


def test_build_arguments_win():
    assert base_images("ARG V=3\nFROM alpine:$V\n", {"V": "edge"}) == ("alpine:edge",)
